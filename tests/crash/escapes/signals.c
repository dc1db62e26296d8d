/* Signals to processes outside */
#include "attempt.h"

#include <mqueue.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

ESCAPE(kill_victim, SEEN, "all", "sends another process SIGTERM")
{
    return outcome_of(kill((pid_t)number("victim"), SIGTERM));
}

ESCAPE(kill_victim_for_good, SEEN, "all", "kills another process")
{
    return outcome_of(kill((pid_t)number("victim"), SIGKILL));
}

ESCAPE(stop_victim, SEEN, "all", "stops another process")
{
    return outcome_of(kill((pid_t)number("victim"), SIGSTOP));
}

ESCAPE(kill_caller, SEEN, "all", "sends the caller a signal")
{
    return outcome_of(kill((pid_t)number("caller"), SIGUSR1));
}

ESCAPE(kill_parent, SEEN, "all", "sends its parent a signal")
{
    return getppid() == 0 ? STOPPED : outcome_of(kill(getppid(), SIGUSR2));
}

/* One that is ignored by default; and without a sandbox all processes of the machine would get it. */
ESCAPE(kill_all, SEEN, "all", "sends all processes that it may a signal")
{
    return outcome_of(kill(is_confined() ? -1 : (pid_t)number("victim"), SIGURG));
}

ESCAPE(kill_own_group, SEEN, "all", "sends its process group a signal, in which the caller may be")
{
    signal(SIGUSR1, SIG_IGN);
    return outcome_of(kill(0, SIGUSR1));
}

ESCAPE(kill_group_of_caller, SEEN, "all", "sends the process group of the caller a signal")
{
    signal(SIGUSR1, SIG_IGN);
    return outcome_of(kill(-(pid_t)number("group"), SIGUSR1));
}

ESCAPE(tkill_victim, SEEN, "all", "sends another thread a signal with tkill")
{
    return outcome_of(syscall(SYS_tkill, number("victim"), SIGUSR1));
}

ESCAPE(tgkill_victim, SEEN, "all", "sends a thread of another process a signal with tgkill")
{
    return outcome_of(syscall(SYS_tgkill, number("victim"), number("victim"), SIGUSR1));
}

ESCAPE(tgkill_caller, SEEN, "all", "sends a thread of the caller a signal with tgkill")
{
    return outcome_of(syscall(SYS_tgkill, number("caller"), number("caller"), SIGUSR2));
}

ESCAPE(sigqueue_victim, SEEN, "all", "sends another process a signal with a value")
{
    union sigval value = {.sival_int = 1};
    return outcome_of(sigqueue((pid_t)number("victim"), SIGUSR1, value));
}

ESCAPE(tgsigqueue_victim, SEEN, "all", "sends a thread of another process a signal with a value")
{
    siginfo_t told = {.si_code = SI_QUEUE};
    return outcome_of(syscall(SYS_rt_tgsigqueueinfo, number("victim"), number("victim"), SIGUSR1, &told));
}

ESCAPE(pidfd_signal_victim, SEEN, "all", "sends another process a signal by a pidfd")
{
    int process = (int)syscall(SYS_pidfd_open, number("victim"), 0);
    return outcome_of(process < 0 ? -1 : syscall(SYS_pidfd_send_signal, process, SIGUSR1, NULL, 0));
}

ESCAPE(proc_directory_as_pidfd, SEEN, "some: not since it was given up", "sends another process a signal by its directory in /proc")
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld", number("victim"));
    int process = open(path, O_RDONLY | O_DIRECTORY);
    return outcome_of(process < 0 ? -1 : syscall(SYS_pidfd_send_signal, process, SIGUSR1, NULL, 0));
}

static int owned(long who)
{
    int ends[2];
    if (pipe(ends) < 0 || fcntl(ends[0], F_SETOWN, (int)who) < 0)
        return outcome_of(-1);
    fcntl(ends[0], F_SETSIG, SIGUSR1);
    fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK);
    return outcome_of(write(ends[1], "x", 1));
}

ESCAPE(sigio_of_victim, SEEN, "all", "makes another process the owner of a pipe, which tells it with a signal")
{
    return owned(number("victim"));
}

ESCAPE(sigio_of_group, SEEN, "all", "makes the caller's process group the owner of a pipe, which tells it with a signal")
{
    signal(SIGUSR1, SIG_IGN);
    return owned(-number("group"));
}

ESCAPE(sigurg_of_victim, SEEN, "all", "makes another process the owner of a socket, which tells it with SIGIO")
{
    int ends[2], who = (int)number("victim"), yes = 1;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 || ioctl(ends[0], FIOSETOWN, &who) < 0)
        return outcome_of(-1);
    ioctl(ends[0], FIOASYNC, &yes);
    return outcome_of(write(ends[1], "x", 1));
}

ESCAPE(signal_at_own_end, SEEN, "all", "has the kernel signal the caller when a child with CLONE_PARENT ends")
{
    long pid = syscall(SYS_clone, CLONE_PARENT | SIGUSR1, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return outcome_of(pid);
}

ESCAPE(signal_of_timer, SEEN, "none: a timer may only signal its own process", "has a timer signal another process")
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    event._sigev_un._tid = (pid_t)number("victim");
    timer_t timer;
    return outcome_of(timer_create(CLOCK_MONOTONIC, &event, &timer));
}

ESCAPE(group_of_caller_joined, WORD, "all", "joins the process group of the caller, to share its signals")
{
    return outcome_of(setpgid(0, (pid_t)number("group")));
}

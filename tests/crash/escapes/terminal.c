/* The caller's terminal: by descriptor 0, by /dev/tty and by its path */
#include "attempt.h"

#include <linux/tiocl.h>
#include <sys/ioctl.h>
#include <termios.h>

ESCAPE(typed_on_stdin, SEEN, "some: dev.tty.legacy_tiocsti, or root", "types on the caller's terminal by TIOCSTI on descriptor 0")
{
    return outcome_of(ioctl(0, TIOCSTI, "x"));
}

ESCAPE(typed_on_dev_tty, SEEN, "some: dev.tty.legacy_tiocsti, or root", "types on the caller's terminal by TIOCSTI on /dev/tty")
{
    int terminal = open("/dev/tty", O_RDWR);
    return outcome_of(terminal < 0 ? -1 : ioctl(terminal, TIOCSTI, "x"));
}

ESCAPE(typed_with_high_bits, SEEN, "some: dev.tty.legacy_tiocsti, or root", "types on the caller's terminal with higher bits set beside TIOCSTI")
{
    return outcome_of(syscall(SYS_ioctl, 0L, 1UL << 32 | TIOCSTI, "x"));
}

ESCAPE(pasted_by_console, WORD, "none: the terminal is no console", "pastes into a console by TIOCLINUX on descriptor 0")
{
    char wish = TIOCL_PASTESEL;
    return outcome_of(ioctl(0, TIOCLINUX, &wish));
}

ESCAPE(console_messages_taken, WORD, "root", "has the kernel's messages come to a terminal of its own by TIOCCONS")
{
    /* Without a right it is refused; with it nothing is changed, as this is no terminal that can have them. */
    long done = ioctl(open("/dev/null", O_RDWR), TIOCCONS);
    int own = posix_openpt(O_RDWR | O_NOCTTY);
    if (done == 0 || own < 0)
        return outcome_of(done == 0 ? 0 : -1);
    if (!is_confined())
        return geteuid() == 0 ? THROUGH : STOPPED;
    return outcome_of(ioctl(own, TIOCCONS));
}

ESCAPE(terminal_written, SEEN, "all", "writes on the caller's terminal by /dev/tty")
{
    return defaced_file("/dev/tty", O_NOCTTY);
}

ESCAPE(terminal_written_by_path, SEEN, "all", "writes on the caller's terminal by its path")
{
    return defaced_file(given("terminal"), O_NOCTTY);
}

ESCAPE(terminal_reopened, SEEN, "all", "opens the terminal that is descriptor 0 again by /proc/self/fd, and writes")
{
    return defaced_file("/proc/self/fd/0", O_NOCTTY);
}

ESCAPE(terminal_stolen, WORD, "root", "takes the caller's terminal for a session of its own")
{
    if (!is_confined())
        return geteuid() == 0 ? THROUGH : STOPPED; /* its own caller would be told that it hung up */
    setsid();
    return outcome_of(ioctl(0, TIOCSCTTY, 1));
}

ESCAPE(terminal_taken, WORD, "none: the caller's session has it", "makes the caller's terminal that of a session of its own")
{
    if (fork() == 0) {
        setsid();
        _exit(outcome_of(ioctl(0, TIOCSCTTY, 0)));
    }
    if (is_confined())
        return outcome_of(ioctl(0, TIOCSCTTY, 0));
    return STOPPED;
}

ESCAPE(foreground_taken, SEEN, "all", "makes itself the process group in the foreground of the caller's terminal")
{
    signal(SIGTTOU, SIG_IGN);
    setpgid(0, 0);
    return outcome_of(tcsetpgrp(0, getpgrp()));
}

ESCAPE(terminal_group_signalled, SEEN, "none: only by the other side of a pty", "interrupts the foreground of the caller's terminal with TIOCSIG")
{
    return outcome_of(ioctl(0, TIOCSIG, SIGINT));
}

ESCAPE(terminal_in_session_of_caller, WORD, "all", "is in the session of the caller")
{
    return getsid(0) == number("session") || tcgetsid(0) == getsid(0) ? THROUGH : STOPPED;
}

ESCAPE(line_discipline, WORD, "some: the kernel has one to load", "changes the line discipline of the terminal, which loads modules")
{
    int own = posix_openpt(O_RDWR | O_NOCTTY), discipline = 3 /* N_PPP */;
    for (; own >= 0 && discipline < 30; discipline++)
        if (ioctl(own, TIOCSETD, &discipline) == 0)
            return THROUGH;
    return outcome_of(-1);
}

ESCAPE(console_opened, WORD, "some: root, and a console", "opens the machine's console to write")
{
    return outcome_of(open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK));
}

ESCAPE(screen_read, WORD, "some: root, and a screen", "reads the screen of a virtual console")
{
    return outcome_of(open("/dev/vcs", O_RDONLY) < 0 ? open("/dev/tty0", O_RDWR | O_NOCTTY) : 0);
}

/* Runs one attempt by its name: escapes NAME key=value... It ends with 0, through; 1, stopped; 2, it could not be tried. */
#include "attempt.h"

#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

int victim(int argc, char **argv);
int confederate(int argc, char **argv);

static struct escape *all;
static int arguments;
static char **argument;

void add_escape(struct escape *one)
{
    one->next = all;
    all = one;
}

const char *given(const char *key)
{
    size_t length = strlen(key);
    for (int i = 0; i < arguments; i++)
        if (strncmp(argument[i], key, length) == 0 && argument[i][length] == '=')
            return argument[i] + length + 1;
    fprintf(stderr, "%s is not given\n", key);
    exit(UNTRIED);
}

long number(const char *key)
{
    return (long)strtoull(given(key), NULL, 0);
}

const char *below(const char *key, const char *name)
{
    static char paths[4][4096];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", given(key), name);
    return path;
}

bool is_confined(void)
{
    return strcmp(given("confined"), "yes") == 0;
}

int outcome_of(long result)
{
    if (result >= 0)
        return THROUGH;
    printf("errno %s\n", strerrorname_np(errno));
    return STOPPED;
}

int untried(const char *why)
{
    printf("untried: %s\n", why);
    return UNTRIED;
}

int printed_memory(const void *memory, size_t size)
{
    fwrite(memory, 1, size, stdout);
    putchar('\n');
    return THROUGH;
}

int printed(int descriptor)
{
    char buffer[65536];
    ssize_t size = -1;
    if (descriptor >= 0) {
        size = read(descriptor, buffer, sizeof buffer);
        int error = errno;
        close(descriptor);
        errno = error;
    }
    if (size <= 0)
        return outcome_of(-1);
    return printed_memory(buffer, (size_t)size);
}

int printed_file(const char *path)
{
    return printed(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

int defaced(int descriptor)
{
    if (descriptor < 0)
        return outcome_of(-1);
    long done = write(descriptor, SHOT, strlen(SHOT));
    int error = errno;
    close(descriptor);
    errno = error;
    return outcome_of(done);
}

int defaced_file(const char *path, int more_flags)
{
    return defaced(open(path, O_WRONLY | O_CLOEXEC | more_flags, 0666));
}

int in_child(int (*attempt)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        exit(attempt());
    int status;
    if (pid < 0 || waitpid(pid, &status, __WALL) != pid)
        return outcome_of(-1);
    if (WIFSIGNALED(status)) {
        printf("signal %d\n", WTERMSIG(status));
        return STOPPED;
    }
    return WEXITSTATUS(status);
}

int written_file(const char *path, const char *text)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    long done = write(file, text, strlen(text));
    close(file);
    return done < 0 ? -1 : 0;
}

int own_namespaces(int more)
{
    if (!is_confined() && geteuid() == 0)
        return unshare(more);
    uid_t user = geteuid();
    gid_t group = getegid();
    if (unshare(CLONE_NEWUSER | more) < 0)
        return -1;
    char map[64];
    snprintf(map, sizeof map, "0 %d 1", (int)user);
    written_file("/proc/self/uid_map", map);
    written_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %d 1", (int)group);
    written_file("/proc/self/gid_map", map);
    return 0;
}

pid_t sleeping_child(void)
{
    fflush(NULL);
    const pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0);
        alarm(20);
        for (;;)
            pause();
    }
    return pid;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return UNTRIED;
    if (strcmp(argv[1], "victim") == 0)
        return victim(argc - 2, argv + 2);
    if (strcmp(argv[1], "confederate") == 0)
        return confederate(argc - 2, argv + 2);
    arguments = argc - 2;
    argument = argv + 2;
    signal(SIGPIPE, SIG_IGN);
    /* As long as any process of the attempt lives, it is locked: the stage looks. */
    flock(open(below("work", "alive"), O_CREAT | O_RDWR, 0666), LOCK_SH);
    alarm(30); /* whatever happens, and whoever lets it go on */
    for (struct escape *one = all; one != NULL; one = one->next)
        if (strcmp(one->name, argv[1]) == 0)
            return one->attempt();
    fprintf(stderr, "no escape is called %s\n", argv[1]);
    return UNTRIED;
}

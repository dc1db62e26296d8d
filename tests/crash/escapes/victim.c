/* A process outside, with a secret in every place that a process has; and the program that a victim is changed into. */
#include "attempt.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

int victim(int argc, char **argv);
int confederate(int argc, char **argv);

/* The stage reads these by /proc/PID/mem. */
static struct {
    char secret[64];
    char canary[64];
    uint32_t signals[65];
} shown;

static void count(int signal)
{
    shown.signals[signal]++;
}

static int listener(const struct sockaddr_un *place, socklen_t size)
{
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(made, (const struct sockaddr *)place, size) < 0 || listen(made, 8) < 0)
        perror("victim's socket");
    return made;
}

static void give(int listening, int secret)
{
    int peer = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    char space[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec text = {.iov_base = "take", .iov_len = 4};
    struct msghdr message = {
        .msg_iov = &text, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof secret);
    memcpy(CMSG_DATA(header), &secret, sizeof secret);
    sendmsg(peer, &message, MSG_NOSIGNAL);
    close(peer);
}

/* victim SECRET PATH-OF-SECRET ABSTRACT PATH: gives who connects to either socket the open file. */
int victim(int argc, char **argv)
{
    if (argc != 4)
        return UNTRIED;
    snprintf(shown.secret, sizeof shown.secret, "%s", argv[0]);
    snprintf(shown.canary, sizeof shown.canary, "untouched");
    for (int number = 1; number <= 64; number++)
        if (number != SIGCHLD && number != SIGSEGV)
            signal(number, count);
    int secret = open(argv[1], O_RDONLY | O_CLOEXEC);
    struct sockaddr_un abstract = {.sun_family = AF_UNIX}, path = {.sun_family = AF_UNIX};
    snprintf(abstract.sun_path + 1, sizeof abstract.sun_path - 1, "%s", argv[2]);
    snprintf(path.sun_path, sizeof path.sun_path, "%s", argv[3]);
    unlink(argv[3]);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(argv[2]));
    struct pollfd asked[2] = {{.fd = listener(&abstract, size), .events = POLLIN},
                              {.fd = listener(&path, sizeof path), .events = POLLIN}};
    printf("%p\n", (void *)&shown);
    fflush(stdout);
    for (;;)
        if (poll(asked, 2, -1) > 0)
            for (int i = 0; i < 2; i++)
                if (asked[i].revents)
                    give(asked[i].fd, secret);
}

/* confederate PATH: with other rights than who starts it, it reads a file. */
int confederate(int argc, char **argv)
{
    printf("uid %d, effective %d\n", (int)getuid(), (int)geteuid());
    return argc == 1 ? printed_file(argv[0]) : UNTRIED;
}

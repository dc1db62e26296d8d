/* With the kernel's structures, as libc's headers exclude the kernel's. */
#include "descriptor_message.h"

#include <linux/errno.h>

#include "child.h"

#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define MSG_CMSG_CLOEXEC 0x40000000

struct vector {
    void *base;
    size_t length;
};

/* The kernel's struct user_msghdr. */
struct message {
    void *name;
    int name_length;
    struct vector *vectors;
    size_t count;
    void *control;
    size_t control_length;
    unsigned flags;
};

/* One with several. */
struct controls {
    size_t length;
    int level, type;
    int descriptors[RAMET_MOST_SENT];
};

/* One control message with one descriptor: struct cmsghdr, and padding to a whole word. */
struct control {
    size_t length;
    int level, type;
    int descriptor, padding;
};

_Static_assert(sizeof(struct message) == 56 && sizeof(struct control) == 24, "the kernel's layout on 64 bits");

#define CONTROL_LENGTH (offsetof(struct control, descriptor) + sizeof(int))

long ramet_send_descriptor(int socket, int descriptor)
{
    char byte = 0;
    struct vector vector = {&byte, 1};
    struct control control = {CONTROL_LENGTH, SOL_SOCKET, SCM_RIGHTS, descriptor, 0};
    const struct message message = {.vectors = &vector, .count = 1, .control = &control, .control_length = sizeof control};
    return ramet_syscall3(__NR_sendmsg, socket, &message, 0);
}

int ramet_receive_descriptor(int socket)
{
    char byte;
    struct vector vector = {&byte, 1};
    struct control control = {0};
    struct message message = {.vectors = &vector, .count = 1, .control = &control, .control_length = sizeof control};
    long error = ramet_syscall3(__NR_recvmsg, socket, &message, MSG_CMSG_CLOEXEC);
    if (error < 0)
        return (int)error;
    return control.length == CONTROL_LENGTH && control.type == SCM_RIGHTS ? control.descriptor : -ENOMSG;
}

static int received_in(const struct controls *control, int *descriptors)
{
    const size_t head = offsetof(struct controls, descriptors);
    int count = 0;
    if (control->length > head && control->type == SCM_RIGHTS)
        for (; count < RAMET_MOST_SENT && head + (size_t)(count + 1) * sizeof(int) <= control->length; count++)
            descriptors[count] = control->descriptors[count];
    return count;
}

long ramet_receive_descriptors(int socket, int *descriptors)
{
    unsigned char count = 0;
    struct vector vector = {&count, 1};
    struct controls control = {0};
    struct message message = {.vectors = &vector, .count = 1, .control = &control, .control_length = sizeof control};
    long length;
    do
        length = ramet_syscall3(__NR_recvmsg, socket, &message, MSG_CMSG_CLOEXEC);
    while (length == -EINTR);
    if (length <= 0)
        return RAMET_NO_MESSAGE;
    return received_in(&control, descriptors) == count ? count : -EMFILE;
}

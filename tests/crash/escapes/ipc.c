/* SysV memory, semaphores and queues of the host, and other ways between processes */
#include "attempt.h"

#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

ESCAPE(sysv_memory_read, SEEN, "all", "reads SysV memory of the host by its number")
{
    const char *memory = shmat((int)number("shm"), NULL, SHM_RDONLY);
    return memory == (void *)-1 ? outcome_of(-1) : printed_memory(memory, 64);
}

ESCAPE(sysv_memory_by_key, SEEN, "all", "reads SysV memory of the host by its key")
{
    int found = shmget((key_t)number("sysv_key"), 0, 0);
    const char *memory = found < 0 ? (void *)-1 : shmat(found, NULL, SHM_RDONLY);
    return memory == (void *)-1 ? outcome_of(-1) : printed_memory(memory, 64);
}

ESCAPE(sysv_memory_written, SEEN, "all", "writes SysV memory of the host")
{
    char *memory = shmat((int)number("shm"), NULL, 0);
    if (memory == (void *)-1)
        return outcome_of(-1);
    memcpy(memory + 64, SHOT, strlen(SHOT));
    return THROUGH;
}

ESCAPE(sysv_memory_listed, WORD, "all", "lists the SysV memory of the host")
{
    struct shmid_ds told;
    return outcome_of(shmctl((int)number("shm"), IPC_STAT, &told));
}

ESCAPE(sysv_semaphore, SEEN, "all", "takes a SysV semaphore of the host")
{
    struct sembuf take = {.sem_op = -1, .sem_flg = IPC_NOWAIT};
    return outcome_of(semop((int)number("sem"), &take, 1));
}

ESCAPE(sysv_message_taken, SEEN, "all", "takes a message from a SysV queue of the host")
{
    struct {
        long kind;
        char text[128];
    } message;
    long size = msgrcv((int)number("msg"), &message, sizeof message.text, 0, IPC_NOWAIT);
    return size < 0 ? outcome_of(-1) : printed_memory(message.text, (size_t)size);
}

ESCAPE(sysv_message_sent, SEEN, "all", "puts a message into a SysV queue of the host")
{
    struct {
        long kind;
        char text[8];
    } message = {.kind = 1, .text = "escaped"};
    return outcome_of(msgsnd((int)number("msg"), &message, sizeof message.text, IPC_NOWAIT));
}

ESCAPE(posix_queue_read, SEEN, "all", "takes a message from a POSIX queue of the host")
{
    char text[256];
    mqd_t queue = mq_open(given("mq"), O_RDONLY | O_NONBLOCK);
    long size = queue < 0 ? -1 : mq_receive(queue, text, sizeof text, NULL);
    return size < 0 ? outcome_of(-1) : printed_memory(text, (size_t)size);
}

ESCAPE(posix_queue_written, SEEN, "all", "puts a message into a POSIX queue of the host")
{
    mqd_t queue = mq_open(given("mq"), O_WRONLY | O_NONBLOCK);
    return outcome_of(queue < 0 ? -1 : mq_send(queue, SHOT, strlen(SHOT), 0));
}

ESCAPE(posix_queue_removed, SEEN, "all", "removes a POSIX queue of the host")
{
    return outcome_of(mq_unlink(given("mq")));
}

ESCAPE(fifo_written, SEEN, "all", "writes to a fifo outside")
{
    return defaced_file(below("outside", "fifo"), O_NONBLOCK);
}

/* System calls by other ways: 32 bits, x32, high bits, and from where a filter may not be */
#include "attempt.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#ifdef __x86_64__

static long int80(long call, long one, long two, long three)
{
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(call), "b"(one), "c"(two), "d"(three)
                     : "r8", "r9", "r10", "r11", "memory");
    if (result < 0 && result > -4096) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

static char *low_copy(const char *text)
{
    char *low = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    return low == MAP_FAILED ? NULL : strcpy(low, text);
}

ESCAPE(int80_any, WORD, "some: CONFIG_IA32_EMULATION", "makes a call of 32 bits, getpid")
{
    return outcome_of(int80(20, 0, 0, 0));
}

ESCAPE(int80_open, SEEN, "some: CONFIG_IA32_EMULATION", "opens a file outside by a call of 32 bits")
{
    return printed((int)int80(5, (long)low_copy(given("secret")), O_RDONLY, 0));
}

ESCAPE(int80_unshare, WORD, "some: CONFIG_IA32_EMULATION", "makes a user namespace by a call of 32 bits")
{
    return outcome_of(int80(310, CLONE_NEWUSER, 0, 0));
}

ESCAPE(int80_ptrace, WORD, "some: CONFIG_IA32_EMULATION", "traces a child by a call of 32 bits")
{
    pid_t child = sleeping_child();
    int outcome = outcome_of(int80(26, 16, child, 0));
    kill(child, SIGKILL);
    return outcome;
}

ESCAPE(int80_keyctl, WORD, "some: CONFIG_IA32_EMULATION", "reaches its keyring by a call of 32 bits")
{
    return outcome_of(int80(288, 0, -3, 1));
}

ESCAPE(int80_socketcall, WORD, "some: CONFIG_IA32_EMULATION, CONFIG_VSOCKETS", "opens a vsock by socketcall, whose arguments no filter can read")
{
    uint32_t *words = (uint32_t *)low_copy("");
    words[0] = 40;
    words[1] = 1;
    words[2] = 0;
    return outcome_of(int80(102, 1, (long)words, 0));
}

ESCAPE(int80_ipc, SEEN, "some: CONFIG_IA32_EMULATION", "attaches the host's SysV memory by a call of 32 bits")
{
    uint32_t *place = (uint32_t *)low_copy("");
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(117L), "b"(21L), "c"(number("shm")), "d"(0L), "S"((long)place), "D"(0L)
                     : "r8", "r9", "r10", "r11", "memory");
    if (result < 0) {
        errno = (int)-result;
        return outcome_of(-1);
    }
    return printed_memory((void *)(uintptr_t)*place, 64);
}

ESCAPE(int80_chmod, SEEN, "some: CONFIG_IA32_EMULATION", "leaves a set-user-ID program by a call of 32 bits")
{
    close(open(below("work", "left"), O_CREAT | O_WRONLY, 0755));
    return outcome_of(int80(15, (long)low_copy(below("work", "left")), 04755, 0));
}

/* A far jump into the segment of 32 bits, and a call from there. */
ESCAPE(segment_of_32_bits, WORD, "some: CONFIG_IA32_EMULATION", "goes over to code of 32 bits, and calls from there")
{
    /* mov $20, %eax; int $0x80; then a far return to 64 bits at the address on the stack. */
    static const unsigned char code[] = {0xb8, 0x14, 0, 0, 0, 0xcd, 0x80, 0xcb};
    unsigned char *low = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (low == MAP_FAILED)
        return untried("no memory below 4 GB");
    memcpy(low, code, sizeof code);
    /* The return goes by way of a thunk there: jmp *8(%rip) to the label below. */
    static const unsigned char thunk[] = {0xff, 0x25, 0, 0, 0, 0};
    memcpy(low + 64, thunk, sizeof thunk);
    uint32_t *stack = (uint32_t *)(low + 8192 - 256);
    stack[0] = (uint32_t)(uintptr_t)(low + 64);
    stack[1] = 0x33;
    long result;
    __asm__ volatile("lea 1f(%%rip), %%rcx\n\t"
                     "mov %%rcx, 70(%[low])\n\t"
                     "mov %%rsp, %%r15\n\t"
                     "mov %[stack], %%rsp\n\t"
                     "push $0x23\n\t"
                     "push %[low]\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "mov %%r15, %%rsp\n\t"
                     : "=a"(result)
                     : [low] "b"(low), [stack] "d"(stack)
                     : "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rsi", "rdi", "memory", "cc");
    int error = (int)(int32_t)result;
    errno = error < 0 ? -error : 0;
    return outcome_of(error < 0 ? -1 : error);
}

ESCAPE(x32_any, WORD, "some: CONFIG_X86_X32_ABI", "makes a call of x32, getpid")
{
    return outcome_of(syscall(0x40000000L | SYS_getpid));
}

ESCAPE(x32_unshare, WORD, "some: CONFIG_X86_X32_ABI", "makes a user namespace by a call of x32")
{
    return outcome_of(syscall(0x40000000L | SYS_unshare, CLONE_NEWUSER));
}

ESCAPE(x32_ptrace, WORD, "some: CONFIG_X86_X32_ABI", "asks to be traced by a call of x32")
{
    return outcome_of(syscall(0x40000000L | 521, 0, 0, 0, 0));
}

ESCAPE(x32_chmod, SEEN, "some: CONFIG_X86_X32_ABI", "leaves a set-user-ID program by a call of x32")
{
    close(open(below("work", "left"), O_CREAT | O_WRONLY, 0755));
    return outcome_of(syscall(0x40000000L | SYS_chmod, below("work", "left"), 04755));
}

ESCAPE(number_with_high_bits, WORD, "all since 5.14", "makes a user namespace with higher bits set beside the number of the call")
{
    return outcome_of(syscall(1L << 32 | SYS_unshare, CLONE_NEWUSER));
}

ESCAPE(number_negative, WORD, "none: there is no such call", "makes a call whose number is negative")
{
    return outcome_of(syscall(-2L) == -1 ? -1 : 0);
}

#endif

ESCAPE(number_of_the_future, WORD, "none: there is no such call", "makes calls that this kernel may not have yet")
{
    for (long call = 470; call < 600; call++)
        if (syscall(call, -1L, -1L, -1L, -1L, -1L, -1L) >= 0)
            return THROUGH;
    return outcome_of(-1);
}

static int made_namespace(void)
{
    return outcome_of(unshare(CLONE_NEWUSER));
}

ESCAPE(forbidden_in_child, WORD, "all", "makes a user namespace in a child")
{
    return in_child(made_namespace);
}

static void *made_by_thread(void *outcome)
{
    *(int *)outcome = syscall(SYS_unshare, CLONE_NEWUTS) < 0 ? STOPPED : THROUGH;
    return NULL;
}

ESCAPE(forbidden_in_thread, WORD, "root", "makes a namespace in a new thread")
{
    pthread_t thread;
    int outcome = STOPPED;
    if (pthread_create(&thread, NULL, made_by_thread, &outcome) != 0)
        return untried("no thread");
    pthread_join(thread, NULL);
    return outcome;
}

static int made_in_shared_memory(void *unused)
{
    (void)unused;
    return syscall(SYS_unshare, CLONE_NEWUSER) < 0 ? STOPPED : THROUGH;
}

ESCAPE(forbidden_in_shared_memory, WORD, "all", "makes a user namespace in a child with CLONE_VM")
{
    static char stack[65536] __attribute__((aligned(16)));
    int status = 0;
    int pid = clone(made_in_shared_memory, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return outcome_of(-1);
    return WIFEXITED(status) ? WEXITSTATUS(status) : STOPPED;
}

static volatile int in_handler;

static void made_by_handler(int number_of)
{
    (void)number_of;
    in_handler = syscall(SYS_unshare, CLONE_NEWUSER) < 0 ? STOPPED : THROUGH;
}

ESCAPE(forbidden_in_signal_handler, WORD, "all", "makes a user namespace in a signal handler")
{
    signal(SIGUSR1, made_by_handler);
    raise(SIGUSR1);
    return in_handler;
}

ESCAPE(program_from_memory, SEEN, "all", "runs a program from a memfd with execveat, and reads")
{
    int memory = memfd_create("program", 0), own = open("/proc/self/exe", O_RDONLY);
    char buffer[65536];
    if (memory < 0 || own < 0)
        return outcome_of(-1);
    for (ssize_t size; (size = read(own, buffer, sizeof buffer)) > 0;)
        write(memory, buffer, (size_t)size);
    char *const words[] = {"program", "confederate", (char *)given("secret"), NULL};
    char *const none[] = {NULL};
    fflush(stdout);
    syscall(SYS_execveat, memory, "", words, none, AT_EMPTY_PATH);
    return outcome_of(-1);
}

ESCAPE(program_by_descriptor, SEEN, "all", "runs a program outside that it holds by O_PATH with execveat")
{
    char *const words[] = {"program", "confederate", (char *)given("secret"), NULL};
    char *const none[] = {NULL};
    int held = open(below("outside", "program"), O_PATH);
    fflush(stdout);
    if (held >= 0)
        syscall(SYS_execveat, held, "", words, none, AT_EMPTY_PATH);
    return outcome_of(-1);
}

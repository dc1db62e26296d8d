/* The calls that a trace tells of. A filter with one answer for each number costs other calls nothing: the kernel keeps its answers. */
#include "family_calls.h"

#include <linux/seccomp.h>

#include "child.h"

static const struct ramet_family_row rows[] = {
#define RAMET_FAMILY(arch, number, call, word, tls_first) {arch, number, RAMET_FAMILY_##call, word, tls_first},
#include "family_calls.def"
#undef RAMET_FAMILY
};

#define ROWS (sizeof rows / sizeof *rows)

const struct ramet_family_row *ramet_family_find(uint32_t arch, uint64_t number)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].arch == arch && rows[i].number == number)
            return &rows[i];
    return NULL;
}

static size_t end_of_arch(size_t first)
{
    size_t end = first;
    while (end < ROWS && rows[end].arch == rows[first].arch)
        end++;
    return end;
}

static struct sock_filter load(size_t offset)
{
    return (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset);
}

static struct sock_filter answer(uint32_t value)
{
    return (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value);
}

/* The number of instructions that are left out. */
static struct sock_filter unless_equal(uint32_t value, size_t skipped)
{
    return (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, (uint8_t)skipped);
}

static struct sock_filter if_equal(uint32_t value, size_t skipped)
{
    return (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, (uint8_t)skipped, 0);
}

size_t ramet_family_filter(struct sock_filter program[RAMET_FAMILY_MOST_INSTRUCTIONS])
{
    size_t used = 0;
    for (size_t first = 0, end; first < ROWS; first = end) {
        end = end_of_arch(first);
        const size_t calls = end - first;
        program[used++] = load(offsetof(struct seccomp_data, arch));
        program[used++] = unless_equal(rows[first].arch, calls + 3);
        program[used++] = load(offsetof(struct seccomp_data, nr));
        for (size_t i = 0; i < calls; i++)
            program[used++] = if_equal(rows[first + i].number, calls - i);
        program[used++] = answer(SECCOMP_RET_ALLOW);
        program[used++] = answer(SECCOMP_RET_TRACE);
    }
    program[used++] = answer(SECCOMP_RET_ALLOW);
    return used;
}

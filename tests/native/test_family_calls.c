/* A filter of these rows stops at each of them and at nothing else, and a row is found by architecture and number. */
#include "check.h"
#include "family_calls.h"

#include <linux/seccomp.h>
#include <stddef.h>

/* What the kernel would do with the few instructions that the filter is made of. */
static uint32_t answer_to(const struct sock_filter *program, size_t count, uint32_t arch, uint32_t number)
{
    uint32_t accumulator = 0;
    for (size_t at = 0; at < count; at++) {
        const struct sock_filter *one = &program[at];
        if (one->code == (BPF_LD | BPF_W | BPF_ABS))
            accumulator = one->k == offsetof(struct seccomp_data, arch) ? arch : number;
        else if (one->code == (BPF_JMP | BPF_JEQ | BPF_K))
            at += accumulator == one->k ? one->jt : one->jf;
        else
            return one->k;
    }
    CHECK(!"the program has an answer");
    return 0;
}

static void the_filter_stops_at_the_family_alone(void)
{
    struct sock_filter program[RAMET_FAMILY_MOST_INSTRUCTIONS];
    const size_t count = ramet_family_filter(program);
    CHECK(count < RAMET_FAMILY_MOST_INSTRUCTIONS);
    const uint32_t architectures[] = {RAMET_AUDIT_ARCH, 0x40000003u, 0x40000028u, 0xc00000f3u};
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
        for (uint32_t number = 0; number < 600; number++) {
            const bool stops = ramet_family_find(architectures[i], number) != NULL;
            const uint32_t wanted = stops ? SECCOMP_RET_TRACE : SECCOMP_RET_ALLOW;
            CHECK(answer_to(program, count, architectures[i], number) == wanted);
        }
}

static void the_calls_have_the_numbers_of_this_processor(void)
{
    CHECK(ramet_family_find(RAMET_AUDIT_ARCH, __NR_clone)->call == RAMET_FAMILY_CLONE);
    CHECK(ramet_family_find(RAMET_AUDIT_ARCH, __NR_clone3)->call == RAMET_FAMILY_CLONE3);
    CHECK(ramet_family_find(RAMET_AUDIT_ARCH, __NR_execve)->call == RAMET_FAMILY_EXECVE);
    CHECK(ramet_family_find(RAMET_AUDIT_ARCH, __NR_execveat)->call == RAMET_FAMILY_EXECVEAT);
    CHECK(ramet_family_find(RAMET_AUDIT_ARCH, __NR_unshare)->call == RAMET_FAMILY_UNSHARE);
    CHECK(ramet_family_find(RAMET_AUDIT_ARCH, __NR_setns)->call == RAMET_FAMILY_SETNS);
    CHECK(ramet_family_find(RAMET_AUDIT_ARCH, __NR_read) == NULL);
    CHECK(ramet_family_find(RAMET_AUDIT_ARCH ^ 1, __NR_clone) == NULL);
}

int main(void)
{
    the_filter_stops_at_the_family_alone();
    the_calls_have_the_numbers_of_this_processor();
    return passed();
}

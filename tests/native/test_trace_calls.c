/* A call's record has its arguments in one order for all processors, and what they point to, as far as that may be read. */
#include "check.h"
#include "trace_calls.h"

#include <string.h>

static struct ramet_trace_records records;
static const struct ramet_trace_limits limits = {.arguments = 3, .bytes = 200};
static char *block;

static const struct ramet_trace_record *recorded(enum ramet_family_call call, const uint64_t args[6], bool tls_first)
{
    const struct ramet_family_row row = {.call = call, .word = sizeof(char *), .tls_first = tls_first};
    free(block);
    ramet_trace_call(&records, &limits, &row, getpid(), 5, args);
    CHECK(ramet_trace_take(&records, 1, 0, &block) > 0);
    return (const struct ramet_trace_record *)block;
}

static const char *part(const struct ramet_trace_record *record, unsigned number, uint32_t *length)
{
    const char *at = (const char *)(record + 1);
    CHECK(number < record->parts);
    for (;; at += sizeof *length + (*length & ~RAMET_TRACE_CUT)) {
        memcpy(length, at, sizeof *length);
        if (number-- == 0)
            return at + sizeof *length;
    }
}

static void check_part(const struct ramet_trace_record *record, unsigned number, const char *text, bool is_cut)
{
    uint32_t length;
    const char *found = part(record, number, &length);
    CHECK((length & ~RAMET_TRACE_CUT) == strlen(text) && memcmp(found, text, strlen(text)) == 0);
    CHECK(!!(length & RAMET_TRACE_CUT) == is_cut);
}

static void clone_has_one_order(void)
{
    const uint64_t args[6] = {1, 2, 3, 4, 5, 6};
    const struct ramet_trace_record *record = recorded(RAMET_FAMILY_CLONE, args, false);
    CHECK(record->kind == RAMET_TRACE_CALL && record->call == RAMET_FAMILY_CLONE && record->time == 5);
    CHECK(record->args[3] == 4 && record->args[4] == 5);
    record = recorded(RAMET_FAMILY_CLONE, args, true);
    CHECK(record->args[0] == 1 && record->args[3] == 5 && record->args[4] == 4);
}

static void clone3_has_its_structure(void)
{
    const int32_t pids[] = {70, 71};
    struct ramet_clone_args asked = {.flags = 0x100, .set_tid = (uintptr_t)pids, .set_tid_size = 2};
    const uint64_t args[6] = {(uintptr_t)&asked, sizeof asked};
    uint32_t length;
    const struct ramet_trace_record *record = recorded(RAMET_FAMILY_CLONE3, args, false);
    const char *structure = part(record, 0, &length);
    CHECK(length == sizeof asked && memcmp(structure, &asked, sizeof asked) == 0);
    const char *chosen = part(record, 1, &length);
    CHECK(length == sizeof pids && memcmp(chosen, pids, sizeof pids) == 0);
    const uint64_t nowhere[6] = {8, sizeof asked};
    part(recorded(RAMET_FAMILY_CLONE3, nowhere, false), 0, &length);
    CHECK(length == 0);
}

static void a_program_has_its_arguments(void)
{
    static char lengthy[1000];
    memset(lengthy, 'y', sizeof lengthy - 1);
    const char *argv[] = {"name", "", lengthy, "more", NULL};
    const uint64_t args[6] = {(uintptr_t)"/bin/true", (uintptr_t)argv};
    const struct ramet_trace_record *record = recorded(RAMET_FAMILY_EXECVE, args, false);
    CHECK(record->parts == 4 && record->args[3] == 1); /* there are more than three */
    check_part(record, 0, "/bin/true", false);
    check_part(record, 1, "name", false);
    check_part(record, 2, "", false);
    lengthy[200] = 0;
    check_part(record, 3, lengthy, true);
    argv[3] = NULL;
    CHECK(recorded(RAMET_FAMILY_EXECVE, args, false)->args[3] == 0);
    const uint64_t unreadable[6] = {8, 8};
    record = recorded(RAMET_FAMILY_EXECVE, unreadable, false);
    CHECK(record->parts == 1);
    check_part(record, 0, "", true);
}

static void a_descriptor_is_named(void)
{
    int pipes[2];
    char name[64];
    CHECK(pipe(pipes) == 0);
    const uint64_t args[6] = {(uint64_t)pipes[0]};
    uint32_t length;
    memcpy(name, part(recorded(RAMET_FAMILY_SETNS, args, false), 0, &length), 5);
    CHECK(length > 5 && memcmp(name, "pipe:", 5) == 0);
    CHECK(close(pipes[0]) == 0 && close(pipes[1]) == 0);
}

static void a_refusal_has_its_caller(void)
{
    uint32_t length;
    free(block);
    ramet_trace_return(&records, RAMET_FAMILY_UNSHARE, getpid(), 6, -EPERM);
    CHECK(ramet_trace_take(&records, 1, 0, &block) > 0);
    const struct ramet_trace_record *record = (const struct ramet_trace_record *)block;
    CHECK(record->kind == RAMET_TRACE_RETURNED && record->result == -EPERM && record->parts == 2);
    CHECK(memcmp(part(record, 0, &length), "Name:", 5) == 0);
    CHECK(memcmp(part(record, 1, &length), "user:", 5) == 0);
}

int main(void)
{
    ramet_trace_records_begin(&records);
    clone_has_one_order();
    clone3_has_its_structure();
    a_program_has_its_arguments();
    a_descriptor_is_named();
    a_refusal_has_its_caller();
    free(block);
    ramet_trace_records_end(&records);
    return passed();
}

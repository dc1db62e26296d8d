/* What a tracee asks of the kernel, read while it is stopped at its call: later its memory may be another's. */
#define _GNU_SOURCE
#include "trace_calls.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "child.h"
#include "tracee_memory.h"

#define MOST_CLONE_ARGS 256 /* a later kernel's structure may be longer than the one that is known here */
#define MOST_SET_TID 64     /* the kernel takes one for each level of pid namespaces: 32 */
#define MOST_STATUS 4096
#define STRINGS_AT_ONCE 32
#define SHORT_STRING 128

/* ---- what a descriptor of the tracee's refers to */

#define PLACE_BYTES 64 /* a path below /proc/<tid> */

static void put_link(struct ramet_trace_records *records, const char *path)
{
    char target[PATH_MAX];
    const ssize_t length = readlink(path, target, sizeof target);
    ramet_trace_part(records, target, length < 0 ? 0 : (size_t)length, false);
}

static void put_descriptor(struct ramet_trace_records *records, int tid, uint64_t descriptor)
{
    char path[PLACE_BYTES];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, (int)descriptor);
    put_link(records, path);
}

/* ---- clone3 */

static void put_clone_args(struct ramet_trace_records *records, int tid, uint64_t address, uint64_t size)
{
    struct ramet_clone_args known = {0};
    char bytes[MOST_CLONE_ARGS];
    int32_t pids[MOST_SET_TID];
    const size_t wanted = size < sizeof bytes ? size : sizeof bytes;
    const size_t length = ramet_tracee_read(tid, address, bytes, wanted);
    memcpy(&known, bytes, length < sizeof known ? length : sizeof known);
    ramet_trace_part(records, bytes, length, wanted < size);
    const size_t count = known.set_tid_size < MOST_SET_TID ? known.set_tid_size : MOST_SET_TID;
    ramet_trace_part(records, pids, ramet_tracee_read(tid, known.set_tid, pids, count * sizeof *pids), false);
    if (known.flags & CLONE_INTO_CGROUP)
        put_descriptor(records, tid, known.cgroup);
    else
        ramet_trace_part(records, NULL, 0, false);
}

/* ---- a program's path and arguments */

static void put_string(struct ramet_trace_records *records, int tid, uint64_t address, size_t most)
{
    char small[PATH_MAX];
    char *text = most <= sizeof small ? small : malloc(most);
    if (text == NULL)
        text = small, most = sizeof small;
    const struct ramet_tracee_text read = ramet_tracee_string(tid, address, text, most);
    ramet_trace_part(records, text, read.length, read.is_cut);
    if (text != small)
        free(text);
}

/* The addresses of the next arguments; fewer than asked for when the array ends, or cannot be read. */
static size_t read_addresses(int tid, uint64_t array, uint8_t word, uint64_t *addresses, size_t most)
{
    char bytes[STRINGS_AT_ONCE * sizeof(uint64_t)];
    const size_t got = ramet_tracee_read(tid, array, bytes, most * word) / word;
    for (size_t i = 0; i < got; i++) {
        addresses[i] = 0;
        memcpy(&addresses[i], bytes + i * word, word); /* both processors are little-endian */
        if (addresses[i] == 0)
            return i;
    }
    return got;
}

/* One call of the kernel's for all, since most are short; those that are not are read one by one. */
static void put_strings(struct ramet_trace_records *records, int tid, const uint64_t *addresses, size_t count, size_t most)
{
    char begins[STRINGS_AT_ONCE][SHORT_STRING];
    struct iovec local[STRINGS_AT_ONCE] = {0}, remote[STRINGS_AT_ONCE] = {0};
    for (size_t i = 0; i < count; i++) {
        const size_t left_in_page = 4096 - addresses[i] % 4096;
        const size_t part = left_in_page < SHORT_STRING ? left_in_page : SHORT_STRING;
        local[i] = (struct iovec){begins[i], part};
        remote[i] = (struct iovec){(void *)(uintptr_t)addresses[i], part};
    }
    ssize_t left = process_vm_readv(tid, local, count, remote, count, 0);
    for (size_t i = 0; i < count; i++) {
        const bool is_read = left >= (ssize_t)local[i].iov_len;
        const char *end = is_read ? memchr(begins[i], 0, local[i].iov_len) : NULL;
        left = is_read ? left - (ssize_t)local[i].iov_len : 0;
        if (end != NULL && (size_t)(end - begins[i]) <= most)
            ramet_trace_part(records, begins[i], (size_t)(end - begins[i]), false);
        else
            put_string(records, tid, addresses[i], most);
    }
}

static void put_arguments(struct ramet_trace_records *records, const struct ramet_trace_limits *limits, int tid,
                          uint64_t array, uint8_t word)
{
    uint64_t addresses[STRINGS_AT_ONCE];
    size_t count = STRINGS_AT_ONCE;
    for (size_t done = 0; done < limits->arguments && count == STRINGS_AT_ONCE; done += count) {
        const size_t left = limits->arguments - done;
        count = read_addresses(tid, array + done * word, word, addresses, left < STRINGS_AT_ONCE ? left : STRINGS_AT_ONCE);
        put_strings(records, tid, addresses, count, limits->bytes);
    }
}

static bool has_more_arguments(const struct ramet_trace_limits *limits, int tid, uint64_t array, uint8_t word)
{
    uint64_t addresses[STRINGS_AT_ONCE];
    size_t count = STRINGS_AT_ONCE, done = 0;
    for (; done <= limits->arguments && count == STRINGS_AT_ONCE; done += count)
        count = read_addresses(tid, array + done * word, word, addresses, STRINGS_AT_ONCE);
    return done > limits->arguments;
}

static void put_program(struct ramet_trace_records *records, const struct ramet_trace_limits *limits,
                        const struct ramet_family_row *row, struct ramet_trace_record *record, const uint64_t args[6])
{
    const bool at = row->call == RAMET_FAMILY_EXECVEAT;
    const uint64_t path = args[at], argv = args[at + 1];
    record->args[0] = at ? args[0] : 0;
    record->args[1] = at ? args[4] : 0;
    record->args[2] = 0;
    record->args[3] = has_more_arguments(limits, record->tid, argv, row->word);
    ramet_trace_open(records, record);
    if (at)
        put_descriptor(records, record->tid, args[0]);
    put_string(records, record->tid, path, PATH_MAX);
    put_arguments(records, limits, record->tid, argv, row->word);
    ramet_trace_close(records);
}

/* ---- records */

static void order_clone(struct ramet_trace_record *record, const uint64_t args[6], bool tls_first)
{
    record->args[3] = args[tls_first ? 4 : 3];
    record->args[4] = args[tls_first ? 3 : 4];
}

void ramet_trace_call(struct ramet_trace_records *records, const struct ramet_trace_limits *limits,
                      const struct ramet_family_row *row, int tid, int64_t time, const uint64_t args[6])
{
    struct ramet_trace_record record = {.kind = RAMET_TRACE_CALL, .call = (uint16_t)row->call, .tid = tid, .time = time};
    memcpy(record.args, args, 6 * sizeof *args);
    if (row->call == RAMET_FAMILY_EXECVE || row->call == RAMET_FAMILY_EXECVEAT) {
        put_program(records, limits, row, &record, args);
        return;
    }
    if (row->call == RAMET_FAMILY_CLONE)
        order_clone(&record, args, row->tls_first);
    ramet_trace_open(records, &record);
    if (row->call == RAMET_FAMILY_CLONE3)
        put_clone_args(records, tid, args[0], args[1]);
    if (row->call == RAMET_FAMILY_SETNS)
        put_descriptor(records, tid, args[0]);
    ramet_trace_close(records);
}

static void put_caller(struct ramet_trace_records *records, int tid)
{
    char path[PLACE_BYTES], text[MOST_STATUS];
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t length = file < 0 ? -1 : read(file, text, sizeof text);
    if (file >= 0)
        close(file);
    ramet_trace_part(records, text, length < 0 ? 0 : (size_t)length, false);
    snprintf(path, sizeof path, "/proc/%d/ns/user", tid);
    put_link(records, path);
}

static bool is_of_programs(enum ramet_family_call call)
{
    return call == RAMET_FAMILY_EXECVE || call == RAMET_FAMILY_EXECVEAT;
}

void ramet_trace_return(struct ramet_trace_records *records, enum ramet_family_call call, int tid, int64_t time,
                        int64_t result)
{
    const struct ramet_trace_record record = {
        .kind = RAMET_TRACE_RETURNED, .call = (uint16_t)call, .tid = tid, .time = time, .result = result};
    ramet_trace_open(records, &record);
    if (result < 0 && !is_of_programs(call))
        put_caller(records, tid);
    ramet_trace_close(records);
}

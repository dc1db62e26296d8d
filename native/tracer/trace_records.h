/* What a tracer has seen, record by record, from its thread to the thread that reads them. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* src/ramet/observe/tracing/records.py reads these by their layout. */
enum ramet_trace_kind {
    RAMET_TRACE_SEEN = 1, /* args[0]: 1 when the tracer attaches to it, 0 at the first stop of one that was not told of before */
    RAMET_TRACE_CALL,     /* it has made a call; args: as trace_calls.h says */
    RAMET_TRACE_RETURNED, /* result: of that call. A call that has made a task or begun a program has no such record */
    RAMET_TRACE_MADE,     /* other: the new task; args[0]: PTRACE_EVENT_*. */
    RAMET_TRACE_EXECED,   /* other: the tid before, which is another when a thread that did not lead has exec'ed */
    RAMET_TRACE_ENDED,    /* result: of wait4(2); args: user and system time in us, peak resident size in KiB */
    RAMET_TRACE_LEFT,     /* no longer traced, and goes on */
    RAMET_TRACE_OVER,     /* the last; args: stops, ns in the tracer, records lost for want of memory */
};

#define RAMET_TRACE_ARGS 7

struct ramet_trace_record {
    uint32_t size; /* with its parts, a multiple of 8 */
    uint16_t kind;
    uint16_t call;
    int32_t tid;
    int32_t other;
    int64_t time; /* ramet_now() */
    int64_t result;
    uint64_t args[RAMET_TRACE_ARGS];
    uint64_t parts; /* how many follow */
};

_Static_assert(sizeof(struct ramet_trace_record) == 96, "records.py");

#define RAMET_TRACE_CUT 0x80000000u /* in a part's length: there is more of it */

struct ramet_trace_records {
    pthread_mutex_t lock;
    char *bytes;
    size_t used, capacity;
    size_t at;       /* of the record that is being written */
    uint64_t parts;  /* of that record */
    uint64_t lost;   /* for want of memory */
    int over;        /* no record will come */
    int word;        /* a futex word: changes when the reader is to look */
    size_t awaited;  /* so many bytes make the reader look; 0: it does not wait */
};

void ramet_trace_records_begin(struct ramet_trace_records *records);
void ramet_trace_records_end(struct ramet_trace_records *records);

/* By the tracer: a record begins with its fixed part, has any number of parts (a length of 32 bits, the bytes) and is closed. */
void ramet_trace_open(struct ramet_trace_records *records, const struct ramet_trace_record *record);
void ramet_trace_part(struct ramet_trace_records *records, const void *bytes, size_t length, bool is_cut);
void ramet_trace_close(struct ramet_trace_records *records);
void ramet_trace_put(struct ramet_trace_records *records, const struct ramet_trace_record *record); /* without parts */
void ramet_trace_over(struct ramet_trace_records *records);

/*
 * By the reader: waits for the first record, then until there are `enough` bytes or the patience is over (in ns), and takes all.
 * The caller frees *bytes. Returns their number, 0 at the end, -EINTR when a signal has come.
 */
long ramet_trace_take(struct ramet_trace_records *records, size_t enough, int64_t patience, char **bytes);

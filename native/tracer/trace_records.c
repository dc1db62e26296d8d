/* A block that grows while the reader is away: a tracee never waits for the reader. */
#include "trace_records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "futex.h"

#define FIRST_BYTES 65536
#define NOTHING_OPEN SIZE_MAX

void ramet_trace_records_begin(struct ramet_trace_records *records)
{
    *records = (struct ramet_trace_records){.at = NOTHING_OPEN};
    pthread_mutex_init(&records->lock, NULL);
}

void ramet_trace_records_end(struct ramet_trace_records *records)
{
    free(records->bytes);
    pthread_mutex_destroy(&records->lock);
}

static bool make_room(struct ramet_trace_records *records, size_t length)
{
    size_t capacity = records->capacity > 0 ? records->capacity : FIRST_BYTES;
    while (capacity < records->used + length)
        capacity *= 2;
    if (capacity == records->capacity)
        return true;
    char *more = realloc(records->bytes, capacity);
    if (more == NULL)
        return false;
    records->bytes = more;
    records->capacity = capacity;
    return true;
}

/* One that does not fit takes all of its record with it. */
static void append(struct ramet_trace_records *records, const void *bytes, size_t length)
{
    if (records->at == NOTHING_OPEN)
        return;
    if (!make_room(records, length)) {
        records->used = records->at;
        records->at = NOTHING_OPEN;
        records->lost++;
        return;
    }
    if (bytes != NULL)
        memcpy(records->bytes + records->used, bytes, length);
    else
        memset(records->bytes + records->used, 0, length);
    records->used += length;
}

/* The lock is held until the record is closed. */
void ramet_trace_open(struct ramet_trace_records *records, const struct ramet_trace_record *record)
{
    pthread_mutex_lock(&records->lock);
    records->at = records->used;
    records->parts = 0;
    append(records, record, sizeof *record);
}

void ramet_trace_part(struct ramet_trace_records *records, const void *bytes, size_t length, bool is_cut)
{
    const uint32_t word = (uint32_t)length | (is_cut ? RAMET_TRACE_CUT : 0);
    records->parts++;
    append(records, &word, sizeof word);
    if (length > 0)
        append(records, bytes, length);
}

static void wake_reader(struct ramet_trace_records *records)
{
    records->awaited = 0;
    ramet_futex_set(&records->word, records->word + 1);
}

void ramet_trace_close(struct ramet_trace_records *records)
{
    if (records->at != NOTHING_OPEN && records->used % 8 != 0)
        append(records, NULL, 8 - records->used % 8);
    if (records->at != NOTHING_OPEN) {
        struct ramet_trace_record record;
        memcpy(&record, records->bytes + records->at, sizeof record);
        record.size = (uint32_t)(records->used - records->at);
        record.parts = records->parts;
        memcpy(records->bytes + records->at, &record, sizeof record);
    }
    records->at = NOTHING_OPEN;
    if (records->awaited > 0 && records->used >= records->awaited)
        wake_reader(records);
    pthread_mutex_unlock(&records->lock);
}

void ramet_trace_put(struct ramet_trace_records *records, const struct ramet_trace_record *record)
{
    ramet_trace_open(records, record);
    ramet_trace_close(records);
}

void ramet_trace_over(struct ramet_trace_records *records)
{
    pthread_mutex_lock(&records->lock);
    records->over = 1;
    wake_reader(records);
    pthread_mutex_unlock(&records->lock);
}

/* Holding the lock. Until there are so many bytes: 0; or -ETIMEDOUT, -EINTR. */
static int await(struct ramet_trace_records *records, size_t wanted, int64_t time)
{
    int error = 0;
    while (records->used < wanted && !records->over && error == 0) {
        records->awaited = wanted;
        const int word = records->word;
        const int64_t left = time < 0 ? -1 : time - ramet_now();
        pthread_mutex_unlock(&records->lock);
        error = time >= 0 && left <= 0 ? -ETIMEDOUT : ramet_futex_wait_while(&records->word, word, left);
        pthread_mutex_lock(&records->lock);
        records->awaited = 0;
    }
    return error;
}

long ramet_trace_take(struct ramet_trace_records *records, size_t enough, int64_t patience, char **bytes)
{
    pthread_mutex_lock(&records->lock);
    int error = await(records, 1, -1);
    if (error == 0 && enough > 1)
        error = await(records, enough, ramet_now() + patience);
    const long length = error == -EINTR ? -EINTR : (long)records->used;
    *bytes = NULL;
    if (length > 0) {
        *bytes = records->bytes;
        records->bytes = NULL;
        records->used = records->capacity = 0;
    }
    pthread_mutex_unlock(&records->lock);
    return length;
}

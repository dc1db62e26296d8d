/* What is written comes to the reader whole and in its order, who sleeps until there is enough, or the time or the trace is over. */
#include "check.h"
#include "futex.h"
#include "trace_records.h"

#include <string.h>

static struct ramet_trace_records records;

static void records_come_whole(void)
{
    char *bytes;
    struct ramet_trace_record record = {.kind = RAMET_TRACE_MADE, .tid = 7, .other = 8, .args = {3}}, *first;
    ramet_trace_put(&records, &record);
    ramet_trace_open(&records, &record);
    ramet_trace_part(&records, "one", 3, false);
    ramet_trace_part(&records, NULL, 0, false);
    ramet_trace_part(&records, "three", 5, true);
    ramet_trace_close(&records);
    const long length = ramet_trace_take(&records, 1, 0, &bytes);
    first = (struct ramet_trace_record *)bytes;
    CHECK(first->size == sizeof record && first->tid == 7 && first->args[0] == 3 && first->parts == 0);
    const struct ramet_trace_record *second = (struct ramet_trace_record *)(bytes + first->size);
    CHECK(length == first->size + second->size && second->size % 8 == 0 && second->parts == 3);
    const char *part = (const char *)(second + 1);
    uint32_t word;
    memcpy(&word, part, sizeof word);
    CHECK(word == 3 && memcmp(part + 4, "one", 3) == 0);
    memcpy(&word, part + 7, sizeof word);
    CHECK(word == 0);
    memcpy(&word, part + 11, sizeof word);
    CHECK(word == (5 | RAMET_TRACE_CUT) && memcmp(part + 15, "three", 5) == 0);
    free(bytes);
}

static void *write_some(void *unused)
{
    const struct ramet_trace_record record = {.kind = RAMET_TRACE_SEEN};
    for (int i = 0; i < 1000; i++)
        ramet_trace_put(&records, &record);
    ramet_trace_over(&records);
    return unused;
}

static void the_reader_waits(void)
{
    pthread_t writer;
    char *bytes;
    long length, all = 0;
    CHECK(pthread_create(&writer, NULL, write_some, NULL) == 0);
    while ((length = ramet_trace_take(&records, 5000, RAMET_SECOND, &bytes)) > 0) {
        CHECK(length % (long)sizeof(struct ramet_trace_record) == 0);
        all += length;
        free(bytes);
    }
    CHECK(length == 0 && all == 1000 * (long)sizeof(struct ramet_trace_record) && bytes == NULL);
    CHECK(pthread_join(writer, NULL) == 0);
}

static void it_does_not_wait_longer_than_it_may(void)
{
    char *bytes;
    const struct ramet_trace_record record = {.kind = RAMET_TRACE_SEEN};
    ramet_trace_put(&records, &record);
    const int64_t begin = ramet_now();
    CHECK(ramet_trace_take(&records, 1 << 20, 2 * RAMET_MILLISECOND, &bytes) == sizeof record);
    CHECK(ramet_now() - begin >= 2 * RAMET_MILLISECOND);
    free(bytes);
}

int main(void)
{
    ramet_trace_records_begin(&records);
    records_come_whole();
    it_does_not_wait_longer_than_it_may();
    the_reader_waits();
    ramet_trace_records_end(&records);
    return passed();
}

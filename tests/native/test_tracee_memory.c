/* Memory is read up to the first page that cannot be, and a string up to its end. */
#include "check.h"
#include "tracee_memory.h"

#include <string.h>

static char *two_pages_before_nothing(size_t *size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && mprotect(memory + 2 * page, page, PROT_NONE) == 0);
    *size = 2 * page;
    return memory;
}

int main(void)
{
    size_t size;
    static char to[1 << 18];
    char *memory = two_pages_before_nothing(&size);
    const uint64_t begin = (uintptr_t)memory;
    memset(memory, 'x', size);

    CHECK(ramet_tracee_read(getpid(), begin + 5, to, size) == size - 5 && to[0] == 'x');
    CHECK(ramet_tracee_read(getpid(), begin + size, to, 1) == 0);
    CHECK(ramet_tracee_read(getpid(), 0, to, 8) == 0);
    CHECK(ramet_tracee_read(getpid(), begin, to, 0) == 0);

    struct ramet_tracee_text text = ramet_tracee_string(getpid(), begin + size - 9, to, sizeof to);
    CHECK(text.length == 9 && text.is_cut); /* its end cannot be read */
    memory[size - 1] = 0;
    text = ramet_tracee_string(getpid(), begin + 3, to, sizeof to);
    CHECK(text.length == size - 4 && !text.is_cut); /* over the pages' border */
    text = ramet_tracee_string(getpid(), begin, to, 10);
    CHECK(text.length == 10 && text.is_cut);
    text = ramet_tracee_string(getpid(), 0, to, 10);
    CHECK(text.length == 0 && text.is_cut);
    text = ramet_tracee_string(getpid(), begin + size - 1, to, 10);
    CHECK(text.length == 0 && !text.is_cut);
    return passed();
}

/* getdents64(2) without libc. */
#include "listing.h"

#include <linux/fcntl.h>

/* The kernel's struct linux_dirent64. */
struct entry {
    uint64_t inode;
    int64_t next;
    uint16_t length;
    uint8_t type;
    char name[];
};

_Static_assert(offsetof(struct entry, name) == 19, "struct linux_dirent64");

/* -1 for a name that is no number: "." and "..". */
static long number_of(const char *name)
{
    long number = 0;
    for (; *name >= '0' && *name <= '9'; name++)
        number = number * 10 + (*name - '0');
    return *name == '\0' ? number : -1;
}

void ramet_listing_open(struct ramet_listing *listing, const char *path)
{
    listing->descriptor = ramet_syscall4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    listing->length = listing->at = 0;
}

/* Where the directory could not be opened, the read fails. */
long ramet_listing_next(struct ramet_listing *listing)
{
    for (;;) {
        if (listing->at >= listing->length) {
            listing->length =
                ramet_syscall3(__NR_getdents64, listing->descriptor, listing->entries, sizeof listing->entries);
            listing->at = 0;
        }
        if (listing->length <= 0)
            return -1;
        const struct entry *entry = (const struct entry *)&listing->entries[listing->at];
        listing->at += entry->length;
        long number = number_of(entry->name);
        if (number >= 0)
            return number;
    }
}

void ramet_listing_rewind(struct ramet_listing *listing)
{
    ramet_syscall3(__NR_lseek, listing->descriptor, 0, 0 /* SEEK_SET */);
    listing->length = listing->at = 0;
}

bool ramet_listing_close(struct ramet_listing *listing)
{
    ramet_syscall1(__NR_close, listing->descriptor);
    return listing->length == 0;
}

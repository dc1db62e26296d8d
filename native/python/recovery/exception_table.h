/* The numbers of a code object's exception table: six bits a byte, the highest first (InternalDocs/exception_handling.md). */
#ifndef RAMET_EXCEPTION_TABLE_H
#define RAMET_EXCEPTION_TABLE_H

static inline unsigned int core_read_varint(const unsigned char **at, const unsigned char *end)
{
    unsigned int value = 0;
    while (*at < end) {
        unsigned char byte = *(*at)++;
        value = value << 6 | (byte & 63);
        if (!(byte & 64))
            break;
    }
    return value;
}

#endif

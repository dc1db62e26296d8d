/* The calls that a trace tells of, those that make a task, begin a program or change namespaces, and the filter that stops at them. */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* src/ramet/observe/tracing/records.py has the same numbers. */
enum ramet_family_call {
    RAMET_FAMILY_CLONE = 1,
    RAMET_FAMILY_CLONE3,
    RAMET_FAMILY_FORK,
    RAMET_FAMILY_VFORK,
    RAMET_FAMILY_EXECVE,
    RAMET_FAMILY_EXECVEAT,
    RAMET_FAMILY_UNSHARE,
    RAMET_FAMILY_SETNS,
};

struct ramet_family_row {
    uint32_t arch;   /* AUDIT_ARCH_*, linux/audit.h */
    uint32_t number;
    enum ramet_family_call call;
    uint8_t word;    /* bytes of a pointer in the caller's memory */
    bool tls_first;  /* clone() takes tls before ctid */
};

/* NULL for any other call. */
const struct ramet_family_row *ramet_family_find(uint32_t arch, uint64_t number);

#define RAMET_FAMILY_MOST_INSTRUCTIONS 64

/* Writes a seccomp filter that stops at these calls for a tracer and allows all others; returns the instructions' number. */
size_t ramet_family_filter(struct sock_filter program[RAMET_FAMILY_MOST_INSTRUCTIONS]);

/* Writes the record of a call of the family: its arguments in one order for all processors, and what they point to. */
#pragma once

#include "family_calls.h"
#include "trace_records.h"

/*
 * args and parts by call:
 *   CLONE           flags, stack, ptid, ctid, tls
 *   CLONE3          the address and the size of clone_args | the structure, the pids of set_tid, what the cgroup's descriptor refers to
 *   EXECVE          -, -, -, whether there are more arguments | path, arguments
 *   EXECVEAT        directory, flags, -, the same | what the directory refers to, path, arguments
 *   UNSHARE         flags
 *   SETNS           descriptor, type | what the descriptor refers to
 */
struct ramet_trace_limits {
    size_t arguments; /* of a program, so many are read */
    size_t bytes;     /* of each argument */
};

void ramet_trace_call(struct ramet_trace_records *records, const struct ramet_trace_limits *limits,
                      const struct ramet_family_row *row, int tid, int64_t time, const uint64_t args[6]);

/* A call of the family has returned; where it failed, the parts are the caller's status in /proc and its user namespace. */
void ramet_trace_return(struct ramet_trace_records *records, enum ramet_family_call call, int tid, int64_t time,
                        int64_t result);

/* What is tried on the memory of another process, and of pid 1. The address is named by its key. */
#ifndef TRACING_H
#define TRACING_H

int attached(long pid, const char *address);
int seized(long pid, const char *address);
int read_by_call(long pid, const char *address);
int written_by_call(long pid, const char *address);
long advised(long pid, const char *address);
long moved(long pid, const char *address);
long counted(long pid);

#endif

/*
 * What /proc shows of a task. A number is that by which it has the task: see proc_file.h. 0, of a task that it does not show, is none's.
 */
#pragma once

#include <stdbool.h>

/* The letter of /proc/NUMBER/stat (R, S, D, T, t, Z, X), or '\0' where there is none to read. */
char ramet_task_state(long number);

/* Whether it is gone, or is a zombie, where /proc shows that: by its tid here. */
bool ramet_task_has_ended(long tid);

/* The same by the number that a folder of /proc had for it. */
bool ramet_listed_task_has_ended(long number);

/* The numbers of the threads of its process, at most so many; its own alone where they cannot be read. Returns how many. */
int ramet_task_numbers(long number, long *numbers, int most);

/* How many threads its process has, with those that are about to end; 0 where that cannot be read. */
long ramet_task_threads(long number);

/* Whether its process is about to end and other threads of it have not ended yet: the main thread is seen to end first. */
bool ramet_task_threads_have_to_end(long number);

/* Whether this process has executed a program, and so is no copy of another; false where that cannot be read. */
bool ramet_has_executed(void);

/* Whether a task has executed none since it was made, and so runs the program of who made it; false where that cannot be read. */
bool ramet_task_runs_makers_program(long number);

/* What /proc/NUMBER/syscall has of a task that does not run. */
struct ramet_syscall_state {
    long call; /* the system call in which it is; -1 in user code, or where that cannot be read */
    unsigned long first; /* its first argument, 0 where that is not known */
    unsigned long stack_pointer, instruction_pointer; /* 0 where it is running */
    bool hidden; /* it cannot be read: there is no /proc, or Yama forbids it, or no descriptor is free */
};

struct ramet_syscall_state ramet_task_syscall(long number);

/* Whether it waits in a system call: not in one that malloc makes with its lock held, and not in sched_yield(). */
bool ramet_is_at_safe_point(const struct ramet_syscall_state *state);

/* Whether it sleeps on a futex word that is known: the first argument. */
bool ramet_waits_in_futex(const struct ramet_syscall_state *state);

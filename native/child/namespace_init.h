/*
 * The init of a pid namespace, which does nothing but live: the kernel reaps who is reparented to it, and kills all
 * of the namespace when it ends. It shares the memory of the process that made it, and nothing else.
 */
#pragma once

/*
 * The init. context: a descriptor, as a number, of the process with which it ends; -1: none, then it ends with the thread
 * that is its parent. It is made with all signals blocked.
 */
int ramet_run_namespace_init(void *fn, void *arg, void *context);

/* Each is found by a call that does nothing. */
#include "kernel_features.h"

#include <errno.h>

#include "child.h"

#define VERSION_1_BYTES 80 /* CLONE_ARGS_SIZE_VER1 */
#define MOST_PID_LEVELS 32 /* MAX_PID_NS_LEVEL, include/linux/pid_namespace.h */

/* A size of 0 is below every version: EINVAL, and no child is made. */
bool ramet_has_clone3(void)
{
    return ramet_syscall2(__NR_clone3, NULL, 0) == -EINVAL;
}

/* It came together with set_tid: a kernel before that answers E2BIG, later ones EINVAL, since 33 pids are too many. */
bool ramet_has_clear_sighand(void)
{
    static int known; /* 0 not asked yet, 1 yes, -1 no */
    struct ramet_clone_args args = {.set_tid_size = MOST_PID_LEVELS + 1};
    int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (answer == 0) {
        long error = ramet_syscall2(__NR_clone3, &args, VERSION_1_BYTES);
        answer = error == -EINVAL ? 1 : -1;
        if (answer > 0 || error == -E2BIG) /* else a filter hides it, maybe from this thread alone */
            __atomic_store_n(&known, answer, __ATOMIC_RELAXED);
    }
    return answer > 0;
}

/* No descriptor has this number, so none is closed. */
bool ramet_has_close_range(void)
{
    static int known;
    int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (answer == 0) {
        answer = ramet_syscall3(__NR_close_range, ~0U, ~0U, 0) == 0 ? 1 : -1;
        __atomic_store_n(&known, answer, __ATOMIC_RELAXED);
    }
    return answer > 0;
}

"""What older kernels lack, and what the library does there instead; each with the test that shows it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fallback:
    """since: the first Linux that has it. test: a file of tests, and a function in it."""

    since: str
    lacking: str
    instead: str
    test: str


_PROCESS = "tests/kernel/process"
FALLBACKS = (
    Fallback(
        "5.3",
        "pidfds (`pidfd_open`); a thread's since 6.9",
        "waits poll, every 50 ms at most; a signal goes to the pid, which is not reaped meanwhile; "
        "a sandbox ends with the thread that made it",
        f"{_PROCESS}/test_missing_system_calls.py::test_without_pidfd_open",
    ),
    Fallback(
        "5.3",
        "`clone3`, or a seccomp filter hides it with ENOSYS or EPERM",
        "`clone` does what it can; what only clone3 can do is refused, with the Linux that it needs",
        f"{_PROCESS}/test_missing_system_calls.py::test_without_clone3",
    ),
    Fallback(
        "5.5",
        "`CLONE_CLEAR_SIGHAND`",
        "each handler is set to its default by a step in the child",
        f"{_PROCESS}/test_signal_handlers.py::test_no_handler_of_ours_is_left_in_the_child",
    ),
    Fallback(
        "5.7",
        "`CLONE_INTO_CGROUP`, and cgroups of version 1",
        "the child moves itself, by a write of its own pid, before its program begins",
        "tests/kernel/setup/test_clone_call.py::test_a_cgroup_of_version_1",
    ),
    Fallback(
        "5.9",
        "`close_range`",
        "the child lists /proc/self/fd and closes what is open; without /proc every number up to the limit",
        f"{_PROCESS}/test_missing_system_calls.py::test_programs_without",
    ),
    Fallback(
        "5.11",
        "syscall user dispatch; aarch64 has none",
        "a copy with namespaces is made by fork() and unshare(), any other after a fork that ends at once",
        "tests/crash/test_libc_fork.py::test_a_copy_that_can_unshare_comes_of_libcs_own_fork",
    ),
    Fallback(
        "5.12",
        "`mount_setattr`; Landlock since 5.13, of TCP ports since 6.7",
        'a sandbox that needs them is refused and names them; with `require="best"` it tells what is lost',
        "tests/kernel/sandbox/test_fallbacks.py::test_with_all_it_is_refused_before_anything_is_made",
    ),
    Fallback(
        "5.14",
        "`cgroup.kill`",
        "each process of the cgroup is killed, until there is none that was not",
        f"{_PROCESS}/test_tree.py::test_a_cgroup_of_its_own_is_killed",
    ),
    Fallback(
        "5.14",
        "counts of a user's processes for each user namespace",
        "where no cgroup counts it, `processes` of a sandbox counts all of the caller's user",
        "tests/kernel/sandbox/test_amounts.py::test_processes_of_a_user",
    ),
    Fallback(
        "5.16",
        "that a core dump ends only those that share signal handlers",
        "a child in shared memory marks it as not dumpable before it dies",
        "tests/native/test_dump_guard.c",
    ),
)

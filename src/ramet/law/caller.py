"""The caller of a request: its rights, namespaces, limits and machine.

Named tuples, as all rows of the law: every import of the library makes them, and they are quick to
make and compare.
"""

from typing import NamedTuple

from .._caller_reader import readers

_TASK_SIZE_MAX = 0x7FFF_FFFF_F000
_PID_MAX_LIMIT = 4 * 1024 * 1024


class Cgroup(NamedTuple):
    """The directory that INTO_CGROUP names: what decides an answer.

    ``writable``: with None a privileged caller may write and another may not. ``own_domain``:
    whether it belongs to the threaded domain that the caller is in.
    """

    is_directory: bool = True
    removed: bool = False
    writable: bool | None = None
    in_namespace: bool = True
    domain_invalid: bool = False
    domain_controllers: bool = False
    own_domain: bool = False
    pids_limit_reached: bool = False


class Caller(NamedTuple):
    """The caller of a request: by default privileged, in the first namespaces, at no limit.

    ``privileged``: it has every capability in its user namespace; without, ``capabilities`` names
    those that it has ("CAP_SYS_ADMIN"). ``user_ns_depth`` and ``pid_ns_depth`` count the namespaces
    above its own. ``pid_ns_init``: it is the first process of its pid namespace. unshare() or
    setns() gave its children other namespaces: ``children_pid_ns_differs`` and
    ``children_time_ns_differs``. ``outer_namespaces`` are those of its own ("pid", "net") that
    belong to a user namespace in which it has no rights. ``exhausted_namespaces`` holds names such
    as "user" or "net" whose limit in /proc/sys/user is reached. ``newtime_in_clone3``: its kernel, if older
    than 6.3, has that version's fix of clone3. ``user_ns_switched_off``: by the sysctl
    kernel.unprivileged_userns_clone, and it has not the capability that it needs then.

    Source: kernel/fork.c and what it calls.
    """

    # Its rights.
    privileged: bool = True
    capabilities: frozenset[str] = frozenset()
    chrooted: bool = False
    ids_mapped: bool = True
    lsm_on_user_ns: str | None = None
    lsm_on_task: str | None = None

    # Its namespaces.
    user_ns_depth: int = 0
    pid_ns_depth: int = 0
    pid_ns_init: bool = False
    pid_ns_foreign: bool = False
    outer_namespaces: frozenset[str] = frozenset()
    children_pid_ns_differs: bool = False
    children_init_dead: bool = False
    children_time_ns_differs: bool = False

    # Its state.
    traced: bool = False
    autoreap: bool = False
    leader_exit_signal: int = 17
    deadline_policy: bool = False
    threads: int = 1
    shares_memory: bool = False
    shares_handlers: bool = False
    shares_fs: bool = False
    fs_sharer_execs: bool = False
    has_io_context: bool = True

    # Limits that are reached, and what happens during the call.
    nproc_exceeded: bool = False
    threads_max_reached: bool = False
    exhausted_namespaces: frozenset[str] = frozenset()
    pids_limit_reached: bool = False
    descriptors_exhausted: bool = False
    no_free_pid: bool = False
    no_memory_for_task: bool = False
    no_memory_for_copy: bool = False
    signal_pending: bool = False
    fatal_signal_pending: bool = False
    children_init_dies: bool = False

    # Its machine.
    machine: str = "x86_64"
    page_size: int = 4096
    task_size: int = _TASK_SIZE_MAX
    pid_max: int = _PID_MAX_LIMIT
    tids_in_use: frozenset[int] = frozenset({1})
    newtime_in_clone3: bool = True
    user_ns_switched_off: bool = False

    def may(self, capability: str) -> bool:
        """Whether it has a capability in its own user namespace."""
        return self.privileged or capability in self.capabilities

    @staticmethod
    def current() -> "Caller":
        """The calling thread, by /proc and prctl.

        Limits that only the kernel counts (processes of a user, namespaces) are taken as not
        reached. Raises NotImplementedError where Ramet runs without its extension.

        Source: proc_pid_status(5), capabilities(7), namespaces(7).
        """
        if not readers:
            raise NotImplementedError(
                "Caller.current() reads /proc: it needs Ramet's extension, on Linux"
            )
        caller: Caller = readers[0]()
        return caller

"""What bits cannot say: small conditions on a request and its caller, each for one or two rules."""

from collections.abc import Callable
from typing import TypeAlias

from ..flags import LAST_SIGNAL, CloneFlag
from .caller import Caller, Cgroup
from .request import Request

Condition: TypeAlias = Callable[[Request, Caller], bool]

# Those that read the caller alone: they are the same for all of its requests.
OF_CALLER: set[Condition] = set()
OF_FIELDS: set[Condition] = set()

_NEWPID = CloneFlag.NEWPID.value
_NEWUSER = CloneFlag.NEWUSER.value

_VER0_BYTES, _VER2_BYTES = 64, 88
_MOST_PID_LEVELS = 32
DEEPEST_USER_NS = 33
_DEEPEST_PID_NS = 32
_INT_MAX = (1 << 31) - 1  # the law imports no part of the library that makes system calls
_I386_TLS_ENTRIES = range(12, 15)

_GOOD_CGROUP = Cgroup()

# In the order in which the kernel makes them, and so counts them.
_KINDS = {
    "mnt": CloneFlag.NEWNS.value,
    "uts": CloneFlag.NEWUTS.value,
    "ipc": CloneFlag.NEWIPC.value,
    "pid": CloneFlag.NEWPID.value,
    "cgroup": CloneFlag.NEWCGROUP.value,
    "net": CloneFlag.NEWNET.value,
    "time": CloneFlag.NEWTIME.value,
}


def of_caller(condition: Condition) -> Condition:
    """Mark a condition on the caller alone."""
    OF_CALLER.add(condition)
    return condition


def of_fields(condition: Condition) -> Condition:
    """Mark a condition that is false for a request without any field."""
    OF_FIELDS.add(condition)
    return condition


# ---- the structure of clone3


@of_fields
def size_beyond_a_page(request: Request, caller: Caller) -> bool:
    """Whether clone_args would be larger than a page."""
    return request.size > caller.page_size


@of_fields
def size_below_first_version(request: Request, _: Caller) -> bool:
    """Whether clone_args is smaller than its first version."""
    return request.size < _VER0_BYTES


@of_fields
def args_unreadable(request: Request, caller: Caller) -> bool:
    """Whether clone_args has an address at which nothing can be."""
    return request.bad_address(request.args, caller.task_size)


@of_fields
def set_beyond_known_fields(request: Request, _: Caller) -> bool:
    """Whether a byte is set that belongs to a field of some later kernel."""
    return request.beyond and request.size > _VER2_BYTES


@of_fields
def too_many_pids(request: Request, _: Caller) -> bool:
    """Whether more pids are chosen than pid namespaces can be nested."""
    return request.set_tid_size > _MOST_PID_LEVELS


@of_fields
def pids_without_size(request: Request, _: Caller) -> bool:
    """Whether only one of set_tid and set_tid_size is given."""
    return (request.set_tid in {None, 0}) != (request.set_tid_size == 0)


@of_fields
def pids_unreadable(request: Request, caller: Caller) -> bool:
    """Whether set_tid has an address at which nothing can be."""
    address = request.set_tid
    return (
        isinstance(address, int) and address != 0 and request.bad_address(address, caller.task_size)
    )


def exit_signal_beyond_last(request: Request, _: Caller) -> bool:
    """Whether there is no such signal; clone() took any byte once."""
    return request.exit_signal > LAST_SIGNAL


def exit_signal_given(request: Request, _: Caller) -> bool:
    """Whether the request has an exit signal."""
    return request.exit_signal != 0


@of_fields
def cgroup_not_in_structure(request: Request, _: Caller) -> bool:
    """Whether cgroup is no descriptor, or beyond the given size of the structure."""
    return request.size < _VER2_BYTES or (
        isinstance(request.cgroup, int) and request.cgroup > _INT_MAX
    )


@of_fields
def stack_is_no_range(request: Request, caller: Caller) -> bool:
    """Whether only one of stack and stack_size is given, or the range ends outside of user space."""
    stack, size = request.stack or 0, request.stack_size or 0
    if stack == 0 or size == 0:
        return stack != size
    return stack + size > caller.task_size


@of_fields
def pidfd_is_parent_tid(request: Request, _: Caller) -> bool:
    """Whether both would be written at one address; two nulls are one address, too."""
    return request.pidfd is not None and request.pidfd == request.parent_tid


# ---- the caller


# Whether it lacks CAP_SYS_ADMIN in its user namespace.
unprivileged = of_caller(lambda _, caller: not caller.may("CAP_SYS_ADMIN"))
# Whether it is the init of a pid namespace.
is_namespace_init = of_caller(lambda _, caller: caller.pid_ns_init)
# Whether its children get another pid namespace than its own.
children_go_elsewhere = of_caller(lambda _, caller: caller.children_pid_ns_differs)
# Whether its children get another time namespace than its own.
children_get_other_time = of_caller(lambda _, caller: caller.children_time_ns_differs)
# Whether its kernel lacks the fix by which clone3 takes NEWTIME.
newtime_not_in_clone3 = of_caller(lambda _, caller: not caller.newtime_in_clone3)
# Whether it was itself made with AUTOREAP.
is_autoreap = of_caller(lambda _, caller: caller.autoreap)
# Whether a further user namespace would be the 34th below the first.
user_ns_too_deep = of_caller(lambda _, caller: caller.user_ns_depth >= DEEPEST_USER_NS)
# Whether max_user_namespaces is reached.
user_ns_exhausted = of_caller(lambda _, caller: "user" in caller.exhausted_namespaces)
# Whether its root directory is not that of its mount namespace.
chrooted = of_caller(lambda _, caller: caller.chrooted)
# Whether its user or group has no number in its own user namespace.
ids_unmapped = of_caller(lambda _, caller: not caller.ids_mapped)
# Whether it may make none, by the sysctl unprivileged_userns_clone.
user_ns_switched_off = of_caller(lambda _, caller: caller.user_ns_switched_off)
# Whether a security module answers EPERM to the user namespace.
lsm_refuses_user_ns = of_caller(lambda _, caller: caller.lsm_on_user_ns == "EPERM")
# Whether a security module answers EACCES to the user namespace.
lsm_denies_user_ns = of_caller(lambda _, caller: caller.lsm_on_user_ns == "EACCES")
# Whether a security module answers EPERM to the task.
lsm_refuses_task = of_caller(lambda _, caller: caller.lsm_on_task == "EPERM")
# Whether a security module answers EACCES to the task.
lsm_denies_task = of_caller(lambda _, caller: caller.lsm_on_task == "EACCES")
# RLIMIT_NPROC binds the caller and is exceeded.
too_many_processes = of_caller(
    lambda _, caller: (
        caller.nproc_exceeded
        and not (caller.may("CAP_SYS_ADMIN") or caller.may("CAP_SYS_RESOURCE"))
    )
)
# Whether kernel.threads-max is reached.
too_many_threads = of_caller(lambda _, caller: caller.threads_max_reached)
# Whether it runs under SCHED_DEADLINE without reset on fork.
deadline_scheduled = of_caller(lambda _, caller: caller.deadline_policy)
# Whether another task that shares its directories is inside execve.
sharer_execs = of_caller(lambda _, caller: caller.fs_sharer_execs)
# Whether a signal is pending.
signal_pending = of_caller(lambda _, caller: caller.signal_pending)
# Whether it is being killed.
fatal_signal_pending = of_caller(lambda _, caller: caller.fatal_signal_pending)
# Whether there is no memory for the task itself.
no_memory_for_task = of_caller(lambda _, caller: caller.no_memory_for_task)
# Whether there is no memory for a copy of the caller's.
no_memory_for_copy = of_caller(lambda _, caller: caller.no_memory_for_copy)
# ---- namespaces


def namespaces_exhausted(request: Request, caller: Caller) -> bool:
    """Whether the limit of a requested kind is reached."""
    return any(
        name in caller.exhausted_namespaces and request.flags & bit for name, bit in _KINDS.items()
    )


# Whether its pid namespace belongs to no user namespace above its own.
pid_ns_foreign = of_caller(lambda _, caller: caller.pid_ns_foreign)
# Whether a further pid namespace would be the 33rd below the first.
pid_ns_too_deep = of_caller(lambda _, caller: caller.pid_ns_depth >= _DEEPEST_PID_NS)
# ---- registers


@of_fields
def tls_beyond_user_space(request: Request, caller: Caller) -> bool:
    """Whether the thread register would point out of user space, which x86-64 forbids."""
    return caller.machine == "x86_64" and (request.tls or 0) >= caller.task_size


@of_fields
def tls_description_unreadable(request: Request, caller: Caller) -> bool:
    """Whether the user_desc of i386 has an address at which nothing can be."""
    return caller.machine == "i386" and request.bad_address(request.tls, caller.task_size)


@of_fields
def tls_description_invalid(request: Request, caller: Caller) -> bool:
    """Whether the user_desc of i386 names no entry for threads."""
    return (
        caller.machine == "i386"
        and request.tls_entry is not None
        and request.tls_entry not in _I386_TLS_ENTRIES
    )


# ---- pids: the kernel checks level by level, the innermost first, and stops at the first defect

_VALUE, _PERMISSION, _IN_USE = 1, 2, 3


def _defects(request: Request, caller: Caller) -> list[int]:
    """What is wrong with the chosen pids, in the order in which the kernel finds it."""
    found: list[int] = []
    if not isinstance(request.set_tid, tuple):
        return found
    for level, pid in enumerate(request.set_tid):
        new = level == 0 and bool(request.flags & _NEWPID)
        if not 0 < pid < caller.pid_max or (new and pid != 1):
            found.append(_VALUE)
        elif not _may_choose(caller, request, new):
            found.append(_PERMISSION)
        elif not new and pid in caller.tids_in_use:
            found.append(_IN_USE)
    return found


def _may_choose(caller: Caller, request: Request, new: bool) -> bool:
    """In the user namespace that owns the pid namespace; a new one belongs to the child's."""
    if new and request.flags & _NEWUSER:
        return True
    may = caller.may("CAP_SYS_ADMIN") or caller.may("CAP_CHECKPOINT_RESTORE")
    return may and (new or "pid" not in caller.outer_namespaces)


def _is_reported(defect: int, request: Request, caller: Caller) -> bool:
    """Whether there is such a defect, and the kernel finds none of a later row before it."""
    found = _defects(request, caller)
    return bool(found) and defect in found and found[0] <= defect


@of_fields
def more_pids_than_levels(request: Request, caller: Caller) -> bool:
    """Whether there are more chosen pids than pid namespaces that the child is in."""
    levels = caller.pid_ns_depth + 1 + bool(request.flags & _NEWPID)
    return request.set_tid_size > levels


@of_fields
def pid_out_of_range(request: Request, caller: Caller) -> bool:
    """Whether a chosen pid is out of range, or is not the 1 that a new namespace starts with."""
    return _is_reported(_VALUE, request, caller)


@of_fields
def pid_not_permitted(request: Request, caller: Caller) -> bool:
    """Whether the caller may not choose pids in one of the namespaces."""
    return _is_reported(_PERMISSION, request, caller)


@of_fields
def pid_in_use(request: Request, caller: Caller) -> bool:
    """Whether a chosen pid is in use."""
    return _is_reported(_IN_USE, request, caller)


# Whether all pids below pid_max are in use.
no_free_pid = of_caller(lambda _, caller: caller.no_free_pid)
# Whether the init of the pid namespace for its children has ended.
children_init_dead = of_caller(lambda _, caller: caller.children_init_dead)
# Whether that init dies during the call.
children_init_dies = of_caller(lambda _, caller: caller.children_init_dies)
# ---- descriptors


# Whether its table of files is full.
no_free_descriptor = of_caller(lambda _, caller: caller.descriptors_exhausted)


@of_fields
def pidfd_unwritable(request: Request, caller: Caller) -> bool:
    """Whether nothing can be at the address for the pidfd, which is parent_tid in clone()."""
    address = request.parent_tid if request.call == "clone" else request.pidfd
    return request.bad_address(address, caller.task_size)


@of_fields
def parent_tid_unwritable(request: Request, caller: Caller) -> bool:
    """Whether nothing can be at the address for the parent's tid word."""
    return request.bad_address(request.parent_tid, caller.task_size)


@of_fields
def settid_ignored(request: Request, caller: Caller) -> bool:
    """Whether nothing can be at the address of a tid word."""
    return request.bad_address(request.parent_tid, caller.task_size) or request.bad_address(
        request.child_tid, caller.task_size
    )


# ---- the cgroup


def _cgroup(request: Request) -> Cgroup:
    return request.cgroup if isinstance(request.cgroup, Cgroup) else _GOOD_CGROUP


@of_fields
def not_a_cgroup(request: Request, _: Caller) -> bool:
    """Whether the descriptor is not a cgroup's."""
    return not _cgroup(request).is_directory


@of_fields
def cgroup_removed(request: Request, _: Caller) -> bool:
    """Whether the directory is gone."""
    return _cgroup(request).removed


def cgroup_not_writable(request: Request, caller: Caller) -> bool:
    """Whether the caller may not move tasks to it."""
    writable = _cgroup(request).writable
    return not (caller.privileged if writable is None else writable)


@of_fields
def cgroup_out_of_sight(request: Request, _: Caller) -> bool:
    """Whether it is outside of the caller's cgroup namespace."""
    return not _cgroup(request).in_namespace


@of_fields
def cgroup_domain_invalid(request: Request, _: Caller) -> bool:
    """Whether its type is "domain invalid"."""
    return _cgroup(request).domain_invalid


@of_fields
def cgroup_distributes(request: Request, _: Caller) -> bool:
    """Whether it enables controllers of domains for its children."""
    return _cgroup(request).domain_controllers


def cgroup_of_other_domain(request: Request, _: Caller) -> bool:
    """Whether a thread would leave its process's domain."""
    return not _cgroup(request).own_domain


def too_many_pids_in_cgroup(request: Request, caller: Caller) -> bool:
    """Whether pids.max of the child's cgroup, or of one above, is reached."""
    return caller.pids_limit_reached or _cgroup(request).pids_limit_reached


# ---- clone() alone


def exit_signal_never_sent(request: Request, _: Caller) -> bool:
    """Whether the exit signal is a byte that is no signal."""
    return request.exit_signal > LAST_SIGNAL


# ---- unshare and setns


# Whether its process has more than one thread.
has_other_threads = of_caller(lambda _, caller: caller.threads > 1)
# Whether another task has its table of handlers.
handlers_have_sharers = of_caller(lambda _, caller: caller.shares_handlers)
# Whether another task has its memory.
memory_has_sharers = of_caller(lambda _, caller: caller.shares_memory or caller.threads > 1)
# Whether another task has its directories.
fs_has_sharers = of_caller(lambda _, caller: caller.shares_fs or caller.threads > 1)


@of_fields
def fd_not_open(request: Request, _: Caller) -> bool:
    """Whether there is no such descriptor."""
    return request.fd is not None and request.fd < 0


@of_fields
def nothing_named(request: Request, _: Caller) -> bool:
    """Whether a pidfd is given and no kind of namespace."""
    return request.pidfd_target and request.flags == 0


@of_fields
def is_of_other_kind(request: Request, _: Caller) -> bool:
    """Whether the namespace behind the descriptor is not of the kind that is named."""
    return request.namespace not in {0, request.flags}


@of_fields
def is_own(request: Request, _: Caller) -> bool:
    """Whether the caller is in that namespace already."""
    return request.own


@of_fields
def is_not_below(request: Request, _: Caller) -> bool:
    """Whether a pid namespace is neither the caller's nor below it."""
    return not request.descends


def may_not_enter(request: Request, caller: Caller) -> bool:
    """Whether it lacks CAP_SYS_ADMIN, in its own user namespace or the target's."""
    if not caller.may("CAP_SYS_ADMIN"):
        return True
    outer = (_KINDS[name] for name in caller.outer_namespaces if name in _KINDS)
    return request.own and any(request.flags & kind for kind in outer)


for _name, _value in list(globals().items()):
    if getattr(_value, "__name__", "") == "<lambda>":
        _value.__qualname__ = _name  # by which a condition is pickled

"""The child's cgroup, and the last checks of the call."""

from ...flags import CloneFlag
from .. import conditions as ask
from ..rule import CLONE3, Rule

_INTO_CGROUP = CloneFlag.INTO_CGROUP.value
_CGROUP = "kernel/cgroup/cgroup.c"

# fmt: off
ROWS = (
    Rule(
        id="N1", calls=CLONE3, kernel_function="cgroup_css_set_fork", source=_CGROUP, since="5.7",
        errno="EBADF", unseen=True,
        all_of=_INTO_CGROUP, when=ask.not_a_cgroup,
        sentence="cgroup must be an open descriptor of a directory of cgroup version 2",
        remedy="open such a directory: no file in it, and no directory of version 1",
    ),
    Rule(
        id="N2", calls=CLONE3, kernel_function="css_tryget_online_from_dir", source=_CGROUP,
        since="5.7", errno="ENOENT", unseen=True,
        all_of=_INTO_CGROUP, when=ask.cgroup_removed,
        sentence="the cgroup was removed after its directory had been opened",
        remedy="make it again, and open it again",
    ),
    Rule(
        id="N3", calls=CLONE3, kernel_function="cgroup_may_write", source=_CGROUP, since="5.7",
        errno="EACCES", unseen=True,
        all_of=_INTO_CGROUP, when=ask.cgroup_not_writable,
        sentence="the caller must be allowed to write cgroup.procs of the target, and of the "
                 "nearest common ancestor of the target and the caller's cgroup",
        remedy="have the cgroup delegated: make the caller's user the owner of both files",
    ),
    Rule(
        id="N4", calls=CLONE3, kernel_function="cgroup_procs_write_permission", source=_CGROUP,
        since="5.7", errno="ENOENT", verified=False, unseen=True,
        all_of=_INTO_CGROUP, when=ask.cgroup_out_of_sight,
        sentence="under nsdelegate both cgroups must be in the caller's cgroup namespace",
        remedy="choose a cgroup below the root of the namespace",
    ),
    Rule(
        id="N5", calls=CLONE3, kernel_function="cgroup_migrate_vet_dst", source=_CGROUP,
        since="5.7", errno="EOPNOTSUPP", unseen=True,
        all_of=_INTO_CGROUP, when=ask.cgroup_domain_invalid,
        sentence='the target is "domain invalid": it is in a threaded domain and is not threaded',
        remedy='write "threaded" to its cgroup.type first',
    ),
    Rule(
        id="N6", calls=CLONE3, kernel_function="cgroup_migrate_vet_dst", source=_CGROUP,
        since="5.7", errno="EBUSY", verified=False, unseen=True,
        all_of=_INTO_CGROUP, when=ask.cgroup_distributes,
        sentence="a cgroup that enables controllers for its children (cgroup.subtree_control) "
                 "may hold no processes itself",
        remedy="choose a leaf below it",
    ),
    Rule(
        id="N7", calls=CLONE3, kernel_function="cgroup_attach_permissions", source=_CGROUP,
        since="5.7", errno="EOPNOTSUPP", unseen=True,
        all_of=_INTO_CGROUP | CloneFlag.THREAD.value, when=ask.cgroup_of_other_domain,
        sentence="a thread cannot be made outside of the threaded domain that its process is in",
        remedy="choose a threaded cgroup of the same domain, or drop CLONE_THREAD",
    ),
    Rule(
        id="N8", kernel_function="pids_can_fork", source="kernel/cgroup/pids.c", since="4.3",
        errno="EAGAIN", unseen=True,
        when=ask.too_many_pids_in_cgroup,
        sentence="pids.max of the child's cgroup, or of one above it, is reached",
        remedy="wait for tasks to end, or raise pids.max",
    ),
    Rule(
        id="O1", kernel_function="copy_process", since="3.8", errno="ENOMEM", verified=False,
        unseen=True,
        when=ask.children_init_dies,
        sentence="the init of the pid namespace for the child died during the call",
        remedy="make a new pid namespace",
    ),
    Rule(
        id="O2", kernel_function="copy_process", since="2.6", errno="EINTR", verified=False,
        unseen=True,
        when=ask.fatal_signal_pending,
        sentence="the caller itself is being killed, and makes no more tasks",
        remedy="there is none",
    ),
)
# fmt: on

"""What the administrator, or the caller, changes so that a wish can be met."""

import errno
import os
import sys
import tempfile

from ..description import LAYER_PLACES, Sandbox
from .machine import Machine
from .questions import KILLED, Answer
from .subordinate_sight import is_for_caller_alone, refused_to_subordinate

# The first Linux with each version of landlock: Documentation/userspace-api/landlock.rst.
LANDLOCK_KERNELS = {
    1: "5.13",
    2: "5.19",
    3: "6.2",
    4: "6.7",
    5: "6.10",
    6: "6.12",
    7: "6.15",
    8: "7.0",
    9: "7.1",
}
_CONFIGS = {
    "user": "USER_NS",
    "mnt": "NAMESPACES",
    "pid": "PID_NS",
    "net": "NET_NS",
    "ipc": "IPC_NS",
    "uts": "UTS_NS",
    "cgroup": "CGROUPS",
}
_ROOT = "call as root"
_OWN_PROC = (
    "mount the /proc of this pid namespace: id maps are written there, and namespaces opened"
)
_MAPS = "map ids into the user namespace in which the caller is, as unshare -Ur does"
_AS_THAT_USER = (
    "start the caller as the user that it has become (setpriv, su, User= of a unit): since it has changed "
    "its user its files in /proc are root's; or have it call prctl(PR_SET_DUMPABLE, 1) first, which lets "
    "others of that user look into its memory"
)
_OF_SELINUX = (
    "an SELinux policy that allows user_namespace { create } and mounts to the caller's domain"
)
_OF_ANOTHER_MODULE = (
    "let the caller run outside of a landlock domain, and let the security module of this machine "
    "allow it: none that is known refuses it"
)
_AS_ROOT_WITHOUT_RIGHTS = (
    "start the caller with CAP_SETFCAP (--cap-add=SETFCAP of a container), without which root cannot be "
    "mapped into a user namespace, or as a plain user"
)
_NO_MORE = (errno.ENOSPC, errno.EUSERS)
_DENIED = (errno.EPERM, errno.EACCES, errno.ENOSYS, KILLED)
_IN_A_CONTAINER = {
    "docker": "start the container with --security-opt seccomp=unconfined, or with a seccomp profile that "
    "allows clone, unshare, mount and the calls of mount namespaces, and with "
    "--security-opt apparmor=unconfined where the host has AppArmor",
    "podman": "start the container with --security-opt seccomp=unconfined --security-opt label=disable",
    "kubernetes": "give the pod securityContext.seccompProfile {type: Unconfined}, or a profile that "
    "allows clone, unshare and mount",
    "lxc": "set security.nesting=true for the container",
    "systemd-nspawn": "start the container with --system-call-filter=@mount and --private-users=pick",
}
_IN_ANOTHER_CONTAINER = "start the container so that its filter allows clone, unshare and mount"
_UNMASKED = {
    "docker": "start the container with --security-opt systempaths=unconfined",
    "podman": "start the container with --security-opt unmask=ALL",
    "kubernetes": "give the pod hostUsers: false and securityContext.procMount: Unmasked",
    "lxc": "set security.nesting=true for the container",
}


def of_user_namespace(machine: Machine) -> str:
    """For a user namespace that is refused, or in which nothing can be mounted."""
    around, answer = machine.circumstances, machine.user_namespace
    if not machine.proc or around.unmapped:
        return _MAPS if around.unmapped else _OWN_PROC
    if around.max_user_namespaces == 0 or answer.errno in _NO_MORE:
        return "sysctl -w user.max_user_namespaces=15000"
    if around.unprivileged_userns_clone == 0 and not around.may_mount:
        return "sysctl -w kernel.unprivileged_userns_clone=1"
    if around.apparmor_restricts and not around.may_mount and not around.chrooted:
        return _of_apparmor()
    return _of_place(machine, answer)


def _of_place(machine: Machine, answer: Answer) -> str:
    """What is not a setting of the machine."""
    if machine.circumstances.chrooted:
        return "start the caller outside of the chroot, or make its root directory a mount point"
    if _lacks_right_to_map_root(machine, answer):
        return _AS_ROOT_WITHOUT_RIGHTS
    return _of_denial("user", machine, answer)


def _lacks_right_to_map_root(machine: Machine, answer: Answer) -> bool:
    """The namespace was made, and the map refused: user_namespaces(7), since Linux 5.12."""
    around = machine.circumstances
    is_of_map = answer.errno == errno.EPERM and answer.call.endswith("/uid_map")
    return is_of_map and around.uid == 0 and "SETFCAP" not in around.capabilities


def of_namespace(kind: str, machine: Machine) -> str:
    """For a kind of namespace."""
    answer = machine.namespaces[kind]
    if not machine.with_user_namespace and not machine.circumstances.may_mount:
        return of_user_namespace(machine)
    if answer.errno in _NO_MORE:
        return f"sysctl -w user.max_{kind}_namespaces=15000"
    return _of_denial(kind, machine, answer)


def of_mounts(machine: Machine, answer: Answer) -> str:
    """For a mount that is refused in a mount namespace of its own."""
    refused = machine.namespaces["mnt"]
    if not refused.granted:
        return of_namespace("mnt", machine)
    if not machine.proc:
        return _OWN_PROC
    if answer.call == "pivot_root" and answer.errno == errno.EINVAL:
        return "start the caller where the root directory is a mount, and not in an initramfs or a chroot"
    if answer.errno == errno.ENOSYS:
        since = {"mount_setattr": "5.12", "openat2": "5.6", "setns": "3.0"}.get(answer.call, "5.2")
        return f"Linux {since}, or {_of_filter(machine)}"
    return _of_denial("mnt", machine, answer)


def of_proc(machine: Machine) -> str:
    """For a /proc of its own."""
    answer = machine.proc_of_its_own
    if not machine.namespaces["pid"].granted:
        return of_namespace("pid", machine)
    if answer.errno == errno.EPERM and answer.call == "mount":
        container = machine.circumstances.container
        return _UNMASKED.get(container, "mount a /proc of which nothing is covered by other mounts")
    return of_mounts(machine, answer)


def without_layer(machine: Machine, sandbox: Sandbox) -> str | None:
    """A path that is written and can have no layer, where the child is another user; None for none.

    The files there would be nobody's in the child's user namespace, and the kernel copies no such file to
    a layer. A single file the caller copies itself: the copy is to be the child's.
    """
    if not machine.circumstances.may_become_another or not machine.sandbox_has_user_namespace:
        return None
    return next((path for path in sandbox.write if not _may_have_layer(machine, path)), None)


def _may_have_layer(machine: Machine, path: str) -> bool:
    if not os.path.exists(path):  # it has a row of its own
        return True
    if not machine.may_copy_mounts:  # nor map the ids of the copies
        return False
    places = [tempfile.gettempdir(), *LAYER_PLACES] if os.path.isfile(path) else [path]
    return any(machine.idmap(place).granted for place in places)


def of_overlay(machine: Machine, sandbox: Sandbox) -> str:
    """For a layer of what is written."""
    closed = None
    if machine.overlay.granted and machine.mounts.granted:
        closed = without_layer(machine, sandbox)
    if closed is not None:
        if not machine.may_copy_mounts or machine.idmap(closed).errno == errno.EPERM:
            return "call as root outside of this user namespace, or as a plain user"
        return (
            f"a file system with idmapped mounts below {closed!r} (ext4 since Linux 5.12, btrfs 5.15, "
            "tmpfs 6.3; in a container a volume), or call as a plain user"
        )
    if machine.overlay.errno == errno.ENODEV:
        return "modprobe overlay, or a kernel with CONFIG_OVERLAY_FS"
    if machine.overlay.errno in (errno.EPERM, errno.EINVAL) and machine.mounts.granted:
        return "Linux 5.11, the first with overlay in user namespaces"
    return of_mounts(machine, machine.overlay)


def of_landlock(machine: Machine, abi: int) -> str:
    """For that version of landlock."""
    number = machine.landlock_answer.errno
    kernel = f"Linux {LANDLOCK_KERNELS[abi]} with CONFIG_SECURITY_LANDLOCK"
    if number == errno.EOPNOTSUPP:
        return "add landlock to the boot parameter lsm=, which leaves it out"
    if number in _DENIED and machine.circumstances.filtered:
        return f"{kernel}, or {_of_filter(machine)}"
    return kernel


def of_seccomp(machine: Machine) -> str:
    """For a filter of system calls."""
    if machine.circumstances.filtered and machine.seccomp.errno != errno.EINVAL:
        return _of_filter(machine)
    return "a kernel with CONFIG_SECCOMP_FILTER"


def of_subordinate_ids(machine: Machine, sandbox: Sandbox) -> str:
    """For an id that is no user's of the host."""
    why_none = machine.circumstances.why_no_subordinate_ids
    if is_for_caller_alone(sandbox) or not machine.namespaces["user"].granted:
        return _ROOT
    if why_none or machine.circumstances.subordinate_ids == 0:
        return f"{why_none}, or {_ROOT}" if why_none else _ROOT
    try:
        refused = refused_to_subordinate(machine, sandbox)
    except OSError:  # a path that has a row of its own
        refused = None
    if refused is not None and refused.path:
        return f"others may not read {refused.path}: leave it out, or let them, or {_ROOT}"
    return f"let newuidmap and newgidmap be set-user-ID programs of root, or {_ROOT}"


def of_idmap(path: str) -> str:
    """For a directory that the sandbox's own user cannot write."""
    return (
        f"a file system with idmapped mounts below {path!r} (ext4 since Linux 5.12, btrfs 5.15, "
        "tmpfs 6.3), or chmod o+w, with which the files belong to another user"
    )


def _of_denial(kind: str, machine: Machine, answer: Answer) -> str:
    around = machine.circumstances
    if answer.errno in (errno.EINVAL, errno.ENOSYS) and not around.filtered:
        return f"a kernel with CONFIG_{_CONFIGS[kind]}"
    if answer.errno == errno.EACCES and not around.dumpable:
        return _AS_THAT_USER
    if around.unmapped or around.container:
        of_engine = _IN_A_CONTAINER.get(around.container, _IN_ANOTHER_CONTAINER)
        return _MAPS if around.unmapped else of_engine
    if around.filtered:
        return _of_filter(machine)
    if around.apparmor_restricts and around.apparmor_profile not in ("", "unconfined"):
        return _of_apparmor()
    return _OF_SELINUX if around.selinux_enforces else _OF_ANOTHER_MODULE


def _of_filter(machine: Machine) -> str:
    container = machine.circumstances.container
    if container:
        return _IN_A_CONTAINER.get(container, _IN_ANOTHER_CONTAINER)
    return (
        "start the caller without the seccomp filter that it has; a unit of systemd without "
        "SystemCallFilter= and RestrictNamespaces="
    )


def _of_apparmor() -> str:
    program = os.path.realpath(sys.executable)
    return (
        f"an AppArmor profile for {program} with the line 'userns,' (in /etc/apparmor.d, "
        "flags=(unconfined)), or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    )

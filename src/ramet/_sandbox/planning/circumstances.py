"""Who the caller is and what is set around it: the likely reasons of a refusal, read and not tried."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ..._kernel import procfs
from ..._kernel.names import CAPABILITIES
from ..identity import subordinate_ids

_CONTAINERS = {"/run/.containerenv": "podman", "/.dockerenv": "docker"}
_TOLD_BY_SYSTEMD = "/run/systemd/container"  # the kind, as an init that is systemd found it
# As engines name the cgroups of their containers; not their own, such as docker.service.
_IN_CGROUPS = re.compile(r"/(?:(kube)pods|(docker)[-/]|lib(pod)-|(lxc)[./])")
_ENGINES = {"kube": "kubernetes", "docker": "docker", "pod": "podman", "lxc": "lxc"}
_LAST_ID = (1 << 32) - 2  # the highest id there is


@dataclass(frozen=True)
class Circumstances:
    """What was found; None and empty: it is not there, or cannot be read.

    container: the kind of container that the caller runs in, as far as such things tell. filtered: a
    seccomp filter was set on the caller. last_id: the highest user and group id that the caller's user
    namespace maps, other_ids: whether it maps any but the caller's own. unmapped: it maps none at all.
    dumpable: the caller's files in /proc are its own, as they are until it changes its user.
    """

    uid: int = 0
    capabilities: frozenset[str] = frozenset()
    container: str = ""
    filtered: bool = False
    no_new_privs: bool = False
    chrooted: bool = False
    last_id: int = _LAST_ID
    other_ids: bool = True
    unmapped: bool = False
    dumpable: bool = True
    max_user_namespaces: int | None = None
    unprivileged_userns_clone: int | None = None
    apparmor_restricts: int | None = None
    apparmor_profile: str = ""
    selinux_enforces: bool = False
    lsm: tuple[str, ...] = ()
    yama: int | None = None
    subordinate_ids: int = 0
    why_no_subordinate_ids: str = ""

    @property
    def may_become_another(self) -> bool:
        """Whether the caller may give a child an id that is not its own."""
        return {"SETUID", "SETGID"} <= self.capabilities and self.other_ids

    @property
    def may_mount(self) -> bool:
        """Whether the caller has CAP_SYS_ADMIN."""
        return "SYS_ADMIN" in self.capabilities

    @property
    def may_use_namespaces_of_others(self) -> bool:
        """Whether the caller may map ids in another user's namespace, open it in /proc and join it."""
        return self.may_become_another and {"SYS_ADMIN", "SYS_PTRACE"} <= self.capabilities


def of_this_thread() -> Circumstances:
    """Those of the calling thread."""
    try:
        status = procfs.status("thread-self")
    except OSError:  # no /proc
        status = {}
    effective = int(status.get("CapEff", "0"), 16)
    no_new_privs = status.get("NoNewPrivs", "0") == "1"
    last_id, other_ids = _mapped_ids()
    count, why_none = subordinate_ids.how_many(no_new_privs=no_new_privs)
    return Circumstances(
        uid=os.geteuid(),
        capabilities=frozenset(name for name, bit in CAPABILITIES.items() if effective >> bit & 1),
        container=_container(),
        filtered=status.get("Seccomp", "0") != "0",
        no_new_privs=no_new_privs,
        chrooted=_is_chrooted(),
        last_id=last_id,
        other_ids=other_ids,
        unmapped=_is_unmapped(),
        dumpable=is_dumpable(),
        max_user_namespaces=_number("/proc/sys/user/max_user_namespaces"),
        unprivileged_userns_clone=_number("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor_restricts=_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        apparmor_profile=_text("/proc/thread-self/attr/apparmor/current"),
        selinux_enforces=_number("/sys/fs/selinux/enforce") == 1,
        lsm=tuple(filter(None, _text("/sys/kernel/security/lsm").split(","))),
        yama=_number("/proc/sys/kernel/yama/ptrace_scope"),
        subordinate_ids=count,
        why_no_subordinate_ids=why_none,
    )


def is_dumpable() -> bool:
    """Whether this process's files in /proc are its own: proc(5), PR_SET_DUMPABLE of prctl(2)."""
    try:
        return os.stat("/proc/self/maps").st_uid == os.geteuid()
    except OSError:  # no /proc
        return True


def _container() -> str:
    for path, name in _CONTAINERS.items():
        if os.path.exists(path):
            return name
    if told := _text(_TOLD_BY_SYSTEMD):
        return told
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    return container_of(_text("/proc/self/cgroup"))


def container_of(memberships: str) -> str:
    """The kind of container by the text of /proc/PID/cgroup; empty for none that is known."""
    found = _IN_CGROUPS.search(memberships)
    return "" if found is None else _ENGINES[next(filter(None, found.groups()))]


def _is_chrooted() -> bool:
    """Whether no mount is at "/": true of a root directory that is not a mount point."""
    mounts = _text("/proc/self/mountinfo")
    return bool(mounts) and not any(line.split(" ")[4] == "/" for line in mounts.splitlines())


def _mapped_ids() -> tuple[int, bool]:
    """The highest id that is mapped for users and for groups, and whether there are two or more."""
    lasts, counts = [], []
    for name in ("uid_map", "gid_map"):
        lines = [
            [int(word) for word in line.split()]
            for line in _text(f"/proc/self/{name}").splitlines()
        ]
        lasts.append(max((first + length - 1 for first, _, length in lines), default=_LAST_ID))
        counts.append(sum(length for _, _, length in lines) if lines else _LAST_ID)
    return min(lasts), min(counts) > 1


def _is_unmapped() -> bool:
    """Whether the ids of users or of groups are not mapped: such a caller may make no user namespace."""
    maps = [f"/proc/self/{name}" for name in ("uid_map", "gid_map")]
    return any(os.path.exists(path) and not _text(path) for path in maps)


def _number(path: str) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _text(path: str) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8", "surrogateescape").strip().rstrip("\0")
    except OSError:
        return ""

"""The steps that confine a child, for each place in the order of a child's setup."""

import os
from collections import OrderedDict
from typing import Any

from .._kernel import mounts
from .._kernel.clone_bits import NEWCGROUP, NEWIPC, NEWNET, NEWNS, NEWUSER, NEWUTS
from .._setup.order import Steps
from .description import Sandbox
from .ground import Ground
from .identity import identity
from .landlock import rules

_NO_CGROUP = -1


class Confinement:
    """What a sandbox means on this machine, for the setup of a child."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.identity = identity()
        self.ground = Ground(sandbox, self.identity)

    def make_current(self) -> None:
        """To be called before each launch."""
        self.ground.make_current()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those that the child needs while it is set up."""
        return (self.ground.user, self.ground.mount)

    def implied(self) -> dict[str, Any]:
        """Options that hold in a sandbox, as they are when validated."""
        none = {"bounding_caps": 0, "permitted_caps": 0, "inheritable_caps": 0, "ambient_caps": 0}
        return {**none, "no_new_privs": True}

    def environment(self) -> tuple[bytes, ...]:
        """What it gets of the caller's, and what a program expects: as execve(2) takes it."""
        kept = {name: os.environ[name] for name in self.sandbox.environment if name in os.environ}
        home = self.sandbox.write[0] if self.sandbox.write else "/tmp" if self.sandbox.tmp else "/"  # noqa: S108 - the child's
        names = {"HOME": home, **kept}
        return tuple(os.fsencode(f"{name}={value}") for name, value in names.items())

    def enter(self, steps: Steps) -> None:
        """Leave the caller's namespaces; the last step makes the child that goes on."""
        sandbox = self.sandbox
        if self.identity.is_callers:
            steps.add("setns(user)", "SETNS", self.ground.user, NEWUSER)
        steps.add("setns(mnt)", "SETNS", self.ground.mount, NEWNS)
        own_network = NEWNET if sandbox.network in ("none", "loopback") else 0
        steps.add("unshare", "UNSHARE", NEWNS | NEWIPC | NEWUTS | NEWCGROUP | own_network)
        name = os.fsencode(sandbox.hostname)
        steps.add("sethostname", "SETHOSTNAME", name, len(name))
        if sandbox.network == "loopback":
            steps.add("ioctl(SIOCSIFFLAGS)", "LOOPBACK")
        if sandbox.tmp is not None:
            flags = mounts.MS_NOSUID | mounts.MS_NODEV
            size = b"mode=1777,size=%d" % sandbox.tmp
            _mount(steps, b"tmpfs", b"/tmp", flags, size)
            _mount(steps, b"tmpfs", b"/dev/shm", flags | mounts.MS_NOEXEC, size)
        steps.add("clone(NEWPID)", "PID_NAMESPACE", _NO_CGROUP)

    def inside(self, steps: Steps) -> None:
        """In the new pid namespace, with all rights there."""
        if self.sandbox.proc:
            flags = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
            _mount(steps, b"proc", b"/proc", flags, b"hidepid=ptraceable")
        steps.add("setsid", "SETSID")
        own = self.identity
        if not own.is_callers:
            steps.add("setns(user)", "SETNS", self.ground.user, NEWUSER)
            steps.add("setgroups", "SETGROUPS", 0, 0)
            steps.add("setresgid", "SETGID", *[own.inner_gid] * 3)
            steps.add("setresuid", "SETUID", *[own.inner_uid] * 3)

    def finish(self, steps: Steps) -> None:
        """The last steps, after which less is allowed."""
        found = rules(self.sandbox, self.ground.view, 6, has_own_root=True)
        steps.add("landlock_restrict_self", "LANDLOCK", *found)


def _mount(steps: Steps, kind: bytes, where: bytes, flags: int, data: bytes) -> None:
    steps.add(f"mount({kind.decode()})", "MOUNT", kind, where, kind, flags, data, file=where)


_MOST_KEPT = 32
_kept: OrderedDict[Sandbox, Confinement] = OrderedDict()


def confinement_of(sandbox: Sandbox) -> Confinement:
    """The confinement of a description; those that were used last are kept, each with a few descriptors."""
    found = _kept.pop(sandbox, None)
    if found is None:
        found = Confinement(sandbox)
        while len(_kept) >= _MOST_KEPT:
            _kept.popitem(last=False)
    _kept[sandbox] = found
    return found

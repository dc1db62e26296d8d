"""The steps that confine a child, for each place in the order of a child's setup."""

import os
import sys
from collections import OrderedDict
from typing import Any, NamedTuple, TypeAlias

from .._kernel import mounts
from .._kernel.clone_bits import NEWCGROUP, NEWIPC, NEWNET, NEWNS, NEWUSER, NEWUTS
from .._kernel.names import CAPABILITIES, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS
from .._setup.order import Operation, Steps
from .._setup.step_makers import Setup, bounding_set
from .description import Sandbox
from .ground import Ground
from .identity import identity
from .landlock import rules

Label: TypeAlias = tuple[str, bytes | None]

_NO_CGROUP = -1
_NO_SETUP = Setup({})
# A template makes a pid namespace for each call, and its clones mount what is theirs before they give it up.
_TO_MAKE_NAMESPACES = 1 << CAPABILITIES["SYS_ADMIN"]


class Confinement:
    """What a sandbox means on this machine, for the setup of a child.

    user, mount: the descriptors of the namespaces, as the steps are to name them.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.identity = identity()
        self.ground = Ground(sandbox, self.identity)
        self.user: object = self.ground.user
        self.mount: object = self.ground.mount

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
        names = {"HOME": self._home(), **kept}
        return tuple(os.fsencode(f"{name}={value}") for name, value in names.items())

    def _home(self) -> str:
        directories = [one.path for one in self.ground.view.shown if one.writable and one.is_directory]
        if directories:
            return directories[0]
        return "/" if self.sandbox.tmp is None else "/tmp"  # noqa: S108 - the child's

    def enter(self, steps: Steps) -> None:
        """Leave the caller's namespaces; the last step makes the child that goes on."""
        self.leave(steps)
        steps.add("clone(NEWPID)", "PID_NAMESPACE", _NO_CGROUP)

    def leave(self, steps: Steps) -> None:
        """Leave the caller's namespaces, all but its pid namespace, which only a child of the task can be out of."""
        sandbox = self.sandbox
        joined = [("setns(user)", self.user, NEWUSER), ("setns(mnt)", self.mount, NEWNS)]
        # A mount namespace can be joined with rights in the user namespace that made it.
        for label, descriptor, kind in joined if self.identity.is_callers else reversed(joined):
            steps.add(label, "SETNS", descriptor, kind)
        own_network = NEWNET if sandbox.network in ("none", "loopback") else 0
        steps.add("unshare", "UNSHARE", NEWNS | NEWIPC | NEWUTS | NEWCGROUP | own_network)
        name = os.fsencode(sandbox.hostname)
        steps.add("sethostname", "SETHOSTNAME", name, len(name))
        if sandbox.network == "loopback":
            steps.add("ioctl(SIOCSIFFLAGS)", "LOOPBACK")

    def inside(self, steps: Steps) -> None:
        """In the new pid namespace, with all rights there."""
        self._add_own_files(steps)
        steps.add("setsid", "SETSID")
        own = self.identity
        if not own.is_callers:
            steps.add("setgroups", "SETGROUPS", 0, 0)
            steps.add("setresgid", "SETGID", *[own.inner_gid] * 3)
            steps.add("setresuid", "SETUID", *[own.inner_uid] * 3)
        home = os.fsencode(self._home())
        steps.add("chdir", "CHDIR", home, file=home)

    def _add_own_files(self, steps: Steps) -> None:
        """/tmp, /dev/shm and /proc of the pid namespace in which the task is."""
        flags = mounts.MS_NOSUID | mounts.MS_NODEV
        if self.sandbox.tmp is not None:
            size = b"mode=1777,size=%d" % self.sandbox.tmp
            _mount(steps, b"tmpfs", b"/tmp", flags, size)
            _mount(steps, b"tmpfs", b"/dev/shm", flags | mounts.MS_NOEXEC, size)
        if self.sandbox.proc:
            _mount(steps, b"proc", b"/proc", flags | mounts.MS_NOEXEC, b"hidepid=ptraceable")

    def finish(self, steps: Steps) -> None:
        """The last steps, after which less is allowed."""
        found = rules(self.sandbox, self.ground.view, 6, has_own_root=True)
        steps.add("landlock_restrict_self", "LANDLOCK", *found)


class TemplateSteps(NamedTuple):
    """What a template does to confine itself, and each of its clones: operations and labels.

    leave: in the process that has loaded. enter: in its clone, the template, in a new pid namespace. call: in each
    clone of that. descriptors: those that the steps name by a Place, for the process that has loaded.
    """

    leave: tuple[list[Operation], list[Label]]
    enter: tuple[list[Operation], list[Label]]
    call: tuple[list[Operation], list[Label]]
    descriptors: tuple[int, ...]


class Place(NamedTuple):
    """A descriptor that is sent beside the steps, by its place there."""

    place: int


class OfTemplate(Confinement):
    """The same for a template, whose clones each have files of their own in /tmp, and see their own processes."""

    def __init__(self, sandbox: Sandbox) -> None:
        paths = [path for path in sys.path if path and os.path.isdir(path)]
        super().__init__(sandbox.replace(read=[*sandbox.read, *(path for path in paths if path not in sandbox.write)]))
        self.user, self.mount = Place(0), Place(1)

    def steps(self) -> TemplateSteps:
        """The steps, as they are now."""
        leave, enter, call = Steps(), Steps(), Steps()
        self.leave(leave)
        self.inside(enter)
        bounding_set.do(_NO_SETUP, enter, 0)
        enter.add("capset", "CAPABILITIES", _TO_MAKE_NAMESPACES, 0, 0)
        enter.add("prctl(PR_SET_NO_NEW_PRIVS)", "PRCTL", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        # The change of ids has made the memory one that only the privileged may look into: not even /proc/self.
        enter.add("prctl(PR_SET_DUMPABLE)", "PRCTL", PR_SET_DUMPABLE, 1, 0, 0, 0)
        self._add_own_files(call)
        call.add("capset", "CAPABILITIES", 0, 0, 0)
        self.finish(call)
        parts = ((steps.steps, steps.labels) for steps in (leave, enter, call))
        return TemplateSteps(*parts, self.descriptors)


def _mount(steps: Steps, kind: bytes, where: bytes, flags: int, data: bytes) -> None:
    steps.add(f"mount({kind.decode()})", "MOUNT", kind, where, kind, flags, data, file=where)


_MOST_KEPT = 16
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

"""The steps by which a process that runs Python confines itself, or its clones."""

import errno
import os
import resource
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from .._kernel.names import CAPABILITIES, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS
from .._kernel.process_memory import data_bytes
from .._setup.order import Operation, Steps
from .._setup.rows import OPTIONS
from .._setup.step_makers import Setup, bounding_set, rlimits
from .._setup.validate import ValidatedOptions
from ..errors import SandboxError
from .amounts.amounts import as_given, within_own
from .confinement import Confinement
from .description import Sandbox, is_below
from .files.own_files import add_layer
from .overlay.layer import Layer
from .overlay.layers import Layers
from .own_places import LAYERS, OWN_DIRECTORY
from .syscalls import of_a_call
from .ways import way_of, why_unsafe, written_directories

_NO_SETUP = Setup({})
_NOTHING_GIVEN: Mapping[str, Any] = {}
# A template makes a pid namespace for each call, and its clones mount what is theirs before they
# give it up.
_TO_MAKE_NAMESPACES = 1 << CAPABILITIES["SYS_ADMIN"]
# Overlayfs changes files with the rights of the one who has mounted it: it copies them with their modes,
# and its own directory is closed to all. Source: fs/overlayfs/super.c, ovl_workdir_create().
_TO_MOUNT_LAYERS = sum(
    1 << CAPABILITIES[name]
    for name in ("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "SETFCAP")
)
_NO_SOCKET = -1
_IN_RESERVE = 1024  # descriptors: a sender may have 253 more in sockets than its limit, SCM_MAX_FD
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_NEEDED = ("user", "mnt", "pid")

Labelled: TypeAlias = tuple[list[Operation], list[tuple[str, bytes | None]]]


class TemplateSteps(NamedTuple):
    """Operations and their labels.

    leave: in the process that has loaded. enter: in its clone, the template, in a new pid
    namespace. call: in each clone of that. descriptors: those that the steps name by their places here,
    each in a tuple, for the process that has loaded.
    """

    leave: Labelled
    enter: Labelled
    call: Labelled
    descriptors: tuple[int, ...]


class CloneSteps(NamedTuple):
    """Operations and their labels, for one clone of the caller.

    leave: in another copy, which makes the clone. enter: first in the clone. finish: last there.
    """

    leave: Labelled
    enter: Labelled
    finish: Labelled


class OfPython(Confinement):
    """The confinement of a process that is a copy of one outside.

    Raises SandboxError where there are no user, mount or pid namespaces.
    """

    _given = _NOTHING_GIVEN  # options of the process that is confined

    def __init__(self, sandbox: Sandbox, others: Iterable[Confinement] = ()) -> None:
        super().__init__(sandbox, others)
        lacking = [kind for kind in _NEEDED if kind not in self.plan.namespaces]
        if lacking:
            refused = self.plan.machine.namespaces[lacking[0]]
            raise SandboxError(
                *(refused.errno or 1, f"a function needs a {lacking[0]} namespace: {refused}"),
                wish="sandbox",
                remedy="confine programs, ramet.run(..., sandbox=...), which can do without",
                rules=refused.rules,
            )

    def leave(self, steps: Steps) -> None:
        """See Confinement."""
        for name, value in self.taken_back().items():  # by the caller's /proc
            if name not in self._given:
                for step in OPTIONS[name].steps:
                    step.do(_NO_SETUP, steps, value)
        super().leave(steps)
        if self.ground.is_its_own:
            # Who joins another user's namespace has memory that only the privileged may look into, and may
            # not be joined by its pidfd. As yet it is its caller's user.
            steps.add("prctl(PR_SET_DUMPABLE)", "PRCTL", PR_SET_DUMPABLE, 1, 0, 0, 0)


def with_path(sandbox: Sandbox) -> Sandbox:
    """The description, with the directories of sys.path and this package to read."""
    named: list[object] = [*sys.path]  # imports pass over what is no text, such as a Path
    texts = [path for path in named if isinstance(path, str) and path]
    found = [os.path.abspath(path) for path in texts if os.path.exists(path)]
    found.append(_PACKAGE)  # an editable install has it elsewhere
    decided, written = (*sandbox.write, *sandbox.hidden), written_directories(sandbox.write)
    found = [path for path in found if not is_below(os.path.realpath(path), OWN_DIRECTORY)]
    shown = [path for path in found if not any(is_below(path, one) for one in decided)]
    # By a link below what is written it is seen as that link; nobody has asked to follow it.
    followed = [path for path in shown if why_unsafe(path, way_of(path), written) is None]
    return sandbox.replace(read=[*sandbox.read, *followed])


class OfClone(OfPython):
    """The confinement of a clone of the caller that runs one function."""

    @property
    def rlimits(self) -> dict[str | int, tuple[int, int]]:
        """Those of the amounts. What the caller has, which is copied, comes on top."""
        limits = super().rlimits
        if "DATA" in limits:
            own = data_bytes()
            limits["DATA"] = within_own("DATA", *(one + own for one in limits["DATA"]))
        return limits

    def options_beside(self, given: ValidatedOptions) -> dict[str, Any]:
        """The options by which the amounts hold beside those that the caller gives."""
        options: dict[str, Any] = {"rlimits": as_given(self.limits_beside(given))}
        if self.amounts.affinity is not None and "cpu_affinity" not in given:
            options["cpu_affinity"] = self.amounts.affinity
        return options

    def steps(self, layer: Layer | None) -> CloneSteps:
        """The steps, as they are now. layer: what takes the writes of this child."""
        leave, enter, finish = Steps(), Steps(), Steps()
        self.leave(leave)
        self.inside(enter, layer)
        bounding_set.do(_NO_SETUP, finish, 0)
        finish.add("capset", "CAPABILITIES", 0, 0, 0)
        finish.add("prctl(PR_SET_NO_NEW_PRIVS)", "PRCTL", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        finish.add("prctl(PR_SET_DUMPABLE)", "PRCTL", PR_SET_DUMPABLE, 1, 0, 0, 0)
        self.restrict(finish)
        self.filter(finish)
        return CloneSteps(_of(leave), _of(enter), _of(finish))


class OfTemplate(OfPython):
    """The confinement of a template, whose clones have a /tmp, a /proc and a layer of their own."""

    keeps_namespaces = True
    has_other_tasks = True  # the template itself

    def __init__(self, sandbox: Sandbox, given: ValidatedOptions = _NOTHING_GIVEN) -> None:
        """given: the options of the template itself, whose limits its calls have from it."""
        if not sandbox.proc:
            raise ValueError(
                "invalid proc for a template: expected True, since it counts its threads there before it "
                "makes a clone; use ramet.clone(fn, sandbox=) or a program"
            )
        self._given = given
        super().__init__(sandbox)
        self._refuse_without_proc()
        if self.network != -1:
            self.network = (2,)

    # Their places in what is sent. No type of this module: the template would import it, and its clones pay
    # for that.
    user, mount = (0,), (1,)

    def _refuse_without_proc(self) -> None:
        """With require="best" it may be what is lost."""
        for row in self.plan.lost:
            if row.wish == "proc" and row.met == "not":
                self.close()
                raise SandboxError(
                    errno.EOPNOTSUPP,
                    f"a template counts its threads in a /proc of its own: {row.shortfall or row.text}",
                    wish="proc",
                    remedy=row.remedy
                    or "confine each function by ramet.clone(fn, sandbox=), or programs",
                )

    def close(self) -> None:
        """Let go of all now: the template has ended, and nothing else refers to this."""
        super().close()
        self.ground.close()
        self._network.close()

    @property
    def rlimits(self) -> dict[str | int, tuple[int, int]]:
        """Those of the amounts that a call is given: not the one that comes last, see steps()."""
        others = {"NOFILE", *self._given.get("rlimits", ())}
        return {name: limit for name, limit in super().rlimits.items() if name not in others}

    def steps(self, process: int) -> TemplateSteps:
        """The steps, as they are now. process: the pid of the one that has loaded, a child of this one."""
        own = resource.prlimit(process, resource.RLIMIT_NOFILE)
        leave, enter, call = Steps(), Steps(), Steps()
        self.leave(leave)
        _limit_descriptors(enter, own[1], own[1])
        self.inside(enter)
        bounding_set.do(_NO_SETUP, enter, 0)
        layered = 0 if self.layers is None else _TO_MOUNT_LAYERS
        enter.add("capset", "CAPABILITIES", _TO_MAKE_NAMESPACES | layered, 0, 0)
        enter.add("prctl(PR_SET_NO_NEW_PRIVS)", "PRCTL", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        # The change of ids has made the memory one that only the privileged may look into: not
        # even /proc/self.
        enter.add("prctl(PR_SET_DUMPABLE)", "PRCTL", PR_SET_DUMPABLE, 1, 0, 0, 0)
        self.filter(enter)
        self.add_own_files(call)
        if self.layers is not None:
            self._add_layer(call, self.layers)
        self._add_limits(call)
        call.add("setsid", "SETSID")  # a signal to its process group is for itself alone
        call.add("capset", "CAPABILITIES", 0, 0, 0)
        self.restrict(call)
        # After the steps that open some.
        _limit_descriptors(call, *_of_a_call(self.sandbox.open_files, *own))
        if self.filter_program is not None:  # the template's lets pass what a template needs
            filter_of_call = of_a_call(
                machine=self.filter_program.machine,
                wanted=self.sandbox.syscalls,
                forbidden=self.sandbox.forbidden,
            )
            program = bytearray(filter_of_call.program)
            call.add(
                "seccomp",
                "SECCOMP",
                program,
                filter_of_call.count,
                filter_of_call.flags,
                _NO_SOCKET,
            )
        return TemplateSteps(_of(leave), _of(enter), _of(call), self.descriptors)

    def _add_limits(self, steps: Steps) -> None:
        rlimits.do(_NO_SETUP, steps, OPTIONS["rlimits"].kind.check("rlimits", self.rlimits))
        if self.amounts.affinity is not None and "cpu_affinity" not in self._given:
            kind = OPTIONS["cpu_affinity"].kind
            mask = bytearray(kind.check("cpu_affinity", self.amounts.affinity))
            steps.add("sched_setaffinity", "SCHED_SETAFFINITY", 0, len(mask), mask)

    def _add_layer(self, steps: Steps, layers: Layers) -> None:
        """That of the clone, whatever its name is: see steps_to_own_layer() of own_files."""
        add_layer(steps, layers.parts, LAYERS)
        home = os.fsencode(self.home)  # in the layer, and not below it
        steps.add("chdir", "CHDIR", home, file=home)


def _limit_descriptors(steps: Steps, soft: int, hard: int) -> None:
    limits = OPTIONS["rlimits"].kind.check("rlimits", {"NOFILE": (soft, hard)})
    rlimits.do(_NO_SETUP, steps, limits)


def _of_a_call(open_files: int | None, soft: int, hard: int) -> tuple[int, int]:
    """RLIMIT_NOFILE of a call, below the hard limit of its template, whose limits these are.

    It limits as well how many descriptors of one user may be in sockets, sent and not received: where there
    are more than its own limit, a process can send none, and a template is its calls' user.
    Source: net/unix/af_unix.c, too_many_unix_fds().
    """
    if open_files is None:
        return min(soft, hard // 2), hard // 2
    most = hard - min(_IN_RESERVE, hard // 2)
    return min(open_files, most), min(open_files, most)


def _of(steps: Steps) -> Labelled:
    return steps.steps, steps.labels

"""A program in a new task: all that the child does before its exec, decided before it exists."""

import errno
import itertools
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from . import birth
from ._core import Plan
from .birth import CloneArgs
from .child import Child, sweep
from .errors import spawn_error
from .flags import CloneFlag

Text: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Environment: TypeAlias = Mapping[str, str] | Mapping[bytes, bytes]
Step: TypeAlias = tuple[object, ...]

_FIRST_CLOSED = 3
_LAST_DESCRIPTOR = (1 << 32) - 1
_NO_ID = (1 << 32) - 1
_UMASK_BITS = 0o7777
_SIGNAL_BITS = 0x7F

# Plain integers, as in birth.py.
_VM = CloneFlag.VM.value
_FS = CloneFlag.FS.value
_FILES = CloneFlag.FILES.value
_SIGHAND = CloneFlag.SIGHAND.value
_VFORK = CloneFlag.VFORK.value
_PARENT = CloneFlag.PARENT.value
_THREAD = CloneFlag.THREAD.value
_STOPPED = CloneFlag.STOPPED.value
_CLEAR_SIGHAND = CloneFlag.CLEAR_SIGHAND.value
_LOW_LEVEL = birth.WORDS | CloneFlag.SETTLS.value

# The signals that Python ignores for itself and that programs expect to find at their default.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


@dataclass(frozen=True)
class Program:
    """What to run and in what surroundings; each field is as subprocess.Popen names it.

    ``descriptors``: child's number to caller's. ``kept``: descriptors that stay open under their
    number. ``env`` None is this process's own, as it is at the launch.
    """

    argv: Sequence[Text]
    executable: Text | None = None
    env: Environment | None = None
    cwd: Text | None = None
    descriptors: Mapping[int, int] = field(default_factory=dict)
    kept: Iterable[int] = ()
    close_fds: bool = True
    restore_signals: bool = True
    start_new_session: bool = False
    process_group: int | None = None
    umask: int | None = None
    groups: Sequence[int] | None = None
    group: int | None = None
    user: int | None = None
    flags: int = 0

    def launch(self) -> Child[None]:
        """Make the child, which is the caller's: clone(2) with VM|VFORK, then execve(2).

        Raises CloneError when no child came, SpawnError (as subprocess does: a FileNotFoundError,
        a PermissionError) when it failed on its way to the program; ValueError and TypeError for
        bad arguments, before anything is made. Needs: what the flags need. Source: clone(2).
        """
        flags = self._checked_flags()
        plan = Plan(self._steps(flags))
        # One that begins stopped would never let a caller go that waits for its exec.
        sharing = _VM if flags & _STOPPED else _VM | _VFORK
        request = CloneArgs(flags & ~_SIGNAL_BITS | sharing, exit_signal=_exit_signal(flags))
        if not flags & _SIGHAND and birth.kernel_clears_handlers(request):
            request.flags |= _CLEAR_SIGHAND
        sweep()
        newborn, failure = birth.launch(request, plan)
        child: Child[None] = Child(newborn, flags, list(self.argv), None)
        if failure is not None:
            child.wait()
            raise spawn_error(failure.step, failure.errno, self._culprit(failure), _reason(failure))
        return child

    def _checked_flags(self) -> int:
        flags = int(self.flags)
        if flags & _THREAD:
            raise ValueError("a program cannot be a thread of this process: its exec would end us")
        if flags & _LOW_LEVEL:
            raise ValueError(f"{CloneFlag(flags & _LOW_LEVEL)} is for ramet.lowlevel")
        self._check_identity()
        if flags & _FS and (self.cwd is not None or self.umask is not None):
            raise ValueError("with FS the child's cwd and umask are the caller's: set them there")
        return flags

    def _check_identity(self) -> None:
        """The kernel takes 32 bits of an id, and all ones for "leave as it is": neither is asked."""
        for name, number in (
            ("user", self.user),
            ("group", self.group),
            *(("extra_groups", group) for group in self.groups or ()),
        ):
            if number is not None and not 0 <= number < _NO_ID:
                raise OverflowError(f"{name}: {number} is no id, which is 0 to {_NO_ID - 1}")
        if self.umask is not None and not 0 <= self.umask <= _UMASK_BITS:
            raise ValueError(f"umask: {self.umask} is no mask, which is 0 to {_UMASK_BITS:#o}")

    def _steps(self, flags: int) -> list[Step]:
        """The plan. What changes who the child is comes after what needs the caller's rights."""
        steps: list[Step] = []
        moves = _descriptor_steps(self.descriptors, self.kept, close_fds=self.close_fds)
        if flags & _FILES and moves:
            steps.append(("UNSHARE", _FILES))  # else the caller's own would change
        if self.restore_signals and not flags & _SIGHAND:
            steps += [("SIGNAL_DEFAULT", int(number)) for number in _IGNORED_BY_PYTHON]
        if self.start_new_session:
            steps.append(("SETSID",))
        if self.process_group is not None:
            steps.append(("SETPGID", self.process_group))
        if self.umask is not None:
            steps.append(("UMASK", self.umask))
        if self.cwd is not None:
            steps.append(("CHDIR", os.fsencode(self.cwd)))
        steps += moves
        if self.groups is not None:
            steps.append(("SETGROUPS", len(self.groups), tuple(self.groups)))
        if self.group is not None:
            steps.append(("SETGID", self.group))
        if self.user is not None:
            steps.append(("SETUID", self.user))
        steps.append(("EXEC", self._paths(), self._argv(), self._environment()))
        return steps

    def _argv(self) -> tuple[bytes, ...]:
        if isinstance(self.argv, str | bytes):
            raise TypeError("argv is a sequence of words, not one string")
        if not self.argv:
            raise ValueError("argv is empty: it needs at least the name of the program")
        return tuple(os.fsencode(word) for word in self.argv)

    def _paths(self) -> tuple[bytes, ...]:
        """Where the program may be: a name without a slash is looked for along PATH."""
        program = os.fsencode(self.executable if self.executable is not None else self._argv()[0])
        if not program:
            return (b"",)
        if b"/" in program:
            return (program,)
        directories = os.get_exec_path(self.env)  # type: ignore[arg-type] # bytes keys work too
        return tuple(os.path.join(os.fsencode(directory), program) for directory in directories)

    def _environment(self) -> tuple[bytes, ...] | None:
        if self.env is None:
            return None
        return tuple(_assignment(name, value) for name, value in self.env.items())

    def _culprit(self, failure: birth.Failure) -> str | bytes | None:
        if failure.step == "chdir" and self.cwd is not None:
            return os.fspath(self.cwd)
        if failure.step == "execve":
            return os.fspath(self.executable if self.executable is not None else self.argv[0])
        return None


def _exit_signal(flags: int) -> int:
    return flags & _SIGNAL_BITS or (0 if flags & _PARENT else signal.SIGCHLD)


def _assignment(name: str | bytes, value: str | bytes) -> bytes:
    name = os.fsencode(name)
    if b"=" in name:
        raise ValueError(f"illegal environment variable name: {name!r}")
    return name + b"=" + os.fsencode(value)


def _descriptor_steps(
    descriptors: Mapping[int, int], kept: Iterable[int], *, close_fds: bool
) -> list[Step]:
    """Each child's descriptor from the caller's, whatever the order, cycles included.

    A source that some other move would overwrite is saved out of the way first.
    """
    saved = sorted({s for t, s in descriptors.items() if s != t and s in descriptors})
    above = max([2, *descriptors, *descriptors.values(), *kept]) + 1
    steps: list[Step] = [("SAVE", source, slot, above) for slot, source in enumerate(saved)]
    for target, source in sorted(descriptors.items()):
        if source == target:
            steps.append(("INHERIT", target))
        elif source in saved:
            steps.append(("RESTORE", saved.index(source), target))
        else:
            steps.append(("DUP", source, target))
    steps += [("INHERIT", number) for number in sorted(set(kept))]
    if close_fds:
        open_ones = sorted({*descriptors, *kept} | {_FIRST_CLOSED - 1})
        steps += _closing_steps([n for n in open_ones if n >= _FIRST_CLOSED - 1])
    return steps


def _closing_steps(open_ones: Sequence[int]) -> list[Step]:
    """Close what lies between and above the descriptors that stay."""
    bounds = [*open_ones, _LAST_DESCRIPTOR + 1]
    return [
        ("CLOSE_RANGE", low + 1, high - 1)
        for low, high in itertools.pairwise(bounds)
        if low + 1 <= high - 1
    ]


_REASONS = {
    ("execve", errno.ENOENT): "no such program, or the interpreter of its first line is missing",
    ("execve", errno.EACCES): "it may not be executed: a mode bit, or a noexec mount",
    ("execve", errno.ENOEXEC): "it is neither a binary of this machine nor a script with #!",
    ("execve", errno.E2BIG): "argv and environment together are too large",
    ("execve", errno.ETXTBSY): "somebody has it open for writing",
}


def _reason(failure: birth.Failure) -> str:
    return _REASONS.get((failure.step, failure.errno), "")

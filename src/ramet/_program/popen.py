"""Popen: a program in a new task, with the interface of subprocess.Popen."""

import atexit
import contextlib
import io
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, AnyStr, overload

from .._core import wait_readable
from .._kernel.names import LARGEST_ID
from .._kernel.timeouts import checked_as_in_subprocess, deadline_after
from .._process.child import Child
from .._process.tree.subreaper import Subreaper
from .._setup.rows import OPTIONS
from .._setup.validate import unknown
from ..errors import TimeoutExpired
from ..exit_status import ExitStatus
from . import streams
from .argument_checks import no_input, refuse_no_stream, words_of
from .capture import Exchange, raw_bytes
from .command import Command

if TYPE_CHECKING:
    from typing import Unpack

    from _typeshed import ReadableBuffer

    from .._sandbox.supervision import SandboxReport
    from . import popen_types as types
    from .popen_types import Argv

_SHELL = "/bin/sh"
_NONE = -1
_STREAMS = ("stdin", "stdout", "stderr")


class Popen(subprocess.Popen[AnyStr]):
    """A program in a new task: clone(2) with VM|VFORK and execve(2), used as subprocess.Popen.

    All parameters of subprocess.Popen, and those of ramet.Options by name. It waits on a pidfd: a timeout
    does not poll. preexec_fn: a function that the child calls before its exec, after all other steps
    but the closing of descriptors. With it the child is a copy of this process, which takes as long as a
    fork; a PreexecWarning names the options to use instead.

    start: with False the child waits before its program until start(). Until then its pipes are open and
    empty: a read of ``stdout`` waits for ever. The end of a ``with`` block kills a child that still waits.

    ``pidfd``: of the child, until it has been waited for; ``exit_status``: how it ended, with its rusage.
    When the kernel reports no status the returncode is 0, as in subprocess, and ``exit_status.reason`` is
    "unknown"; see Child.wait().

    Raises what subprocess.Popen raises: SpawnError, which names the step, for a failure in the child;
    CloneError when the kernel refuses the clone call; SubprocessError when preexec_fn raised.
    Needs: what the options need.
    Source: clone(2), execve(2), pidfd_open(2).
    """

    # subprocess.Popen.__init__() sets these on each object. It is not called, and few change here.
    stdin: IO[AnyStr] | None = None
    stdout: IO[AnyStr] | None = None
    stderr: IO[AnyStr] | None = None
    pid: int = None  # type: ignore[assignment] # until there is a child, as in subprocess
    returncode: int | Any = None
    encoding: str | None = None
    errors: str | None = None
    text_mode: Any = None
    _sigint_wait_secs = 0.25

    _child: Child[None] | None = None
    _childs_ends: Iterator[int] | None = None  # of pipes, and /dev/null: those that are open still
    _exchange: Exchange | None = None
    _output: tuple[Any, Any] | None = None

    @overload
    def __init__(
        self: "Popen[str]", args: "Argv", **options: "Unpack[types.PopenByText]"
    ) -> None: ...
    @overload
    def __init__(
        self: "Popen[str]", args: "Argv", **options: "Unpack[types.PopenByEncoding]"
    ) -> None: ...
    @overload
    def __init__(
        self: "Popen[str]", args: "Argv", **options: "Unpack[types.PopenByErrors]"
    ) -> None: ...
    @overload
    def __init__(
        self: "Popen[str]", args: "Argv", **options: "Unpack[types.PopenByNewlines]"
    ) -> None: ...
    @overload
    def __init__(
        self: "Popen[bytes]", args: "Argv", **options: "Unpack[types.PopenInBytes]"
    ) -> None: ...
    @overload
    def __init__(
        self: "Popen[Any]", args: "Argv", **options: "Unpack[types.PopenInEither]"
    ) -> None: ...
    @overload
    def __init__(
        self: "Popen[Any]",
        args: "Argv",
        bufsize: int,
        /,
        *more: Any,
        **options: "Unpack[types.PopenInEither]",
    ) -> None: ...
    def __init__(  # type: ignore[misc] # positional as well  # noqa: C901, PLR0912, PLR0917 - the parameters of subprocess
        self,
        args: Any,
        bufsize: int | None = -1,
        executable: Any = None,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        preexec_fn: Any = None,
        close_fds: bool = True,
        shell: bool = False,
        cwd: Any = None,
        env: Mapping[Any, Any] | None = None,
        universal_newlines: bool | None = None,
        startupinfo: Any = None,
        creationflags: int = 0,
        restore_signals: bool = True,
        start_new_session: bool = False,
        pass_fds: Iterable[int] = (),
        *,
        user: str | int | None = None,
        group: str | int | None = None,
        extra_groups: Iterable[str | int] | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        text: bool | None = None,
        umask: Any = -1,
        pipesize: int | None = -1,
        process_group: int | None = None,
        **options: Any,
    ) -> None:
        if preexec_fn is not None:
            options["preexec_fn"] = preexec_fn
        if startupinfo is not None or creationflags != 0:
            raise ValueError("startupinfo and creationflags are only supported on Windows")
        if subprocess._active:  # type: ignore[attr-defined] # dropped ones, not reaped yet
            subprocess._cleanup()  # type: ignore[attr-defined]
        self.args = args
        self.pipesize = _size("pipesize", pipesize)
        bufsize = _size("bufsize", bufsize)
        if stdout is subprocess.STDOUT:
            raise ValueError("STDOUT can only be used for stderr")
        if encoding or errors or text is not None or universal_newlines is not None:
            self._choose_text(text, universal_newlines, encoding, errors)
        if pass_fds:
            if not close_fds:
                warnings.warn("pass_fds overriding close_fds.", RuntimeWarning, stacklevel=2)
            options["pass_fds"] = pass_fds
        elif not close_fds:
            options["close_fds"] = False
        # Only what differs from the default: most programs need no option at all.
        if executable is not None:
            options["executable"] = executable
        if cwd is not None:
            options["cwd"] = cwd
        if env is not None:
            options["env"] = env
        if not restore_signals:
            options["restore_signals"] = False
        if start_new_session:
            options["start_new_session"] = True
        if process_group is not None and process_group != _NONE:
            options["process_group"] = process_group
        if umask != _NONE:
            options["umask"] = umask
        if user is not None:
            options["user"] = _not_negative("user", user)
        if group is not None:
            options["group"] = _not_negative("group", group)
        if extra_groups is not None:
            options["extra_groups"] = _groups(extra_groups)
        argv = _argv(args, shell=shell, shell_path=executable)
        try:
            if stdin is None and stdout is None and stderr is None:
                self._execute_child(argv, options)
            else:
                self._execute_with_stdio(argv, options, (stdin, stdout, stderr), bufsize)
        except BaseException:  # a signal handler may raise, too: no child must be left
            self._discard_child()
            raise

    @property
    def pidfd(self) -> int | None:
        """The child's pidfd, None once it has been waited for."""
        return None if self._child is None else self._child.pidfd

    @property
    def exit_status(self) -> ExitStatus | None:
        """How it ended; None until it has been waited for."""
        return None if self._child is None else self._child.exit_status

    @property
    def report(self) -> "SandboxReport | None":
        """With ``sandbox=``: what it has used, and what ended it; None before its end."""
        return None if self._child is None else self._child.report

    def fileno(self) -> int:
        """The pidfd, which becomes readable when the child has ended. Source: pidfd_open(2)."""
        if self._child is None:
            raise ValueError("this Popen has no child: none was made")
        return self._child.fileno()

    def start(self) -> None:
        """Let a child made with start=False go on to its program: Child.start().

        Raises SpawnError when the program cannot be executed.
        Source: futex(2), execve(2).
        """
        if self._child is not None:
            self._child.start()

    def send_signal(self, sig: int) -> None:
        """Send it a signal; does nothing when it has ended. Source: pidfd_send_signal(2)."""
        if self._child is not None and self.poll() is None:
            self._child.send_signal(sig)

    def terminate(self) -> None:
        """Ask it to end: Child.terminate(). Source: pidfd_send_signal(2)."""
        if self._child is not None and self.poll() is None:
            self._child.terminate()

    def kill_tree(self, timeout: float | None = None, *, orphans: Subreaper | None = None) -> None:
        """Kill it and all processes that it started: Child.kill_tree(); wait() for it afterwards.

        Source: pidfd_send_signal(2), Documentation/admin-guide/cgroup-v2.rst.
        """
        if self._child is not None:
            self._child.kill_tree(timeout, orphans=orphans)

    def wait(self, timeout: float | None = None) -> int:
        """As subprocess.Popen.wait(), without polling; it raises ramet.TimeoutExpired.

        timeout: in seconds, None for ever; a negative one is over at once, as in subprocess.
        Raises ValueError, without a timeout, for a child made with start=False that was not started.
        """
        deadline = deadline_after(checked_as_in_subprocess(timeout))
        try:
            return self._wait(timeout=timeout)
        except KeyboardInterrupt:
            self._be_patient(deadline)
            raise

    def communicate(
        self,
        input: "AnyStr | ReadableBuffer | None" = None,  # noqa: A002 - subprocess's own name
        timeout: float | None = None,
    ) -> tuple[AnyStr, AnyStr]:
        """Send input, read stdout and stderr to their end, and wait: subprocess.Popen.communicate.

        input: an object with a buffer, which is not copied; a str in text mode. timeout: in seconds, None
        for ever. Returns the output of stdout and of stderr, None for one that is not a pipe.
        Raises TimeoutExpired (the child runs on), which has the output so far as bytes; when called again,
        it continues and loses no output. ValueError as wait() does.
        Source: poll(2), pipe(7).
        """
        deadline = deadline_after(checked_as_in_subprocess(timeout))
        if timeout is None and self._child is not None:
            self._child._refuse_endless_wait()
        if (self._exchange is not None or self._output is not None) and input:
            raise ValueError("Cannot send input after starting communication")
        try:
            if self._output is None:
                self._output = self._communicate(input, deadline, timeout)
            return self._output
        except KeyboardInterrupt:
            self._be_patient(deadline)
            raise

    def __exit__(self, *raised: object) -> None:
        # After the block no code calls start(), and a wait for its end would never return.
        if self._child is not None and self._child._waits_for_start():
            self._child.kill()
        super().__exit__(*raised)  # type: ignore[arg-type]

    def __del__(
        self,
        *_: Any,
        # At the interpreter's end the modules may have been taken down.
        _is_finalizing: Callable[[], bool] = sys.is_finalizing,
        _kept: list[Any] = subprocess._active,  # type: ignore[attr-defined]
    ) -> None:
        if self.returncode is None:
            super().__del__()  # warns, and keeps it in subprocess._active until it is reaped
            if _is_finalizing() and self in _kept:
                _kept.remove(self)

    # ---- the clone call

    def _choose_text(
        self, text: Any, universal_newlines: Any, encoding: str | None, errors: str | None
    ) -> None:
        if (
            text is not None
            and universal_newlines is not None
            and bool(text) != bool(universal_newlines)
        ):
            raise subprocess.SubprocessError(
                "Cannot disambiguate when both text and universal_newlines are supplied but "
                "different. Pass one or the other."
            )
        self.text_mode = encoding or errors or text or universal_newlines
        if self.text_mode and encoding is None:
            encoding = streams.default_encoding()
        self.encoding, self.errors = encoding, errors

    def _execute_child(self, argv: list[Any], options: dict[str, Any]) -> None:
        if "preexec_fn" in options:
            from . import preexec  # rarely used, and slow to import

            preexec.refuse_sandbox(options)
            preexec.warn()
            function = options.pop("preexec_fn")
            command = self._command_for(argv, options)
            child = self._child = command._new_child()
            preexec.launch(command, function, child)
        else:
            command = self._command_for(argv, options)
            child = self._child = command._new_child()
            command._launch(child)
        self.pid = child.pid
        self._child_created = True

    def _command_for(self, argv: list[Any], options: dict[str, Any]) -> Command:
        if "argv" in options:  # the name of Command's first parameter
            raise unknown("argv", OPTIONS)
        command = Command(argv, **options)
        sys.audit(
            "subprocess.Popen",
            options.get("executable", argv[0]),
            argv,
            options.get("cwd"),
            options.get("env"),
        )
        if "sandbox" in options:
            command._give([options[name] for name in _STREAMS if getattr(self, name) is not None])
        return command

    def _discard_child(self) -> None:
        child, self._child, self._child_created = self._child, None, False
        if child is not None:
            child._discard()

    def _execute_with_stdio(
        self, argv: list[Any], options: dict[str, Any], stdio: tuple[Any, Any, Any], bufsize: int
    ) -> None:
        ends, owned = (_NONE,) * 6, None
        try:
            for name, given in zip(_STREAMS, stdio, strict=True):
                refuse_no_stream(name, given)
            ends = self._get_handles(*stdio)  # type: ignore[attr-defined] # subprocess's
            owned = _by_name(ends[1], ends[2], ends[4])
            options |= _by_name(ends[0], ends[3], ends[5])
            self._open_streams(owned, bufsize)
            self._execute_child(argv, options)
            self._close_childs_ends(ends)
        except BaseException:
            self._close_our_ends(_by_name(ends[1], ends[2], ends[4]) if owned is None else owned)
            self._close_childs_ends(ends)
            raise

    def _close_childs_ends(self, ends: tuple[int, ...]) -> None:
        if self._childs_ends is None:
            devnull: int = self.__dict__.get("_devnull", _NONE)  # subprocess's
            self._childs_ends = iter(_made_for_child(ends, devnull))
        streams.close_each(self._childs_ends)

    def _open_streams(self, owned: dict[str, int], bufsize: int) -> None:
        line_buffering = bufsize == 1 and bool(self.text_mode)
        if line_buffering:
            bufsize = -1
        for name in list(owned):
            writes = name == "stdin"
            opened = streams.writing if writes else streams.reading
            stream = opened(name, owned, bufsize)
            setattr(self, name, stream)
            if self.text_mode:
                stream = io.TextIOWrapper(
                    stream,
                    encoding=self.encoding,
                    errors=self.errors,
                    line_buffering=writes and line_buffering,
                    write_through=writes,
                )
                setattr(self, name, stream)

    def _close_our_ends(self, owned: dict[str, int]) -> None:
        """Close the parent's ends of the pipes of a child that was not made."""
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        streams.close_each(map(owned.pop, list(owned)))

    # ---- the exchange of input and output

    def _communicate(
        self,
        input: Any,  # noqa: A002 - subprocess's own name
        deadline: float | None,
        timeout: float | None,
    ) -> tuple[Any, Any]:
        if self._exchange is None:
            if deadline is None and self._has_one_stream_to_use():
                return self._use_the_stream(input)
            self._exchange = Exchange(
                self.stdin,
                self.stdout,
                self.stderr,
                self._encoded(input),
                text=bool(self.text_mode),
                may_widen=self.pipesize <= 0,
                counted=None if self._child is None else self._child._belongings.count_output,
            )
        is_done = not self._has_ended() and self._exchange.run(deadline, self._end_of_all())
        if not is_done and not self._has_ended():
            raise self._expired(timeout)
        try:
            self.wait(None if deadline is None else deadline - time.monotonic())
        except subprocess.TimeoutExpired:
            raise self._expired(timeout) from None
        if not is_done:
            self._exchange.take_the_rest()
        output = self._exchange.outcome()
        self._exchange = None
        return output

    @property
    def _is_confined(self) -> bool:
        """Whether all dies with it, so that its pipe ends then: what it has given away is nobody's."""
        return self._child is not None and self._child._belongings.count_output is not None

    def _end_of_all(self) -> int | None:
        """What can be read when it ends, None where its pipes end when nobody has them any more."""
        return self._child.pidfd if self._child is not None and self._is_confined else None

    def _has_ended(self) -> bool:
        """Whether nobody writes any more to its pipes who may."""
        if self._child is None or not self._is_confined:
            return False
        pidfd = self._child.pidfd  # another thread may have reaped it
        return pidfd is None or wait_readable(pidfd, 0.0)

    def _has_one_stream_to_use(self) -> bool:
        """Whether there is one pipe only, to be read or written through its stream, not its descriptor.

        As in subprocess: so what a readline() has left in the buffer is not lost.
        """
        used = [stream for stream in (self.stdin, self.stdout, self.stderr) if stream is not None]
        return len(used) == 1 and (used[0] is self.stdin or streams.was_read(used[0]))

    def _use_the_stream(self, input: Any) -> tuple[Any, Any]:  # noqa: A002 - as above
        if self.stdin is not None:
            self._stdin_write(input)  # type: ignore[attr-defined] # subprocess's
        stdout, stderr = map(streams.read_all, (self.stdout, self.stderr))
        self.wait()
        return stdout, stderr

    def _encoded(self, data: Any) -> memoryview | None:
        if data is None or self.stdin is None or (isinstance(data, str) and not data):
            return None
        if self.text_mode:
            if not isinstance(data, str):
                raise no_input("a str in text mode", data)
            data = data.encode(self.stdin.encoding, self.stdin.errors)  # type: ignore[attr-defined] # of a text stream
        return raw_bytes(data)

    def _expired(self, timeout: float | None) -> TimeoutExpired:
        assert self._exchange is not None
        assert timeout is not None
        return TimeoutExpired(self.args, timeout, *self._exchange.so_far())

    def _be_patient(self, deadline: float | None) -> None:
        """After the first ^C wait a moment: the child probably got it, too, and ends (bpo-25942)."""
        seconds, self._sigint_wait_secs = self._sigint_wait_secs, 0
        if deadline is not None:
            seconds = min(seconds, deadline - time.monotonic())
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._wait(timeout=seconds)

    # ---- called by methods of subprocess.Popen on CPython 3.11 to 3.15

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None and self._child is not None:
            self._note(self._child.poll())
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None and self._child is not None:
            try:
                # The time left until a deadline may be negative.
                self._note(self._child.wait(None if timeout is None else max(0.0, timeout)))
            except TimeoutExpired:
                assert timeout is not None
                raise TimeoutExpired(self.args, timeout) from None
        return self.returncode

    def _note(self, status: ExitStatus | None) -> None:
        if status is not None:
            code = status.returncode
            self.returncode = 0 if code is None else code


@atexit.register
def _give_up_dropped() -> None:
    """Let go of dropped Popen objects: their children are left, or killed, while that is possible."""
    kept: list[Any] = subprocess._active  # type: ignore[attr-defined]
    kept[:] = [each for each in kept if not isinstance(each, Popen)]


def _by_name(stdin: int, stdout: int, stderr: int) -> dict[str, int]:
    given = zip(_STREAMS, (stdin, stdout, stderr), strict=True)
    return {name: number for name, number in given if number != _NONE}


def _made_for_child(ends: tuple[int, ...], devnull: int) -> list[int]:
    """The child's ends of the streams that were opened for it: not descriptors of the caller's own."""
    pairs = ((ends[0], ends[1]), (ends[3], ends[2]), (ends[5], ends[4]))
    made = [childs for childs, ours in pairs if ours != _NONE]
    return made if devnull == _NONE else [*made, devnull]


def _argv(args: Any, *, shell: bool, shell_path: Any) -> list[Any]:
    if shell and isinstance(args, os.PathLike):
        raise TypeError("path-like args is not allowed when shell is true")
    words = words_of(args)
    if shell:
        return [shell_path or _SHELL, "-c", *words]
    if not words:
        raise ValueError("invalid args: expected at least the name of the program, got none")
    return words


def _size(name: str, size: int | None) -> int:
    if size is None:
        return -1
    if not isinstance(size, int):
        hint = ""
        if name == "bufsize" and isinstance(size, str | bytes):
            hint = ": pass program and arguments as one list, run(['echo', 'hi'])"
        raise TypeError(f"{name} must be an integer{hint}")
    return size


def _not_negative(what: str, name: str | int) -> str | int:
    """ValueError below 0, as in subprocess; a number that is too large is an OverflowError in both."""
    if isinstance(name, int) and name < 0:
        raise ValueError(f"a {what} ID cannot be negative, got {name}")
    return name


def _groups(extra_groups: Iterable[str | int]) -> list[str | int]:
    if isinstance(extra_groups, str):
        raise ValueError("extra_groups must be a list, not a string")  # noqa: TRY004 - as subprocess
    if not isinstance(extra_groups, Iterable):
        return extra_groups  # which the option's own check refuses
    groups = [_not_negative("group", group) for group in extra_groups]
    for group in groups:
        if isinstance(group, int) and group > LARGEST_ID:
            raise ValueError(f"invalid extra_groups: expected IDs up to {LARGEST_ID}, got {group}")
    return groups

"""Popen and run: subprocess's manners, with any clone flag."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from .child import Child, checked_timeout
from .errors import TimeoutExpired
from .exit_status import ExitStatus
from .program import Program

_SHELL = "/bin/sh"
_PLACE_OF_PREEXEC_FN = 5  # among the positional parameters after args
_PREEXEC_FN = (
    "there is no preexec_fn: between clone and exec the child shares this process's memory. "
    "Say what it shall be instead: cwd, umask, user, group, extra_groups, start_new_session, "
    "process_group, pass_fds, flags"
)


class Popen(subprocess.Popen[Any]):
    """A program in a new task: clone(2) with VM|VFORK and execve(2), in subprocess.Popen's manners.

    All parameters of subprocess.Popen but preexec_fn, and flags: a CloneFlag, whose low bits may
    hold the exit signal. VM and VFORK are always there, whatever the other parameters are. It waits
    through a pidfd, so a timeout does not poll.

    ``pidfd`` is the child's descriptor until it has been waited for; ``exit_status`` then says how
    it ended, with its rusage. Where the kernel gives no status (PARENT) the returncode is 0, as
    subprocess has it, and ``exit_status.reason`` is "unknown".

    Raises what subprocess.Popen raises, as SpawnError (with the step that failed) for what fails in
    the child, and CloneError for what the kernel refuses.
    Needs: what the flags need.
    Source: clone(2), execve(2), pidfd_open(2).
    """

    _child: Child[None] | None = None
    _communicating = False

    def __init__(self, args: Any, *more: Any, flags: int = 0, **options: Any) -> None:
        self._flags = flags
        positional = more[_PLACE_OF_PREEXEC_FN : _PLACE_OF_PREEXEC_FN + 1]
        if any(fn is not None for fn in (*positional, options.get("preexec_fn"))):
            raise ValueError(_PREEXEC_FN)
        super().__init__(args, *more, **options)

    @property
    def pidfd(self) -> int | None:
        """The child's pidfd, None once it has been waited for."""
        return None if self._child is None else self._child.pidfd

    @property
    def exit_status(self) -> ExitStatus | None:
        """How it ended, None while it has not been waited for."""
        return None if self._child is None else self._child.exit_status

    def fileno(self) -> int:
        """The pidfd, readable when the child has ended: for any selector. Source: pidfd_open(2)."""
        if self._child is None:
            raise ValueError("no child was made")
        return self._child.fileno()

    def send_signal(self, sig: int) -> None:
        """Send it a signal; without effect when it has ended. Source: pidfd_send_signal(2)."""
        if self._child is not None and self.poll() is None:
            self._child.send_signal(sig)

    def communicate(
        self,
        input: Any = None,  # noqa: A002 - subprocess's own name
        timeout: float | None = None,
    ) -> tuple[Any, Any]:
        """As subprocess.Popen.communicate(), with a TimeoutExpired that is Ramet's as well."""
        timeout = checked_timeout(timeout)
        self._communicating = True
        try:
            return super().communicate(input, timeout)
        except subprocess.TimeoutExpired as expired:
            raise _ours(expired) from None
        finally:
            self._communicating = False

    # What subprocess.Popen calls to do its work: the same on CPython 3.11 to 3.15.

    def _execute_child(  # noqa: PLR0917 - its caller's order
        self,
        args: Any,
        executable: Any,
        preexec_fn: Any,  # noqa: ARG002 - refused before
        close_fds: bool,
        pass_fds: Sequence[int],
        cwd: Any,
        env: Mapping[Any, Any] | None,
        startupinfo: Any,  # noqa: ARG002 - of another system
        creationflags: int,  # noqa: ARG002 - of another system
        shell: bool,
        p2cread: int,
        p2cwrite: int,
        c2pread: int,
        c2pwrite: int,
        errread: int,
        errwrite: int,
        restore_signals: bool,
        gid: int | None,
        gids: Sequence[int] | None,
        uid: int | None,
        umask: int,
        start_new_session: bool,
        process_group: int,
    ) -> None:
        argv = _argv(args, shell=shell, shell_path=executable)
        if not argv:
            raise ValueError("args is empty: it needs at least the name of the program")
        program = Program(
            argv,
            executable=executable,
            env=env,
            cwd=cwd,
            descriptors={
                target: source
                for target, source in enumerate((p2cread, c2pwrite, errwrite))
                if source != -1
            },
            kept=pass_fds,
            close_fds=close_fds,
            restore_signals=restore_signals,
            start_new_session=start_new_session,
            process_group=None if process_group == -1 else process_group,
            umask=None if umask < 0 else umask,
            groups=gids,
            group=gid,
            user=uid,
            flags=self._flags,
        )
        sys.audit("subprocess.Popen", executable or argv[0], argv, cwd, env)
        try:
            self._child = program.launch()
            self.pid = self._child.pid
            self._child_created = True
        finally:
            self._close_child_ends(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)

    def _close_child_ends(self, *ends: int) -> None:
        """Close what only the child needed; on a failure subprocess closes our own ends."""
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite = ends
        devnull = getattr(self, "_devnull", None)
        for mine, other in ((p2cread, p2cwrite), (c2pwrite, c2pread), (errwrite, errread)):
            if mine != -1 and other != -1 and mine != devnull:
                os.close(mine)
        if devnull is not None:
            os.close(devnull)
        self._closed_child_pipe_fds = True

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None and self._child is not None:
            self._note(self._child.poll())
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """As subprocess.Popen.wait(), with a TimeoutExpired that is Ramet's as well; never polls."""
        # From within communicate() comes what is left of its own, and that may be less than nothing.
        return super().wait(timeout if self._communicating else checked_timeout(timeout))

    def _wait(self, timeout: float | None) -> int:
        if timeout is not None:  # subprocess may hand on what is left of one that is over
            timeout = max(0.0, timeout)
        if self.returncode is None and self._child is not None:
            try:
                self._note(self._child.wait(timeout))
            except TimeoutExpired as expired:
                raise TimeoutExpired(self.args, expired.timeout) from None
        assert self.returncode is not None
        return self.returncode

    def _note(self, status: ExitStatus | None) -> None:
        if status is not None:
            self.returncode = status.returncode if status.returncode is not None else 0


def run(
    args: Any,
    *,
    input: Any = None,  # noqa: A002 - subprocess.run's own name
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    flags: int = 0,
    **options: Any,
) -> "subprocess.CompletedProcess[Any]":
    """Run a program in a new task, with any clone flag, and wait for its end: subprocess.run.

    flags: a CloneFlag; the other parameters are subprocess.run's, without preexec_fn. timeout is in
    seconds; when it is over the child is killed and reaped, and TimeoutExpired has its output so
    far.

    Returns a subprocess.CompletedProcess.
    Raises as Popen does, and CalledProcessError with check.
    Needs: what the flags need.
    Source: clone(2), execve(2), waitid(2).
    """
    timeout = checked_timeout(timeout)
    if input is not None:
        if options.get("stdin") is not None:
            raise ValueError("stdin and input arguments may not both be used.")
        options["stdin"] = subprocess.PIPE
    if capture_output:
        if options.get("stdout") is not None or options.get("stderr") is not None:
            raise ValueError("stdout and stderr arguments may not be used with capture_output.")
        options["stdout"] = options["stderr"] = subprocess.PIPE
    with Popen(args, flags=flags, **options) as process:
        try:
            stdout, stderr = process.communicate(input, timeout)
        except TimeoutExpired:
            process.kill()
            process.wait()
            raise
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
    if check:
        done.check_returncode()
    return done


def _ours(expired: subprocess.TimeoutExpired) -> TimeoutExpired:
    return TimeoutExpired(expired.cmd, expired.timeout, expired.output, expired.stderr)


def _argv(args: Any, *, shell: bool, shell_path: Any) -> list[Any]:
    if isinstance(args, str | bytes | os.PathLike):
        if shell and isinstance(args, os.PathLike):
            raise TypeError("path-like args is not allowed when shell is true")
        words = [args]
    else:
        words = list(args)
    return [shell_path or _SHELL, "-c", *words] if shell else words

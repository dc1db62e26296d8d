import copy
import errno
import pickle
import signal
import subprocess

import pytest

from ramet._preflight.refusal import check
from ramet.errors import (
    ChildDied,
    CloneError,
    DeadlineExceeded,
    ResultError,
    SandboxError,
    SpawnError,
    TimeoutExpired,
    UnknownFlagError,
    spawn_error,
    still_running,
)
from ramet.exit_status import ExitStatus


def broken_request() -> CloneError:
    with pytest.raises(CloneError) as caught:
        check(0x10000000 | 0x10000, 0, "clone3")
    return caught.value


def test_clone_error_names_rule_and_request() -> None:
    """The message has the errno's name, each broken rule with its sentence, and the flags."""
    text = str(broken_request())
    assert text.startswith("EINVAL: rule D3: CLONE_THREAD needs CLONE_SIGHAND")
    assert "; rule D6: CLONE_THREAD excludes CLONE_NEWUSER" in text
    assert text.endswith(" (flags CLONE_THREAD|CLONE_NEWUSER)")


def test_clone_error_carries_the_rules() -> None:
    """The errno is kept, and the rules can be looked at, the kernel's first."""
    error = broken_request()
    assert error.errno == errno.EINVAL
    assert [rule.id for rule in error.rules] == ["D3", "D6"]


def test_clone_error_without_rules_is_a_plain_sentence() -> None:
    """A refusal that no rule explains says what its maker says, or what the errno means."""
    told = CloneError(errno.ENOSYS, "CLONE_AUTOREAP needs clone3 of Linux 7.1")
    assert str(told) == "ENOSYS: CLONE_AUTOREAP needs clone3 of Linux 7.1"
    assert told.rules == ()
    assert str(CloneError(errno.EAGAIN)) == "EAGAIN: Resource temporarily unavailable"


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.ENOENT, errno.EAGAIN])
def test_clone_error_is_one_class_for_every_errno(number: int) -> None:
    """OSError's own choice of a subclass by errno does not reach CloneError."""
    assert type(CloneError(number)) is CloneError


@pytest.mark.parametrize(
    ("number", "also"),
    [
        (errno.ENOENT, FileNotFoundError),
        (errno.EACCES, PermissionError),
        (errno.EPERM, PermissionError),
        (errno.ENOTDIR, NotADirectoryError),
        (errno.ENOMEM, OSError),
    ],
)
def test_spawn_error_is_what_subprocess_raises(number: int, also: type[OSError]) -> None:
    """Who catches subprocess's errors catches these, and learns errno, file and step."""
    error = spawn_error("exec", number, "/no/such")
    assert isinstance(error, SpawnError)
    assert isinstance(error, also)
    assert (error.step, error.errno, error.filename) == ("exec", number, "/no/such")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            spawn_error("exec", errno.ENOENT, "/no/such"),
            "step 'exec' failed on '/no/such': ENOENT, No such file or directory",
        ),
        (
            spawn_error("setgroups", errno.EPERM),
            "step 'setgroups' failed: EPERM, Operation not permitted",
        ),
        (
            spawn_error("exec", errno.EACCES, b"/x", "not executable by uid 5"),
            "step 'exec' failed on b'/x': EACCES, Permission denied: not executable by uid 5",
        ),
        (
            ChildDied(ExitStatus.from_wstatus(9), 4711),
            "child 4711 ended without a result: killed by SIGKILL",
        ),
        (
            TimeoutExpired(["sleep", "9"], 2.0),
            "Command '['sleep', '9']' timed out after 2.0 seconds",
        ),
        (ResultError("a lock cannot be pickled"), "a lock cannot be pickled"),
        (
            SandboxError(
                errno.EPERM, "no namespace", wish="network", remedy="allow it", others=["tmp"]
            ),
            "EPERM: network: no namespace; remedy: allow it; not met either: tmp",
        ),
        (
            DeadlineExceeded(ExitStatus(signal=signal.SIGKILL, reason="deadline"), 4711),
            "child 4711 ended without a result: killed by SIGKILL (deadline)",
        ),
        (
            still_running(divmod, 2.0, 4711),
            "divmod() has not ended after 2.0 seconds: child 4711 still runs",
        ),
    ],
)
def test_every_error_reads_as_one_sentence(error: Exception, text: str) -> None:
    """str() of an error says in one line what happened."""
    assert str(error) == text


@pytest.mark.parametrize(
    "error",
    [
        broken_request(),
        pytest.param(CloneError(errno.EPERM), id="CloneError without rules"),
        spawn_error("exec", errno.ENOENT, "/no/such", "looked up in PATH"),
        pytest.param(spawn_error("setuid", errno.EPERM), id="SpawnError without a file"),
        ChildDied(ExitStatus.from_wstatus(0x300), 12),
        DeadlineExceeded(ExitStatus(signal=9, reason="deadline"), 12),
        ResultError("a lock cannot be pickled"),
        SandboxError(errno.ENOENT, "it does not exist", "/no/such", wish="read", mechanism="none"),
        pytest.param(still_running(["sleep", "9"], 2.0, 4711), id="TimeoutExpired of a child"),
        TimeoutExpired(["true"], 1.5, output=b"out", stderr=b"err"),
        UnknownFlagError("no clone flag is called 'x'"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_errors_survive_pickle_and_copy(error: Exception, protocol: int) -> None:
    """An error that was sent to another process, or copied, is the same error with its notes."""
    error.add_note("seen in a test")
    for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.args == error.args
        assert again.__dict__ == error.__dict__


def test_child_died_carries_status_and_pid() -> None:
    """The error tells how the child ended, and which child it was."""
    error = ChildDied(ExitStatus.from_wstatus(9), 4711)
    assert error.status.signal == 9
    assert error.pid == 4711


def test_timeout_is_both_of_the_standard_librarys() -> None:
    """TimeoutExpired is caught as subprocess's and as the builtin one, with all that both carry."""
    error = TimeoutExpired(["true"], 1.5, output=b"out", stderr=b"err")
    assert isinstance(error, subprocess.TimeoutExpired)
    assert isinstance(error, TimeoutError)
    assert (error.cmd, error.timeout) == (["true"], 1.5)
    assert (error.output, error.stdout, error.stderr) == (b"out", b"out", b"err")

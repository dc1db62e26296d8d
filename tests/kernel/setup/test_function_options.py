"""The vocabulary for functions: the child becomes what was said before its function runs."""

import ctypes
import gc
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import Child, FunctionOptions, SpawnError
from ramet import CloneFlag as F

from ...looking import is_open

Verb = Callable[..., Child[Any]]


def _clone_sharing(fn: Callable[[], Any], flags: int = 0, **options: Any) -> Child[Any]:
    return ramet.clone(fn, flags=flags | F.VM, **options)


THREAD = F.VM | F.SIGHAND | F.THREAD
CALLER = os.getpid()  # which may lead a session, as the first process of a container does

VERBS = [
    pytest.param(ramet.clone, id="copying"),
    pytest.param(_clone_sharing, id="sharing"),
    pytest.param(ramet.vfork, id="vfork"),
]


def own_umask() -> int:
    """umask(2) tells the old one only in exchange for a new one."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def blocked() -> set[int]:
    return {int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, [])}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("options", "look", "seen"),
    [
        pytest.param({"cwd": "/"}, os.getcwd, "/", id="cwd"),
        pytest.param({"umask": 0o71}, own_umask, 0o71, id="umask"),
        pytest.param(
            {"start_new_session": True},
            lambda: os.getsid(0) == os.getpid() != CALLER,
            True,
            id="session",
        ),
        pytest.param(
            {"process_group": 0}, lambda: os.getpgid(0) == os.getpid() != CALLER, True, id="group"
        ),
        pytest.param({"nice": 19}, lambda: os.getpriority(os.PRIO_PROCESS, 0), 19, id="nice"),
        pytest.param(
            {"rlimits": {"NOFILE": (64, 65)}},
            lambda: resource.getrlimit(resource.RLIMIT_NOFILE),
            (64, 65),
            id="rlimits",
        ),
        pytest.param(
            {"signal_mask": ["USR1"]}, lambda: signal.SIGUSR1 in blocked(), True, id="signal mask"
        ),
        pytest.param(
            {"scheduler": "BATCH"}, lambda: os.sched_getscheduler(0), os.SCHED_BATCH, id="scheduler"
        ),
    ],
)
def test_the_child_has_it_and_the_caller_not(
    verb: Verb,
    options: FunctionOptions,
    look: Callable[[], object],
    seen: object,
    nothing_left: object,
) -> None:
    """What is said is so within the function, and nothing of it in the caller, whatever is shared."""
    before = look()
    assert verb(look, **options).result() == seen
    assert look() == before != seen


@pytest.mark.parametrize("verb", VERBS)
def test_another_user_for_one_function(verb: Verb, root: None, nothing_left: object) -> None:
    """Groups and ids are the child's alone; libc's broadcast to all threads is not used.

    The caller's memory is dumpable again when the child is over.
    """

    def identity() -> tuple[tuple[int, ...], tuple[int, ...], list[int]]:
        return os.getresuid(), os.getresgid(), os.getgroups()

    def dumpable() -> int:
        return ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)  # type: ignore[no-any-return] # PR_GET_DUMPABLE

    before, mark = identity(), dumpable()
    child = verb(identity, user=65534, group=65533, extra_groups=[7, 9])
    assert child.result() == ((65534,) * 3, (65533,) * 3, [7, 9])
    assert identity() == before
    assert dumpable() == mark


@pytest.mark.parametrize("verb", VERBS)
def test_descriptors_of_its_own(verb: Verb, tmp_path: Path, nothing_left: object) -> None:
    """A renumbering with a cycle, all else closed, in a table that is the child's."""
    one, other = tmp_path / "one", tmp_path / "other"
    with one.open("w") as first, other.open("w") as second:
        a, b = first.fileno(), second.fileno()

        def write() -> list[int]:
            os.write(a, b"to a's number")
            os.write(b, b"to b's number")
            return [n for n in range(64) if is_open(n)]

        stays = verb(write, fds={a: b, b: a}, close_fds=True).result()
    assert stays == sorted({0, 1, 2, a, b})
    assert one.read_text() == "to b's number"
    assert other.read_text() == "to a's number"


NAMED = [
    pytest.param(lambda host: host, id="by its pidfd"),
    pytest.param(lambda host: host.pid, id="by its pid"),
    pytest.param(lambda host: f"/proc/{host.pid}/ns/uts", id="by path"),
]


def _uts() -> str:
    return os.readlink("/proc/thread-self/ns/uts")


@pytest.mark.parametrize("named", NAMED)
@pytest.mark.parametrize("verb", VERBS)
def test_a_namespace_joined_for_one_function(
    verb: Verb, named: Callable[[Child[Any]], Any], root: None, nothing_left: object
) -> None:
    """That of a task that lives in it, however it is named; the caller stays where it is."""
    with ramet.Command(["sleep", "60"], flags=F.NEWUTS).spawn() as host:
        seen = verb(_uts, namespaces={"uts": named(host)}).result()
        assert seen == os.readlink(f"/proc/{host.pid}/ns/uts") != _uts()


SHARING = [F(0), F.FILES, F.VM, F.VM | F.FILES, F.VM | F.VFORK | F.FILES, THREAD, THREAD | F.FILES]


def _open_here() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("flags", SHARING, ids=str)
def test_what_is_opened_for_a_clone_call_is_closed_by_the_end(
    flags: F, root: None, nothing_left: object
) -> None:
    """In the caller's table, though the child may be the last to use what they were opened for."""
    before = _open_here()
    child = ramet.clone(_uts, flags=flags, namespaces={"uts": "/proc/self/ns/uts"})
    assert child.result() == _uts()
    assert _open_here() == before


@pytest.mark.parametrize("flags", [F.FILES, F.VM, F.VM | F.FILES], ids=str)
def test_what_is_opened_for_a_clone_call_is_closed_after_a_kill(
    flags: F, root: None, nothing_left: object
) -> None:
    """What the dead holds of Python, and whether anybody holds its handle, makes no difference."""
    before = _open_here()
    with ramet.clone(signal.pause, flags=flags, namespaces={"uts": "/proc/self/ns/uts"}) as child:
        child.kill()
    assert _open_here() == before


@pytest.mark.parametrize("flags", [F.VM, F.VM | F.FILES], ids=str)
def test_what_is_opened_for_a_forgotten_child_is_closed(
    flags: F, root: None, nothing_left: object
) -> None:
    """At the latest by the next clone call after its end."""
    before = _open_here()
    with pytest.warns(ResourceWarning, match="never waited for"):
        ramet.clone(int, flags=flags, namespaces={"uts": "/proc/self/ns/uts"})
    gc.collect()
    deadline = time.monotonic() + 10
    while _open_here() != before and time.monotonic() < deadline:
        ramet.clone(int).result()
    assert _open_here() == before


def test_a_command_given_up_in_a_child_leaves_nothing_open(
    root: None, nothing_left: object
) -> None:
    """What it had opened is its maker's: closed there, by the next command that opens something."""

    def give_up(commands: list[ramet.Command]) -> None:
        del commands[:]

    named: Any = {"namespaces": {"uts": "/proc/self/ns/uts"}}
    before = _open_here()
    ramet.clone(give_up, [ramet.Command(["true"], **named)], flags=F.VM).result()
    assert ramet.Command(["true"], **named).spawn().wait().code == 0
    assert _open_here() == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_step_that_fails_is_told_by_the_result(verb: Verb, nothing_left: object) -> None:
    """The function does not run, and the error names the step, the file and the errno."""
    ran: list[int] = []
    child = verb(lambda: ran.append(1), cwd="/no/such/place")
    with pytest.raises(FileNotFoundError, match="chdir") as caught:
        child.result()
    assert isinstance(caught.value, SpawnError)
    assert (caught.value.step, caught.value.filename) == ("chdir", "/no/such/place")
    assert ran == []


@pytest.mark.parametrize(
    ("flags", "options", "error", "words"),
    [
        (F.VM | F.FS, {"cwd": "/"}, ValueError, "CLONE_FS"),
        (F.VM | F.FS, {"umask": 0}, ValueError, "CLONE_FS"),
        (F.VM | F.FILES, {"fds": {0: 1}}, ValueError, "FILES"),
        (F.VM | F.SIGHAND, {"ignored_signals": ["HUP"]}, ValueError, "SIGHAND"),
        (F.VM, {"pdeathsig": "TERM"}, ValueError, "pdeathsig"),
        (0, {"hostname": "x"}, ValueError, "CLONE_NEWUTS"),
        (0, {"namespaces": {"pid": 1}}, ValueError, "namespaces.*pid.* for a function"),
        (0, {"env": {}}, TypeError, "there is no option 'env'"),
        (0, {"nize": 3}, TypeError, "did you mean 'nice'"),
    ],
)
def test_what_cannot_be_is_refused_beforehand(
    flags: int, options: Any, error: type[Exception], words: str, nothing_left: object
) -> None:
    """One clear error, and no task is made."""
    with pytest.raises(error, match=words):
        ramet.clone(os.getpid, flags=flags, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"rlimits": {"NOFILE": (64, 65)}},
        {"process_group": 0},
        {"start_new_session": True},
        {"oom_score_adj": 900},
    ],
    ids=str,
)
def test_a_thread_has_nothing_of_the_process_for_itself(
    options: FunctionOptions, nothing_left: object
) -> None:
    """What belongs to the whole process cannot be a thread's: it is refused, and nothing changes."""

    def look() -> object:
        score = Path("/proc/self/oom_score_adj").read_text()
        return resource.getrlimit(resource.RLIMIT_NOFILE), os.getpgid(0), os.getsid(0), score

    before = look()
    with pytest.raises(
        ValueError, match=f"invalid {next(iter(options))} with CLONE_THREAD: .*whole process"
    ):
        ramet.clone(int, flags=THREAD, **options)
    assert look() == before


def test_a_score_goes_with_the_memory(nothing_left: object) -> None:
    """All who share a memory have one oom_score_adj, but for a child that suspends its caller."""

    def score() -> int:
        return int(Path("/proc/self/oom_score_adj").read_text())

    before = score()
    with pytest.raises(ValueError, match="invalid oom_score_adj with CLONE_VM"):
        ramet.clone(score, flags=F.VM, oom_score_adj=900)
    assert ramet.clone(score, oom_score_adj=901).result() == 901
    assert ramet.vfork(score, oom_score_adj=902).result() == 902
    assert score() == before

"""What a call may ask for: by the same words as a clone, of a spare as of a clone made for it."""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import CloneFlag as F

from ...constants import NOBODY, PATIENT_SECONDS
from ...looking import state_of
from ...waiting import until
from ..sandbox.taken_away import needs_all

pytestmark = pytest.mark.usefixtures("nothing_left")


def run(template: ramet.Template, fn: Any, *args: Any, **options: Any) -> Any:
    """The result of a call that is reaped."""
    with template.clone(fn, *args, **options) as child:
        return child.result(PATIENT_SECONDS)


@pytest.mark.parametrize("spares", [0, 1])
def test_options_hold_for_their_call_alone(spares: int, tmp_path: Path) -> None:
    """A directory, a limit, a mask and a nice value; the next call has none of them."""

    def place() -> tuple[Any, ...]:
        import os
        import resource

        umask = os.umask(0)
        return os.getcwd(), resource.getrlimit(resource.RLIMIT_CORE)[0], umask, os.nice(0)

    with ramet.Template(["cloudpickle"], spares=spares) as template:
        before = run(template, place)
        asked = {"cwd": tmp_path, "rlimits": {"CORE": 0}, "umask": 0o77, "nice": 19}
        assert run(template, place, **asked) == (str(tmp_path), 0, 0o77, 19)
        assert run(template, place) == before


def test_descriptors_are_given_by_number(shared: ramet.Template) -> None:
    """fds, pass_fds and the three standard ones; nothing else of the caller's is open."""
    out, written = os.pipe()

    def writes(number: int) -> list[int]:
        import os

        os.write(7, b"by seven ")
        os.write(1, b"by one ")
        os.write(number, b"by its own")
        found = []
        for one in range(3, 256):
            try:
                os.fstat(one)
            except OSError:
                continue
            found.append(one)
        return found

    try:
        found = run(shared, writes, written, fds={7: written}, stdout=written, pass_fds=[written])
        assert os.read(out, 100) == b"by seven by one by its own"
        assert {7, written} <= set(found)
        assert out not in found
    finally:
        os.close(out)
        os.close(written)


def sum_of_all(numbers: list[int]) -> int:
    """What is in these files, each of one byte."""
    return sum(os.pread(number, 1, 0)[0] for number in numbers)


MANY = range(3, 40)  # among them are all that the library has in a call


@pytest.mark.parametrize(
    "options",
    [{}, pytest.param({"sandbox": ramet.Sandbox()}, marks=needs_all)],
    ids=["plain", "confined"],
)
@pytest.mark.parametrize("spares", [0, 1])
def test_any_number_may_be_asked_for(options: dict[str, Any], spares: int, tmp_path: Path) -> None:
    """Also that of the channel by which the outcome goes, whether Python has made the clone or the core."""
    with (
        files_of_one_byte(tmp_path) as (files, total),
        ramet.Template([__name__], spares=spares, **options) as template,
    ):
        for _ in range(8):
            with template.clone(sum_of_all, [*MANY], fds=files, timeout=PATIENT_SECONDS) as child:
                assert child.result() == total
        for number, file in files.items():
            with template.clone(sum_of_all, [number], fds={number: file}) as child:
                assert child.result(PATIENT_SECONDS) == number


@needs_all
def test_any_number_may_be_asked_for_by_a_confined_function(tmp_path: Path) -> None:
    """Which has a channel as well."""
    sandbox = ramet.Sandbox(hostname="numbers")
    with files_of_one_byte(tmp_path) as (files, total):
        for given in (files, *({number: file} for number, file in files.items())):
            with ramet.clone(sum_of_all, [*given], fds=given, sandbox=sandbox) as child:
                assert child.result(PATIENT_SECONDS) == (total if given is files else min(given))
    sandbox.release()


@contextmanager
def files_of_one_byte(directory: Path) -> Iterator[tuple[dict[int, int], int]]:
    """By the number that each is to have, which is what is in it; and the sum of all."""
    with ExitStack() as opened:
        files = {}
        for number in MANY:
            path = directory / str(number)
            path.write_bytes(bytes([number]))
            files[number] = opened.enter_context(path.open("rb")).fileno()
        yield files, sum(MANY)


def test_standard_input_is_what_the_call_says(shared: ramet.Template, tmp_path: Path) -> None:
    """Nothing by default."""
    file = tmp_path / "input"
    file.write_text("a line")
    assert run(shared, os.read, 0, 10) == b""
    with file.open() as source:
        assert run(shared, os.read, 0, 10, stdin=source) == b"a line"


def test_a_call_has_a_name(shared: ramet.Template) -> None:
    """As ps shows it."""
    assert run(shared, lambda: open("/proc/self/comm").read(), name="my-call") == "my-call\n"  # noqa: SIM115


def test_a_deadline_is_kept(shared: ramet.Template) -> None:
    """The call is killed; the exception says so."""
    with (
        shared.clone(signal.pause, timeout=0.2) as child,
        pytest.raises(ramet.DeadlineExceeded) as raised,
    ):
        child.result(PATIENT_SECONDS)
    assert raised.value.status.reason == "deadline"


def test_a_limit_of_memory_is_kept() -> None:
    """The call is killed for it, or gets a MemoryError."""
    with (
        ramet.Template(["cloudpickle"]) as template,
        template.clone(lambda: len(bytearray(b"x") * (1 << 29)), memory="64M") as child,
        pytest.raises((MemoryError, ramet.ChildDied)) as raised,
    ):
        child.result(PATIENT_SECONDS)
    assert isinstance(raised.value, MemoryError) or "out of memory" in str(raised.value)


def test_a_call_can_begin_stopped(shared: ramet.Template) -> None:
    """With STOPPED it waits for resume()."""
    with shared.clone(abs, -1, flags=F.STOPPED) as child:
        until(lambda: state_of(child.pid) == "T")
        child.resume()
        assert child.result(PATIENT_SECONDS) == 1


def test_signals_and_their_handlers_are_options(shared: ramet.Template) -> None:
    """What is ignored, what is blocked."""

    def dispositions() -> bool:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGUSR1)
        return signal.SIGUSR2 in signal.pthread_sigmask(signal.SIG_BLOCK, [])

    assert run(shared, dispositions, ignored_signals=["USR1"], signal_mask=["USR2"])
    with shared.clone(dispositions) as child:
        assert child.wait(PATIENT_SECONDS).signal == signal.SIGUSR1


@pytest.mark.usefixtures("root")
def test_another_user_sends_data(shared: ramet.Template) -> None:
    """Its result is read without pickle, but when it is trusted."""
    nobody: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    assert run(shared, lambda: [1, {"a": (2.5, None)}], **nobody) == [1, {"a": (2.5, None)}]
    with shared.clone(lambda: Path("/x"), **nobody) as child, pytest.raises(ramet.ResultError):
        child.result(PATIENT_SECONDS)
    assert run(shared, lambda: Path("/x"), trusted=True, **nobody) == Path("/x")
    assert run(shared, os.getresuid, **nobody) == (NOBODY, NOBODY, NOBODY)
    assert run(shared, os.getuid) == 0


@pytest.mark.usefixtures("root")
def test_the_caller_alone_is_warned_of_groups_of_root(
    shared: ramet.Template, capfd: pytest.CaptureFixture[str]
) -> None:
    """Once, and not by the call, which knows nothing of the caller's filters."""
    with pytest.warns(ramet.KeptGroupsWarning) as caught:
        assert run(shared, os.getuid, user=NOBODY) == NOBODY
    assert [each.filename for each in caught] == [__file__]
    assert "KeptGroupsWarning" not in capfd.readouterr().err


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("name", ["net", "uts", "ipc", "mnt", "pid"])
def test_a_call_has_new_namespaces(shared: ramet.Template, name: str) -> None:
    """By the flags of the clone call."""
    flag = {"net": F.NEWNET, "uts": F.NEWUTS, "ipc": F.NEWIPC, "mnt": F.NEWNS, "pid": F.NEWPID}[
        name
    ]
    here = os.stat(f"/proc/self/ns/{name}").st_ino
    gate, opener = os.pipe()
    try:
        with shared.clone(os.read, 9, 1, flags=flag, fds={9: gate}) as child:
            until(lambda: os.stat(f"/proc/{child.pid}/ns/{name}").st_ino != here)
            os.write(opener, b"x")
            assert child.result(PATIENT_SECONDS) == b"x"
    finally:
        os.close(gate)
        os.close(opener)


@pytest.mark.usefixtures("root")
def test_a_call_joins_namespaces(shared: ramet.Template) -> None:
    """Those of another call, by its pid."""
    with shared.clone(signal.pause, flags=F.NEWUTS) as other:
        there = os.readlink(f"/proc/{other.pid}/ns/uts")
        found = run(shared, os.readlink, "/proc/self/ns/uts", namespaces={"uts": other.pid})
        assert found == there != os.readlink("/proc/self/ns/uts")


@pytest.mark.usefixtures("root")
def test_a_pid_can_be_chosen(shared: ramet.Template) -> None:
    """One that is free."""
    with shared.clone(abs, -1) as child:
        free = child.pid
        child.wait(PATIENT_SECONDS)
    assert run(shared, os.getpid, set_tid=[free]) == free


def test_a_call_is_in_its_cgroup(shared: ramet.Template, cgroup: Path) -> None:
    """By path, and with a spare as well."""
    text = run(shared, lambda: open("/proc/self/cgroup").read(), cgroup=cgroup)  # noqa: SIM115
    assert f"/{cgroup.name}\n" in text


def test_the_template_itself_has_options(tmp_path: Path) -> None:
    """All its calls have them, too."""
    with ramet.Template(rlimits={"NOFILE": 100}, cwd=tmp_path, spares=1) as template:
        assert run(template, resource.getrlimit, resource.RLIMIT_NOFILE) == (100, 100)


def test_a_handle_is_a_child_as_any(shared: ramet.Template) -> None:
    """It is waited for with others, signalled, and its usage is known."""
    with shared.clone(signal.pause) as sleeper, shared.clone(abs, -1) as quick:
        assert ramet.wait([sleeper, quick], PATIENT_SECONDS) == [quick]
        sleeper.terminate()
        status = sleeper.wait(PATIENT_SECONDS)
        assert status.signal == signal.SIGTERM
        assert status.rusage is not None

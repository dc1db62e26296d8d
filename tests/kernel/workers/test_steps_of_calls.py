"""The options of a call as steps: by the core, by Python in the child, and worked out in the child."""

import errno
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import ramet

from ...constants import NOBODY, PATIENT_SECONDS
from . import told_calls

pytestmark = pytest.mark.usefixtures("nothing_left")

# By what a call goes each way: nothing, a stream, a plan that is a pickle, a descriptor that only the child
# knows.
BY: dict[str, dict[str, Any]] = {
    "core": {},
    "core, with a stream": {"stdin": 0},
    "Python": {"trusted": True},
    "child": {"fds": {9: 0}},
}
WAYS = [*BY]


@pytest.fixture(params=[0, 1], ids=["clone", "spare"])
def template(request: pytest.FixtureRequest) -> Iterator[ramet.Template]:
    """One that has no need of Python for these calls."""
    with ramet.Template(preload=[told_calls.__name__], spares=request.param) as made:
        yield made


def _setup_of_call(template: ramet.Template, **options: Any) -> dict[str, Any]:
    with template.clone(told_calls.setup, **options) as call:
        return call.result(PATIENT_SECONDS)


@pytest.mark.parametrize("way", WAYS)
def test_each_is_as_it_is_asked_for(template: ramet.Template, way: str, tmp_path: Path) -> None:
    """Numbers, paths, and what the kernel takes as a structure; the next call has none of it."""
    before = _setup_of_call(template)
    asked: dict[str, Any] = {
        "cwd": tmp_path,
        "umask": 0o27,
        "nice": 7,
        "rlimits": {"CORE": 4096, "NOFILE": (60, 70)},
        "cpu_affinity": [min(os.sched_getaffinity(0))],
        "scheduler": "batch",
        "io_priority": ("idle", 0),
        "timer_slack_ns": 70_000,
        "oom_score_adj": 700,
        "no_new_privs": True,
        "ignored_signals": ["USR1"],
        "signal_mask": ["USR2"],
        "start_new_session": True,
        "name": "as asked",
    }
    found = _setup_of_call(template, **asked, **BY[way])
    assert found == before | {
        "directory": str(tmp_path),
        "umask": 0o27,
        "nice": 7,
        "core": (4096, 4096),
        "files": (60, 70),
        "processors": asked["cpu_affinity"],
        "scheduler": os.SCHED_BATCH,
        "oom_score_adj": "700",
        "no_new_privs": "1",
        "ignored": True,
        "blocked": True,
        "leads_session": True,
        "timer_slack": found["timer_slack"],  # of another process, only the privileged may see it
        "name": "as asked",
    }
    assert _setup_of_call(template) == before


@pytest.mark.parametrize("way", WAYS)
def test_what_fails_is_named(template: ramet.Template, way: str, tmp_path: Path) -> None:
    """The step, its errno and the file, whoever has carried it out; nothing of the call has run."""
    missing, written = tmp_path / "missing", tmp_path / "written"
    with (
        template.clone(told_calls.make, str(written), cwd=missing, umask=0, **BY[way]) as call,
        pytest.raises(ramet.SpawnError) as raised,
    ):
        call.result(PATIENT_SECONDS)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOENT, str(missing))
    assert "chdir" in str(raised.value)
    assert not written.exists()
    assert _setup_of_call(template, umask=0o1)["umask"] == 0o1  # the template goes on


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("way", WAYS)
def test_another_user_is_one_in_each_way(template: ramet.Template, way: str) -> None:
    """Its result is data, since it has other rights, unless it is trusted."""
    nobody: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": [NOBODY]}
    with template.clone(os.getresuid, **nobody, **BY[way]) as call:
        assert call.result(PATIENT_SECONDS) == (NOBODY, NOBODY, NOBODY)
    with template.clone(Path, "a", **nobody, **BY[way]) as call:
        if way == "Python":
            assert call.result(PATIENT_SECONDS) == Path("a")
            return
        with pytest.raises(ramet.ResultError, match=r"less trusted|as data"):
            call.result(PATIENT_SECONDS)


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("way", WAYS)
def test_what_needs_a_flag_has_it(template: ramet.Template, way: str) -> None:
    """A host name of its own, in a new namespace; without that it is refused, since it is the caller's."""
    flags = ramet.CloneFlag.NEWUTS
    with template.clone(socket.gethostname, flags=flags, hostname="own", **BY[way]) as call:
        assert call.result(PATIENT_SECONDS) == "own"
    with pytest.raises(ValueError, match="hostname without CLONE_NEWUTS"):
        template.clone(socket.gethostname, hostname="own", **BY[way])


@pytest.mark.usefixtures("root")
def test_more_than_the_core_takes_crosses_as_well(template: ramet.Template) -> None:
    """So many groups that they are no plain value any more, and a name with them."""
    many = [*range(1, 60_001)]
    with template.clone(told_calls.groups_and_name, extra_groups=many, name="of many") as call:
        assert call.result(PATIENT_SECONDS) == (len(many), sum(many), "of many")


@pytest.mark.parametrize("way", [*WAYS][1:])
@pytest.mark.parametrize(
    "names", [["stdin"], ["stdout"], ["stderr", "stdout"], [*told_calls.STREAMS]]
)
def test_streams_are_those_that_are_given(
    template: ramet.Template, way: str, names: list[str], tmp_path: Path
) -> None:
    """One, some or all of the three, each another file; the others are as they are without."""
    before = _streams(template)
    with ExitStack() as opened:
        files = {name: opened.enter_context((tmp_path / name).open("w+")) for name in names}
        found = _streams(template, **(BY[way] | files))
    expected = before | {name: str(tmp_path / name) for name in names}
    if "stdin" in BY[way] and "stdin" not in names:
        expected["stdin"] = os.readlink("/proc/self/fd/0")
    assert found == expected
    assert _streams(template) == before


def _streams(template: ramet.Template, **options: Any) -> dict[str, str]:
    with template.clone(told_calls.streams, **options) as call:
        return call.result(PATIENT_SECONDS)


def test_one_file_may_be_two_streams(template: ramet.Template, tmp_path: Path) -> None:
    """And outputs may change places."""
    with (tmp_path / "both").open("w+") as both:
        found = _streams(template, stdout=both, stderr=both)
        assert found["stdout"] == found["stderr"] == both.name
    exchanged = _streams(template, stdout=2, stderr=1)
    assert exchanged["stdout"] == os.readlink("/proc/self/fd/2")
    assert exchanged["stderr"] == os.readlink("/proc/self/fd/1")


def test_they_take_few_pages(tmp_path: Path) -> None:
    """Those that the caller works out need no Python in the clone: each of its functions copies some."""
    with ramet.Template(preload=[told_calls.__name__], spares=0) as template:
        by_caller = _pages(template, cwd=tmp_path, rlimits={"CORE": 0}, name="few")
        by_child = _pages(template, cwd=tmp_path, rlimits={"CORE": 0}, name="few", fds={9: 0})
    assert by_caller < by_child * 3 / 4


def _pages(template: ramet.Template, **options: Any) -> int:
    found = []
    for _ in range(3):
        call = template.clone(os.getppid, **options)
        call.result(PATIENT_SECONDS)
        usage = call.wait().rusage
        assert isinstance(usage, resource.struct_rusage)
        found.append(usage.ru_minflt)
    return min(found)

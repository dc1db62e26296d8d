"""The amounts of real programs in cgroups."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ramet import Child, Command, ExitStatus
from ramet._sandbox.amounts import amounts as module
from ramet._sandbox.amounts.amounts import Amounts
from ramet._sandbox.amounts.cgroup_places import find_places
from ramet._sandbox.amounts.place import Place
from ramet._sandbox.description import Sandbox

from ...copies import forked
from ...kernels import PEAKS_ARE_COUNTED
from ...waiting import until
from . import placed
from .placed import MEGABYTE, PYTHON, SCATTERED, SPIN, THREADS, TOUCH, Make, run_in, start

pytestmark = [pytest.mark.usefixtures("nothing_left"), pytest.mark.kernel]

with_cgroups = pytest.fixture(placed.with_cgroups)

A_SECOND_OF_WORK = "import time\nwhile time.process_time() < 1: pass\n"


# As much as four times 64 MB in sockets of TCP that nobody reads; 3 when it has that.
FILL_SOCKETS = """
import socket, sys
held, size = [socket.create_server(("127.0.0.1", 0))], 0
for _ in range(200):
    sender = socket.create_connection(held[0].getsockname())
    held += [sender, held[0].accept()[0]]
    sender.setblocking(False)
    try:
        while size < 4 * 64 << 20:
            size += sender.send(bytes(1 << 20))
    except BlockingIOError:
        continue
    sys.exit(3)
"""


# ---- what cgroups do


def test_what_tcp_holds_is_limited(with_cgroups: Make) -> None:
    """Version 1 counts it apart, with the same limit, at which it waits; version 2 with all else."""
    with contextlib.closing(with_cgroups(memory="64M").new_place(clones_into=False)) as place:
        status, _ = run_in(place, [*PYTHON, FILL_SOCKETS])
    assert (status.code, status.reason) in {(0, "exited"), (None, "out of memory")}


def test_too_many_processes(with_cgroups: Make) -> None:
    """The program cannot make one more; that it gave up for it is the reason."""
    with contextlib.closing(with_cgroups(processes=6).new_place(clones_into=False)) as place:
        status, usage = run_in(place, [*PYTHON, THREADS.format(20)])
    assert (status.code, status.reason) == (1, "processes")
    assert usage.limits_hit == ("processes",)
    assert usage.peak_processes == 6 or not PEAKS_ARE_COUNTED


def test_a_program_that_goes_on_without_a_process(with_cgroups: Make) -> None:
    """It has reached the limit, and that is no reason for its end."""
    code = f"try: exec({THREADS.format(20)!r})\nexcept RuntimeError: pass\nos._exit(0)"
    with contextlib.closing(with_cgroups(processes=6).new_place(clones_into=False)) as place:
        status, usage = run_in(place, [*PYTHON, "import os\n" + code])
    assert (status.code, status.reason) == (0, "exited")
    assert usage.limits_hit == ("processes",)


def test_a_part_of_a_processor(with_cgroups: Make) -> None:
    """Half a second of processor time takes about two at a quarter of one."""
    began = time.monotonic()
    with contextlib.closing(
        with_cgroups(cpus=0.25, cpu_time=0.5).new_place(clones_into=False)
    ) as place:
        status, _ = run_in(place, [*PYTHON, SPIN])
    assert status.reason == "cpu time"
    assert time.monotonic() - began > 1.4


@pytest.mark.parametrize("wishes", [{"processes": 32}, {"memory": "256M"}, {"cpu_time": 50}])
def test_all_that_is_in_it_is_killed(with_cgroups: Make, wishes: dict[str, Any]) -> None:
    """Processes too that nobody waits for, and that are in other sessions."""
    place = with_cgroups(**wishes).new_place(clones_into=False)
    try:
        pid = start(place, [*PYTHON, SCATTERED.format(3)])
        os.waitpid(pid, 0)
        cgroup = place._cgroups[-1]
        until(lambda: len(cgroup.processes()) == 3)
        assert place.kill()
        assert cgroup.processes() == []
    finally:
        place.close()


def test_it_is_killed_by_walking_where_there_is_no_other_way(with_cgroups: Make) -> None:
    """So it is in every cgroup of version 1; the limit on processes holds again afterwards."""
    place = with_cgroups(processes=32).new_place(clones_into=False)
    try:
        (cgroup,) = (each for each in place._cgroups if "pids" in each.controllers)
        os.waitpid(start(place, [*PYTHON, SCATTERED.format(9)]), 0)
        until(lambda: len(cgroup.processes()) == 9)
        assert cgroup.kill(10)
        assert (cgroup.path / "pids.max").read_text() == "32\n"
    finally:
        place.close()


def test_the_deadline_ends_the_tree(with_cgroups: Make) -> None:
    """What has left the program's session is killed as well."""
    amounts = with_cgroups(processes=32, timeout=0.3)
    with contextlib.closing(amounts.new_place(clones_into=False)) as place:
        code = SCATTERED.format(3) + "time.sleep(1000)"
        status, _ = run_in(place, [*PYTHON, code])
        assert status.reason == "deadline"
        assert place._cgroups[-1].processes() == []


def test_cgroups_that_somebody_has_removed_are_not_used_again(with_cgroups: Make) -> None:
    """Whoever may write there can do so while no process is in them; the next child has others."""
    amounts = with_cgroups(memory="64M", processes=8, cpu_time=30)
    with contextlib.closing(amounts.new_place(clones_into=False)) as place:
        assert run_in(place, [*PYTHON, "pass"])[0].code == 0
        cgroups = list(place._cgroups)
    for each in cgroups:
        each.path.rmdir()
    with contextlib.closing(amounts.new_place(clones_into=False)) as place:
        assert run_in(place, [*PYTHON, TOUCH.format(100)])[0].reason == "out of memory"


def test_a_child_whose_cgroups_are_removed_has_ended_all_the_same(with_cgroups: Make) -> None:
    """What they have counted is not known; the child's own status is."""
    amounts = with_cgroups(memory="64M", processes=8, cpu_time=30)
    with contextlib.closing(amounts.new_place(clones_into=False)) as place:
        pid = start(place, [*PYTHON, "pass"])
        _, word, rusage = os.wait4(pid, 0)
        for each in place._cgroups:
            each.path.rmdir()
        assert place.ended(ExitStatus.from_wstatus(word, rusage)).code == 0
        assert place.usage().peak_memory is None


def test_a_cgroup_is_used_again(with_cgroups: Make) -> None:
    """What the last child has used does not count for the next."""
    amounts = with_cgroups(memory="64M", processes=8, cpu_time=30)
    first = amounts.new_place(clones_into=False)
    paths = [each.path for each in first._cgroups]
    status, used = run_in(first, [*PYTHON, A_SECOND_OF_WORK + TOUCH.format(100)])
    assert status.reason == "out of memory"
    assert used.cpu_seconds is not None
    assert used.cpu_seconds >= 1
    first.close()
    with contextlib.closing(amounts.new_place(clones_into=False)) as second:
        assert [each.path for each in second._cgroups] == paths
        status, usage = run_in(second, ["/bin/true"])
    assert (status.code, status.reason) == (0, "exited")
    assert usage.limits_hit == ()
    if PEAKS_ARE_COUNTED:
        assert usage.peak_memory is not None
        assert usage.peak_memory < 16 * MEGABYTE
    assert usage.cpu_seconds is not None
    assert usage.cpu_seconds < 1  # on a slow machine, too


def test_a_cgroup_with_a_file_in_memory_is_not(with_cgroups: Make) -> None:
    """What a killed child has left in a tmpfs stays charged to it."""
    amounts = with_cgroups(memory="64M")
    held = os.memfd_create("held")  # as a tmpfs that somebody still has mounted
    try:
        first = amounts.new_place(clones_into=False)
        paths = {each.path for each in first._cgroups}
        code = f"import os\nos.write({held}, bytes(30 << 20))"
        os.set_inheritable(held, True)
        status, _ = run_in(first, [*PYTHON, code])
        assert status.success
        first.close()
        with contextlib.closing(amounts.new_place(clones_into=False)) as second:
            assert paths.isdisjoint(each.path for each in second._cgroups)
            assert run_in(second, [*PYTHON, TOUCH.format(45)])[0].success
    finally:
        os.close(held)


def test_many_at_a_time(with_cgroups: Make) -> None:
    """Each has its own: the end of one tells nothing of another."""
    amounts = with_cgroups(memory="64M", processes=4)
    places = [amounts.new_place(clones_into=False) for _ in range(4)]
    codes = [TOUCH.format(100), "pass", THREADS.format(9), "pass"]
    try:
        reasons = [
            run_in(place, [*PYTHON, code])[0].reason
            for place, code in zip(places, codes, strict=True)
        ]
    finally:
        for place in places:
            place.close()
    assert reasons == ["out of memory", "exited", "processes", "exited"]


def test_after_many_at_a_time_some_are_kept(with_cgroups: Make) -> None:
    """The others are removed, with their descriptors."""
    amounts = with_cgroups(processes=4)
    places = [amounts.new_place() for _ in range(module._MOST_IDLE + 8)]
    for place in places:
        place.close()
    paths = {each.path for place in places for each in place._cgroups}
    of_one = len(paths) // len(places)
    assert len([path for path in paths if path.is_dir()]) == module._MOST_IDLE * of_one
    amounts.new_place().close()
    assert len([path for path in paths if path.is_dir()]) == module._MOST_IDLE * of_one


def test_a_process_that_is_still_there(with_cgroups: Make) -> None:
    """Its cgroup is removed when the next place is made after its end."""
    amounts = with_cgroups(processes=8)
    place = amounts.new_place(clones_into=False)
    pid = start(place, ["/bin/sleep", "1000"])
    (cgroup,) = (each for each in place._cgroups if "pids" in each.controllers)
    until(lambda: cgroup.processes() == [pid])
    path = cgroup.path
    place.close()
    assert path.is_dir()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    amounts.new_place().close()
    assert not path.exists()


def test_what_a_killed_caller_has_left_is_removed(with_cgroups: Make) -> None:
    """By the next process that makes cgroups there."""
    with_cgroups(memory="64M", processes=8)  # or skip
    told, tells = os.pipe()

    def be_killed() -> None:
        place = Amounts(Sandbox(memory="64M", processes=8)).new_place()
        os.write(tells, "\n".join(str(each.path) for each in place._cgroups).encode())
        signal.pause()

    try:
        pid = forked(be_killed)
        paths = [Path(line) for line in os.read(told, 10000).decode().splitlines()]
        assert [path for path in paths if not path.is_dir()] == []
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with_cgroups(memory="32M", processes=4)
        assert [path for path in paths if path.exists()] == []
    finally:
        os.close(told)
        os.close(tells)


def test_a_copy_of_the_process_leaves_them_alone(with_cgroups: Make) -> None:
    """It can neither remove nor use the cgroups of its original."""
    amounts = with_cgroups(memory="64M", processes=8)
    place = amounts.new_place()

    def use() -> None:
        place.close()
        assert not place.kill()
        with pytest.raises(RuntimeError, match="a copy"):
            amounts.new_place()
        amounts.close()

    amounts.new_place().close()  # one is kept for the next
    assert os.waitpid(forked(use), 0)[1] == 0
    assert [each.path for each in place._cgroups if not each.path.is_dir()] == []
    place.close()


def test_what_is_in_use_at_the_end_of_the_interpreter(with_cgroups: Make) -> None:
    """It is removed though nobody has closed it."""
    with_cgroups(memory="64M")  # or skip
    code = """
from ramet._sandbox.amounts import amounts as module
from ramet._sandbox.amounts.amounts import Amounts
from ramet._sandbox.amounts.cgroup_places import find_places
from ramet._sandbox.description import Sandbox
amounts = Amounts(Sandbox(memory="64M"))
amounts.new_place().close()
places = [amounts.new_place(), amounts.new_place()]
print(*(each.path for place in places for each in place._cgroups), sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert len(paths) >= 2
    assert [path for path in paths if path.exists()] == []
    assert done.stderr == ""


def test_a_place_that_is_dropped(with_cgroups: Make) -> None:
    """Its cgroups are removed with it."""
    amounts = with_cgroups(memory="64M")
    place = amounts.new_place()
    paths = [each.path for each in place._cgroups]
    assert [path for path in paths if not path.is_dir()] == []
    del place
    assert [path for path in paths if path.exists()] == []


def test_what_can_be_made_no_more(with_cgroups: Make) -> None:
    """A program is not started without what was promised; nothing is left of the rest."""
    amounts = with_cgroups(memory="64M", processes=8)
    held = amounts.new_place()
    place, controllers = next(iter(amounts._groups.items()))
    amounts._groups |= {place._replace(path="/proc/self"): controllers}
    with pytest.raises(OSError, match="/proc/self"):
        amounts.new_place()
    held.close()


def test_without_a_descriptor_for_its_cgroup(
    with_cgroups: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many programs at once the one that is too many is told which limit it is, and what to do."""
    amounts = with_cgroups(memory="64M")
    held = amounts.new_place()

    def refused(*_: object) -> NoReturn:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "cgroup.procs")

    with monkeypatch.context() as patched:
        patched.setattr(module, "ChildCgroup", refused)
        with pytest.raises(OSError, match="RLIMIT_NOFILE") as told:
            amounts.new_place()
    assert (told.value.errno, told.value.filename) == (errno.EMFILE, "cgroup.procs")
    amounts.new_place().close()
    held.close()


def test_processor_time_in_version_1(with_cgroups: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its controller cpuacct counts where there is no version 2."""
    monkeypatch.setattr(module, "find_places", lambda wanted: find_places(wanted - {""}))
    amounts = with_cgroups(cpus=2)
    amounts = Amounts(amounts.sandbox.replace(cpu_time=0.3))
    with amounts, contextlib.closing(amounts.new_place()) as place:
        if "cpuacct" not in amounts.controllers:
            pytest.skip("needs cgroups below which this process may make others")
        status, usage = run_in(place, [*PYTHON, SPIN])
    assert status.reason == "cpu time"
    assert 0.3 <= (usage.cpu_seconds or 0) < 0.9


# ---- what version 2 does


def _spawned(place: Place, argv: list[str]) -> Child[None]:
    """A program that is made in its cgroup by the clone call; what it is killed for is the place's."""
    assert place.clone_cgroup is not None
    child = Command(argv, cgroup=place.clone_cgroup, rlimits=place.rlimits).spawn()
    assert child.pidfd is not None
    place.begin(child.pid, child.pidfd)
    return child


@pytest.fixture
def in_version_2(with_cgroups: Make) -> Make:
    """Make Amounts that need no controller there: of processor time."""

    def make(**wishes: Any) -> Amounts:
        amounts = with_cgroups(cpu_time=100, **wishes)
        if "" not in amounts.controllers:
            pytest.skip("needs a cgroup of version 2 below which this process may make others")
        return amounts

    return make


def test_the_clone_call_makes_it_there(in_version_2: Make) -> None:
    """Nothing is left to join, and its processor time is counted from the first instruction on."""
    with contextlib.closing(in_version_2().new_place()) as place:
        assert (place.joins, place.entries) == ([], [])
        with _spawned(place, [*PYTHON, "pass"]) as child:
            status = place.ended(child.wait())
        assert status.success
        assert 0 < (place.usage().cpu_seconds or 0) < 10


def test_it_joins_by_itself(in_version_2: Make) -> None:
    """Where the clone call shall not do it; the directories and the files are the same."""
    with contextlib.closing(in_version_2().new_place(clones_into=False)) as place:
        assert place.clone_cgroup is None
        assert [name for _, name in place.joins] == [b"cgroup.procs"]
        files = [f"{os.readlink(f'/proc/self/fd/{at}')}/cgroup.procs" for at, _ in place.joins]
        assert [os.readlink(f"/proc/self/fd/{entry}") for entry in place.entries] == files
        status, usage = run_in(place, [*PYTHON, "pass"])
        assert status.success
        assert (usage.cpu_seconds or 0) > 0


def test_the_deadline_kills_by_the_cgroup(in_version_2: Make) -> None:
    """All in it at once: cgroup.kill."""
    with contextlib.closing(in_version_2(timeout=0.3).new_place()) as place:
        with _spawned(place, [*PYTHON, SCATTERED.format(5) + "time.sleep(1000)"]) as child:
            status = place.ended(child.wait())
        assert (status.signal, status.reason) == (signal.SIGKILL, "deadline")
        (cgroup,) = place._cgroups
        until(lambda: "populated 0" in (cgroup.path / "cgroup.events").read_text())


def test_who_was_not_reaped_keeps_no_cgroup(in_version_2: Make) -> None:
    """A zombie is no process of it any more."""
    amounts = in_version_2()
    place = amounts.new_place()
    (path,) = (each.path for each in place._cgroups)
    child = _spawned(place, ["/bin/sleep", "1000"])
    assert place.kill()
    amounts.close()
    place.close()
    assert not path.exists()
    assert child.wait().signal == signal.SIGKILL

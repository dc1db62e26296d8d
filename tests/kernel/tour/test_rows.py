import os
import platform

import pytest

import ramet
from ramet.tour.cgroup import cgroups_of, parse_cgroups, parse_mount_point
from ramet.tour.fork_statements import copied
from ramet.tour.memory import (
    Mapping,
    Page,
    mapping_of,
    pages_of,
    parse_counters,
    parse_mapping,
    parse_page,
    parse_stack_pointer,
    stack_pointer,
)
from ramet.tour.row import parse_release
from ramet.tour.scene import become_program, caller_and_child

SMAPS = """\
55d0c8a00000-55d0c8a02000 r--p 00000000 fd:00 1234                       /usr/bin/cat
Rss:                   8 kB
Shared_Clean:          8 kB
VmFlags: rd mr mw me sd
7f0000000000-7f0000008000 rw-p 00000000 00:00 0
Rss:                  32 kB
Shared_Clean:          0 kB
Shared_Dirty:         28 kB
Private_Dirty:         4 kB
THPeligible:           0
VmFlags: rd wr mr mw me ac dd sd
"""

MOUNTS = """\
proc /proc proc rw,relatime 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0
cgroup2 /mnt/a\\040group cgroup2 rw,relatime 0 0
"""

CGROUPS = """\
9:name=systemd:/init.scope
4:cpu,cpuacct:/a:b
0::/user.slice
"""


def test_a_mapping_has_its_range_and_name() -> None:
    """The end of a mapping is no part of it."""
    mapping = parse_mapping("7ffc1000-7ffc3000 rw-p 00000000 00:00 0          [stack]\n")
    assert mapping == Mapping(0x7FFC1000, 0x7FFC3000, "[stack]")
    assert 0x7FFC1000 in mapping
    assert 0x7FFC3000 not in mapping


def test_a_mapping_may_have_no_name_or_one_with_spaces() -> None:
    """Nameless mappings have an empty name; spaces in a file's name stay."""
    assert parse_mapping("1000-2000 rw-p 00000000 00:00 0 \n").name == ""
    assert parse_mapping("1000-2000 r--p 0 fd:00 7 /a file (deleted)\n").name == "/a file (deleted)"


def test_a_page_has_its_frame_and_marks() -> None:
    """Bit 63 is presence, bit 56 exclusiveness, the low 55 bits the frame."""
    assert parse_page(1 << 63 | 1 << 56 | 1 << 55 | 0x1234) == Page(True, True, 0x1234)
    assert parse_page(1 << 63 | 0x1234) == Page(True, False, 0x1234)


def test_a_page_that_is_swapped_out_has_no_frame() -> None:
    """What pagemap says of its place in the swap is not taken for a frame."""
    assert parse_page(1 << 62 | 0x1234) == Page(False, False, 0)


def test_the_stack_pointer_is_the_last_but_one_word() -> None:
    """Be the task in a system call, stopped outside of one, or running."""
    assert parse_stack_pointer("0 0x3 0x7f 0x400 0x0 0x0 0x0 0x7ffc10 0x7f20\n") == 0x7FFC10
    assert parse_stack_pointer("-1 0x7ffc20 0x7f20\n") == 0x7FFC20
    assert parse_stack_pointer("running\n") is None


def test_counters_are_those_of_one_mapping() -> None:
    """Nothing of the other mappings is counted, and no line that has no KiB."""
    assert parse_counters(SMAPS, 0x7F0000007FFF) == {
        "Rss": 32,
        "Shared_Clean": 0,
        "Shared_Dirty": 28,
        "Private_Dirty": 4,
    }
    assert parse_counters(SMAPS, 0x7F0000008000) == {}


def test_copied_pages_have_two_frames() -> None:
    """With frames to see, a page is copied when they differ."""
    mine = [Page(True, False, 1), Page(True, True, 2), Page(True, True, 3)]
    its = [Page(True, False, 1), Page(True, True, 9), Page(False, False, 0)]
    assert copied(mine, its) == [1]


def test_copied_pages_are_exclusive_on_both_sides() -> None:
    """Without frames to see, a page is copied when each side has it for itself."""
    mine = [Page(True, False, 0), Page(True, True, 0), Page(True, True, 0)]
    its = [Page(True, False, 0), Page(True, True, 0), Page(False, False, 0)]
    assert copied(mine, its) == [1]


def test_the_mount_point_of_cgroup_version_2_is_found() -> None:
    """Hierarchies of version 1 are passed over, and spaces are read as mounts writes them."""
    assert parse_mount_point(MOUNTS) == "/mnt/a group"
    assert parse_mount_point(MOUNTS.replace("cgroup2", "cgroup")) is None


def test_control_groups_are_told_by_hierarchy() -> None:
    """Version 2 has the name 0; a path may hold colons."""
    assert parse_cgroups(CGROUPS) == {
        "name=systemd": "/init.scope",
        "cpu,cpuacct": "/a:b",
        "0": "/user.slice",
    }


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("6.18.44-fc-v669", (6, 18)),
        ("7.1.0-rc3", (7, 1)),
        ("10.0-generic", (10, 0)),
        ("unknown", (0, 0)),
    ],
)
def test_a_release_is_read_as_numbers(release: str, version: tuple[int, int]) -> None:
    """Whatever a distribution appends, the first two numbers count."""
    assert parse_release(release) == version


def test_this_kernels_files_are_read() -> None:
    """The parsers fit what the running kernel writes."""
    me = os.getpid()
    stack = mapping_of(me, stack_pointer(me))
    assert stack is not None
    assert any(page.present for page in pages_of(me, stack.start, stack.end - stack.start))
    assert all(path.startswith("/") for path in cgroups_of(me).values())
    assert parse_release(platform.release()) > (5, 0)


def test_a_scene_holds_a_caller_that_goes_on(nothing_left: object) -> None:
    """Without VFORK the caller is back while its child waits."""
    with caller_and_child(ramet.clone) as scene:
        assert scene.caller_goes_on
        assert scene.let_child_go()
        assert not scene.child_runs_program()


def test_a_scene_holds_a_caller_that_is_suspended(nothing_left: object) -> None:
    """In vfork() the caller sleeps until its child, which is let go, becomes a program."""
    with caller_and_child(ramet.vfork, become_program) as scene:
        assert (scene.caller_goes_on, scene.caller_state) == (False, "D")
        assert scene.let_child_go()
        assert scene.child_runs_program()


def test_a_scene_that_is_left_early_leaves_nothing(nothing_left: object) -> None:
    """Both tasks end when the one who looks has seen enough."""
    with caller_and_child(ramet.vfork) as scene:
        pids = scene.caller, scene.child
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

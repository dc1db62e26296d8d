"""Where a process is in the hierarchy that limits memory, read from text of /proc."""

import pytest

from ramet._kernel.cgroups import CgroupPlace, find

V1_MOUNT = "36 32 0:31 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory"
V2_MOUNT = "32 25 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
OTHER_MOUNTS = """\
25 1 0:22 / /sys rw,nosuid shared:2 - sysfs sysfs rw
35 32 0:30 / /sys/fs/cgroup/pids rw shared:8 - cgroup cgroup rw,pids
"""


@pytest.mark.parametrize(
    ("memberships", "mount", "found"),
    [
        ("0::/user.slice/a.scope", V2_MOUNT, (2, "/sys/fs/cgroup/user.slice/a.scope")),
        ("0::/", V2_MOUNT, (2, "/sys/fs/cgroup")),
        ("9:pids:/x\n4:memory:/job/7\n0::/y", V1_MOUNT, (1, "/sys/fs/cgroup/memory/job/7")),
        ("4:cpu,memory:/\n0::/y", V1_MOUNT, (1, "/sys/fs/cgroup/memory")),
        ("4:name=memory:/a\n0::/y", V2_MOUNT, (2, "/sys/fs/cgroup/y")),
        # a container that sees the host's paths, and has its own part mounted
        (
            "0::/docker/c1/z",
            V2_MOUNT.replace(" / /sys", " /docker/c1 /sys"),
            (2, "/sys/fs/cgroup/z"),
        ),
        ("0::/docker/c1", V2_MOUNT.replace(" / /sys", " /docker/c1 /sys"), (2, "/sys/fs/cgroup")),
        ("0::/a", V2_MOUNT.replace("/sys/fs/cgroup", r"/a\040b\134c"), (2, r"/a b\c/a")),
        ("0::/with:colon", V2_MOUNT, (2, "/sys/fs/cgroup/with:colon")),
    ],
)
def test_where_it_is(memberships: str, mount: str, found: tuple[int, str]) -> None:
    """The controller's version, and the directory below what is mounted."""
    assert find(memberships, OTHER_MOUNTS + mount) == CgroupPlace(*found)


@pytest.mark.parametrize(
    ("memberships", "mount"),
    [
        ("", V2_MOUNT),
        ("0::/a", ""),
        ("4:memory:/a\n0::/b", V2_MOUNT),  # version 1 has the controller, and is not mounted
        ("0::/docker/c10", V2_MOUNT.replace(" / /sys", " /docker/c1 /sys")),  # not below it
        ("0::/../other", V2_MOUNT),  # outside of the cgroup namespace
    ],
)
def test_where_it_is_not_seen(memberships: str, mount: str) -> None:
    """There is none to be used where what is mounted does not show it."""
    assert find(memberships, OTHER_MOUNTS + mount) is None

"""What a user may have of some things on the whole machine, and how many of them a sandbox may.

The kernel counts them for the user in its namespace, and for each user that has made a namespace around it:
who has used up a count in a sandbox has taken it from that user.
Source: namespaces(7), /proc/sys/user; kernel/ucount.c, inc_ucount().
"""

from pathlib import Path

DIRECTORY = "/proc/sys/user"
_SHARE = 4  # a sandbox has this part of what its user has at most
# By the file of a user namespace, that of the machine: inotify(7), fanotify(7).
_OF_MACHINE = {
    "max_inotify_instances": "/proc/sys/fs/inotify/max_user_instances",
    "max_inotify_watches": "/proc/sys/fs/inotify/max_user_watches",
    "max_fanotify_groups": "/proc/sys/fs/fanotify/max_user_groups",
    "max_fanotify_marks": "/proc/sys/fs/fanotify/max_user_marks",
}
WRITTEN = next(iter(_OF_MACHINE))


def most_of_a_sandbox() -> dict[str, bytes]:
    """The texts of the files in DIRECTORY of its user namespace; without those that this kernel lacks."""
    found = {}
    for name, of_machine in _OF_MACHINE.items():
        # That of an inner user namespace alone is as good as none.
        limits = [_number(path) for path in (f"{DIRECTORY}/{name}", of_machine)]
        if limits[0] is not None:
            most = min(one for one in limits if one is not None)
            found[name] = b"%d" % -(-most // _SHARE)
    return found


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_bytes())
    except (OSError, ValueError):
        return None

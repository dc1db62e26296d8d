"""Which of the caller's files something is mounted over in a sandbox: see replaced.py."""

from ..description import Sandbox
from ..view import View, directories_of, has_own_tmp, nearest, parent_of


def mount_points(sandbox: Sandbox, view: View) -> list[str]:
    """Paths of the caller's at which something is mounted in that root, or in a child's copy of it.

    Not those of which a child may do the same without that mount.
    """
    image = None if sandbox.root == "/" or view.root is None else view.root.path
    directories = directories_of(view.shown)
    found = []
    for one in (*view.shown, *view.hidden):
        above = None if one.path == "/" else nearest(parent_of(one.path), directories)
        if above is None and view.root is None:
            continue  # it is mounted in a file system of the sandbox's own
        if above is None and image is not None:
            found.append(image + one.path)
            continue
        may_be_written = above is not None and above.writable
        if one in view.hidden or one.part_of or one.writable != may_be_written:
            found.append(one.path)
    if image is not None:
        needed = {"/dev": True, "/proc": sandbox.proc, "/tmp": has_own_tmp(sandbox, view)}
        found += [image + place for place, is_needed in needed.items() if is_needed]
    return list(dict.fromkeys(found))

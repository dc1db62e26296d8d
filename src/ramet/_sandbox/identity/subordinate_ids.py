"""The subordinate ids of the caller: which there are, one of them for a sandbox, and who maps it.

Source: subuid(5), subgid(5), newuidmap(1), user_namespaces(7).
"""

import errno
import os
import shutil
from functools import partial
from pathlib import Path

from ..._core import Plan, has_close_range, new_child
from ..._process.blocking import run_blocking
from ..._process.child import Child, make_child
from ..._process.launching import Wanted, launch
from ..._setup import id_maps
from ..._setup.checks import DEVNULL
from ..._setup.descriptor_moves import Moves
from ..._setup.step_makers import Setup
from ..._setup.steps import steps_of
from .marked_memory import tried_again

_PROGRAMS = ("newuidmap", "newgidmap")
_FILES = ("subuid", "subgid")
_WORDS = 3  # of a line
_NO_SIGNAL = 0
_STANDARD = {"stdin": DEVNULL, "stdout": DEVNULL, "stderr": DEVNULL}


def how_many(*, no_new_privs: bool) -> tuple[int, str]:
    """How many newuidmap(1) and newgidmap(1) would map for the caller; where none, why."""
    for program in _PROGRAMS:
        if shutil.which(program) is None:
            return 0, f"{program} is not there: install the package uidmap (shadow-utils on Fedora)"
    if no_new_privs:
        return 0, "no_new_privs is set on the caller, with which newuidmap gains no rights"
    count = min(len(_longest(name)) for name in _FILES)
    if count == 0:
        ranges = "--add-subuids 100000-165535 --add-subgids 100000-165535"
        name = _user_name()
        return 0, f"/etc/subuid or /etc/subgid has no line for {name}: usermod {ranges} {name}"
    return count, ""


def one() -> tuple[int, int]:
    """A user and a group for the children of one sandbox.

    By chance, so that another sandbox of the caller's has others: of two with the same, each may signal
    the other's processes where it sees them. Of the upper half, as containers of the caller's begin
    to count their users at the lower end. OSError where the files list none by now.
    """
    uid, gid = map(_by_chance, _FILES)
    return uid, gid


def write_maps(pid: int, inner: tuple[int, int], outer: tuple[int, int]) -> None:
    """Map a user and a group in the new user namespace of a child, by newgidmap(1) and newuidmap(1).

    Raises SpawnError where they refuse it.
    """
    for name, *ids in zip(("uid_map", "gid_map"), inner, outer, strict=True):
        tried_again(partial(run_blocking, id_maps.write, pid, {name: [(*ids, 1)]}, _succeeds))


def _by_chance(file: str) -> int:
    ids = _longest(file)
    if not ids:
        raise OSError(errno.ENOENT, "no range of the caller's is listed any more", f"/etc/{file}")
    upper = ids[len(ids) // 2 :]
    return upper[int.from_bytes(os.urandom(8), "little") % len(upper)]


def _longest(file: str) -> range:
    """The longest range of the caller's; others may be for containers alone."""
    try:
        lines = Path("/etc", file).read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return range(0)
    names = {str(os.geteuid()), _user_name()}
    found = [range(0)]
    for line in lines:
        name, *numbers = line.split(":")
        if len(numbers) == _WORDS - 1 and name in names and all(map(str.isdigit, numbers)):
            first, count = map(int, numbers)
            found.append(range(first, first + count))
    return max(found, key=len)


def _user_name() -> str:
    import pwd  # only a plain user's plan needs it

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


async def _succeeds(words: list[str]) -> bool:
    """Run a program, of whose end no signal tells this process; FileNotFoundError where there is none."""
    program = shutil.which(words[0])
    if program is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), words[0])
    shared = has_close_range()
    steps = steps_of(Setup(_STANDARD, shared_table=shared, moves=Moves(_STANDARD))).steps
    plan = Plan([*steps, ("EXEC", (os.fsencode(program),), tuple(map(os.fsencode, words)), None)])
    wanted = Wanted(0, _NO_SIGNAL, None, None, shares_table=shared)
    failed: list[tuple[int, int]] = []

    def make(child: Child[None]) -> None:
        report = launch(wanted, plan, child)
        failed.extend([] if report is None else [report])

    with make_child(new_child(Child, words, 0, False), make) as child:
        if failed:
            raise OSError(failed[0][1], os.strerror(failed[0][1]), program)
        return child.wait().success

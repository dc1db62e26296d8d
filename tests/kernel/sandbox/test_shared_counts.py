"""What the kernel counts for a user on the whole machine, used up by what is confined."""

import ast
import ctypes
import errno
import inspect
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import ramet
from ramet._sandbox import kept

from ...constants import SECONDS
from .plain_user import as_plain_user, needs_python_for_all, needs_subordinate_ids
from .taken_away import needs_all, without_capabilities

pytestmark = [needs_all, pytest.mark.usefixtures("nothing_kept")]

# Another user cannot reach the Python of root.
PYTHON = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
LIMITS = "/proc/sys/fs/inotify/max_user_instances"
MOST_SIGNALS = 1024
FULL = {"inotify": "EMFILE", "signals": "EAGAIN", "queues": "EMFILE"}
IS_ROOT = os.geteuid() == 0


def used_up(most: int) -> dict[str, tuple[int, str]]:
    """How many of each the calling process could have, up to so many, and what the kernel said then."""
    libc = ctypes.CDLL(None, use_errno=True)

    def until_refused(make: object) -> tuple[int, str]:
        for made in range(most):
            if make(made) < 0:  # type: ignore[operator]
                return made, errno.errorcode[ctypes.get_errno()]
        return most, "none"

    signal.pthread_sigmask(signal.SIG_BLOCK, [40])
    return {
        "inotify": until_refused(lambda _: libc.inotify_init1(0o2000000)),
        "signals": until_refused(lambda _: libc.sigqueue(os.getpid(), 40, None)),
        "queues": until_refused(lambda n: libc.mq_open(b"/ramet-%d" % n, 0o102, 0o600, None)),
    }


def one_of_each() -> dict[str, tuple[int, str]]:
    """What a new process of this user can have, which gives it back."""
    source = f"import ctypes, errno, os, signal\n{inspect.getsource(used_up)}\nprint(used_up(1))"
    # A queue is a name of the machine's, and would stay.
    source = source.replace("libc.mq_open", "(lambda *_: 0)")
    done = subprocess.run([sys.executable, "-c", source], stdout=subprocess.PIPE, check=True)
    found: dict[str, tuple[int, str]] = ast.literal_eval(done.stdout.decode())
    return found


@contextmanager
def a_greedy_program(sandbox: ramet.Sandbox) -> Iterator[dict[str, tuple[int, str]]]:
    """What a confined program has got by using up all, while it lives."""
    source = f"import ctypes, errno, os, signal\n{inspect.getsource(used_up)}\n"
    source += f"print(used_up({1 << 20}), flush=True)\ninput()"
    with ramet.Popen(
        [PYTHON, "-c", source],
        sandbox=sandbox,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as greedy:
        assert greedy.stdout is not None
        try:
            yield ast.literal_eval(greedy.stdout.readline())
        finally:
            greedy.kill()


def are_used_up(got: dict[str, tuple[int, str]]) -> None:
    """Queues a sandbox may make only where it is its caller's own user."""
    refused = {name: why for name, (_, why) in got.items()}
    assert refused in (FULL, {**FULL, "queues": "EACCES"})


GREEDY = ramet.Sandbox(memory="200M", processes=20, open_files=1024, syscalls=None)
NONE_IS_REFUSED = dict.fromkeys(FULL, (1, "none"))


def test_a_program_leaves_its_caller_some() -> None:
    """While a program has all that it gets, a process of its caller's gets some of each."""
    with a_greedy_program(GREEDY) as got:
        assert one_of_each() == NONE_IS_REFUSED
    are_used_up(got)


@pytest.mark.skipif(not IS_ROOT, reason="a plain user's sandboxes count for that user")
def test_no_count_of_roots() -> None:
    """Each of root's sandboxes has its own, of which no other has less, and root neither."""
    instances = int(Path(LIMITS).read_text())
    with (
        a_greedy_program(GREEDY) as got,
        a_greedy_program(GREEDY.replace(hostname="other")) as got_by_another,
    ):
        assert one_of_each() == NONE_IS_REFUSED
    assert got["inotify"] == got_by_another["inotify"] == (instances, "EMFILE")
    assert got["signals"] == got_by_another["signals"]


@pytest.mark.skipif(not IS_ROOT, reason="gives up a right")
def test_root_who_may_not_look_into_others() -> None:
    """Without CAP_SYS_PTRACE it starts all the same, with a part of what is root's."""

    def ask() -> list[dict[str, tuple[int, str]]]:
        kept.forget()
        with a_greedy_program(GREEDY) as got:
            return [got, one_of_each()]

    with ramet.clone(ask, **without_capabilities("SYS_PTRACE")) as child:
        got, left = child.result(SECONDS)
    are_parts(got, is_counted=True)
    assert left == NONE_IS_REFUSED


def are_parts(got: dict[str, tuple[int, str]], *, is_counted: bool = not IS_ROOT) -> None:
    """A sandbox has had so much. is_counted: for its caller, too."""
    instances = int(Path(LIMITS).read_text())
    are_used_up(got)
    assert got["inotify"][0] == (math.ceil(instances / 4) if is_counted else instances)
    assert got["signals"][0] <= MOST_SIGNALS


def test_a_clone() -> None:
    """A function gets a part of what its caller may have."""
    with ramet.clone(used_up, 1 << 20, sandbox=GREEDY) as child:
        are_parts(child.result(SECONDS))


def test_a_call_of_a_template() -> None:
    """So does one that a template runs."""
    with (
        ramet.Template(["cloudpickle"], sandbox=GREEDY, spares=0) as template,
        template.clone(used_up, 1 << 20) as call,
    ):
        are_parts(call.result(SECONDS))


@needs_subordinate_ids
@needs_python_for_all
def test_subordinate_ids() -> None:
    """A sandbox that is another user of a plain user's leaves that user some, too."""

    def ask() -> tuple[dict[str, tuple[int, str]], dict[str, tuple[int, str]]]:
        sandbox = GREEDY.replace(memory=None, processes=None, require="best")
        assert sandbox.plan().own_id == "subordinate id"
        with a_greedy_program(sandbox) as got:
            return got, one_of_each()

    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        Path(made).chmod(0o755)
        got, left = as_plain_user(Path(made), ask)
    are_parts(got, is_counted=True)
    assert left == NONE_IS_REFUSED

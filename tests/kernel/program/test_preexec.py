"""preexec_fn, as subprocess has it."""

import os
import resource
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import CloneFlag as F

from ...constants import SECONDS
from ..sandbox.taken_away import needs_all

PIPE = subprocess.PIPE

pytestmark = pytest.mark.filterwarnings("ignore::ramet.PreexecWarning")


def test_it_runs_in_the_child_before_its_program(nothing_left: object) -> None:
    """The program finds what the function has done, in its environment too; the caller is as before."""
    before = os.getpgid(0), resource.getrlimit(resource.RLIMIT_CORE), os.environ.get("FRUIT")

    def become() -> None:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.putenv("FRUIT", "apple")

    script = "echo $FRUIT; ulimit -c; cut -d ' ' -f 5 /proc/$$/stat; echo $$"
    done = ramet.run(["sh", "-c", script], stdout=PIPE, text=True, preexec_fn=become)
    fruit, core, group, pid = done.stdout.split()
    assert (fruit, core, group) == ("apple", "0", pid)
    assert before == (
        os.getpgid(0),
        resource.getrlimit(resource.RLIMIT_CORE),
        os.environ.get("FRUIT"),
    )


def test_it_comes_after_the_options(tmp_path: Path, nothing_left: object) -> None:
    """It sees what they have done, and writes to the program's own streams."""
    mask = {signal.SIGUSR1}

    def look() -> None:
        seen = os.getcwd(), os.getsid(0) == os.getpid(), os.getpriority(os.PRIO_PROCESS, 0)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        os.write(1, repr((*seen, set(blocked) == mask)).encode())

    argv = ["sh", "-c", "echo; umask"]
    options: dict[str, Any] = {"umask": 0o27, "nice": 19, "signal_mask": mask}
    done = ramet.run(
        argv, cwd=tmp_path, start_new_session=True, stdout=PIPE, preexec_fn=look, **options
    )
    assert done.stdout.decode() == f"{(str(tmp_path), True, 19, True)!r}\n0027\n"


def test_what_it_opens_is_closed(nothing_left: object) -> None:
    """Only what shall stay open does, whatever the function has opened, unless all may stay."""
    kept = os.open(os.devnull, os.O_RDONLY)
    other = os.open(os.devnull, os.O_RDONLY)
    script = (
        "import os; at = '/proc/self/fd/'; there = os.listdir(at); "
        "print(sorted(int(n) for n in there if os.path.exists(at + n)))"
    )
    argv = [sys.executable, "-S", "-c", script]

    def open_more() -> None:
        os.dup2(0, 77)

    for options, more in (
        ({"pass_fds": [kept]}, [kept]),
        ({"fds": {9: kept}}, [9]),
        ({}, []),
    ):
        out = ramet.check_output(argv, preexec_fn=open_more, **options)
        assert eval(out) == [0, 1, 2, *more]
    assert 77 in eval(ramet.check_output(argv, preexec_fn=open_more, close_fds=False))
    for descriptor in (kept, other):
        os.close(descriptor)


def raise_it() -> None:
    raise ValueError("a reason \udcff")


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)
    signal.pause()


@pytest.mark.parametrize(
    ("function", "told"),
    [(raise_it, "ValueError: a reason \\udcff"), (sys.exit, "SystemExit"), (None, None)],
)
def test_what_it_raises_is_told(
    function: Callable[[], object] | None, told: str | None, nothing_left: object
) -> None:
    """Its exception is subprocess's, with the traceback as a note, and no child is left."""
    if function is None:
        function, told = interrupt, "KeyboardInterrupt"
    with pytest.raises(subprocess.SubprocessError) as caught:
        ramet.Popen(["true"], stdin=PIPE, stdout=PIPE, stderr=PIPE, preexec_fn=function)
    assert str(caught.value) == "Exception occurred in preexec_fn."
    assert told is not None
    assert told in caught.value.__notes__[0]


def test_a_failing_step_is_told(nothing_left: object) -> None:
    """Before it and after it a step fails as it does without it."""
    with pytest.raises(FileNotFoundError) as caught:
        ramet.run(["true"], cwd="/no/such", preexec_fn=os.getpid)
    assert isinstance(caught.value, ramet.SpawnError)
    assert (caught.value.step, caught.value.filename) == ("chdir", "/no/such")
    for options in ({}, {"close_fds": False}, {"stdin": 0, "env": {}}):
        with pytest.raises(FileNotFoundError) as caught:
            ramet.run(["/no/such"], preexec_fn=os.getpid, **options)
        assert isinstance(caught.value, ramet.SpawnError)
        assert (caught.value.step, caught.value.filename) == ("execve", "/no/such")


def test_its_end_is_the_programs(nothing_left: object) -> None:
    """A function that ends the child itself, or is killed, is told as the end of a program."""
    assert ramet.call(["true"], preexec_fn=lambda: os._exit(7)) == 7
    with ramet.Popen(["true"], preexec_fn=lambda: os.kill(os.getpid(), 9)) as process:
        assert process.wait(SECONDS) == -signal.SIGKILL


def test_a_pipe_out_of_its_way(nothing_left: object) -> None:
    """Whatever numbers the child shall have, and however full the table is, failures are told."""
    ends = [os.dup(0) for _ in range(40)]
    fds = dict.fromkeys(range(3, 60), 1)
    with pytest.raises(FileNotFoundError):
        ramet.run(["/no/such"], fds=fds, preexec_fn=os.getpid)
    argv = [sys.executable, "-S", "-c", "import os; os.write(59, b'out')"]
    assert ramet.check_output(argv, fds=fds, preexec_fn=os.getpid) == b""
    for end in ends:
        os.close(end)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"flags": F.VM}, "copy"),
        ({"flags": F.FILES}, "copy"),
        ({"flags": F.STOPPED}, "copy"),
        ({"start": False}, "start=False"),
        ({"die_with_parent": True}, "die_with_parent"),
        pytest.param({"sandbox": ramet.Sandbox()}, "with sandbox", marks=needs_all),
    ],
)
def test_what_it_excludes(options: dict[str, Any], words: str, nothing_left: object) -> None:
    """A copy shares nothing, and nobody is there to open a gate for it."""
    with pytest.raises(ValueError, match=words):
        ramet.Popen(["true"], preexec_fn=os.getpid, **options)


def test_with_flags(nothing_left: object) -> None:
    """A copy may have what a copy can have: namespaces of its own."""
    flags = F.NEWUTS | (F(0) if os.geteuid() == 0 else F.NEWUSER)
    out = ramet.check_output(
        ["uname", "-n"], flags=flags, hostname="twig", preexec_fn=os.getpid, text=True
    )
    assert out == "twig\n"


def test_its_warning_names_the_line_and_can_be_silenced() -> None:
    """It is told once, where the caller's line is, and a filter of its own silences it."""
    for make in (ramet.Popen, ramet.run, ramet.check_output, ramet.getoutput):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            made = make(["true"], preexec_fn=os.getpid)
            if isinstance(made, ramet.Popen):
                made.wait()
        assert [one.category for one in told] == [ramet.PreexecWarning]
        assert told[0].filename == __file__
        assert "start_new_session for os.setsid" in str(told[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ramet.PreexecWarning)
        ramet.run(["true"], preexec_fn=os.getpid)


@pytest.mark.parametrize("takes_others", [False, True])
def test_the_highest_number_may_be_passed(takes_others: bool, nothing_left: object) -> None:
    """What tells of a failure has a number below it then, and none that the program is to have."""
    highest, before = 199, resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.open(os.devnull, os.O_RDONLY) for _ in range(5)]
    given: Any = {"pass_fds": [os.dup2(free[0], highest)], "preexec_fn": os.getpid}
    for descriptor in free:
        os.close(descriptor)
    if takes_others:  # also those that its pipe has at first
        given["fds"] = dict.fromkeys(free, 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    try:
        done = ramet.run(["test", "-e", f"/proc/self/fd/{highest}"], **given)
        with pytest.raises(FileNotFoundError):
            ramet.run(["/no/such/program"], **given)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        os.close(highest)
    assert done.returncode == 0


def test_copies_that_others_make_do_not_hold_it_up(nothing_left: object) -> None:
    """A copy made meanwhile, by another thread or by the function, may outlive the clone call."""
    asked, ask = os.pipe()
    answered, answer = os.pipe()
    held, release = os.pipe()
    copies: list[ramet.Child[None]] = []

    def copy_meanwhile() -> None:
        os.read(asked, 1)
        copies.append(ramet.clone(signal.pause))
        os.write(answer, b"x")

    def wait_for_the_copy() -> None:
        os.write(ask, b"x")
        os.read(answered, 1)
        if os.fork() == 0:
            os.close(release)
            os.read(held, 1)
            os._exit(0)

    thread = threading.Thread(target=copy_meanwhile)
    thread.start()
    with ramet.Popen(["true"], preexec_fn=wait_for_the_copy) as process:
        assert process.wait(SECONDS) == 0
    thread.join()
    copies[0].kill()
    copies[0].wait()
    for end in (asked, ask, answered, answer, held, release):
        os.close(end)

"""ramet run in a terminal, under a shell with job control."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator

import pytest

from ...terminals import INTERRUPT, SUSPEND, Terminal, shell

RAMET = shlex.join([sys.executable, "-m", "ramet", "run"])


@pytest.fixture
def bash() -> Iterator[Terminal]:
    """Bash, as a person uses it."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    with shell("bash", "--norc", "--noprofile", "--noediting", "-i") as terminal:
        terminal.see(r"\$ ")
        yield terminal


# Counts each signal, and tells the count when it is asked to end.
COUNTING = """
import os, signal, sys
got = []
# print() may be what they interrupt.
signal.signal(signal.SIGINT, lambda *_: (got.append(1), os.write(1, b"GOT IT\\n")))
signal.signal(signal.SIGUSR1, lambda *_: (os.write(1, b"COUNT %d\\n" % len(got)), sys.exit(7)))
# One that comes before pause() is in it would be handled after it.
woken, wakes = os.pipe2(os.O_NONBLOCK)
os.set_blocking(woken, True)
signal.set_wakeup_fd(wakes)
print("REA" + "DY", os.getppid(), flush=True)
while True:
    os.read(woken, 1)
"""


def test_ctrl_c_reaches_the_program_once(bash: Terminal) -> None:
    """The program gets one SIGINT from the terminal, and ramet lives for as long as it does."""
    bash.type(f"{RAMET} -- {sys.executable} -c {shlex.quote(COUNTING)}\n")
    pid = re.findall(r"\d+", bash.see(r"READY \d+\r"))[-1]
    bash.type(INTERRUPT)
    bash.see("GOT IT")
    bash.type(SUSPEND)
    bash.see("Stopped")
    bash.type(f"kill -USR1 {pid}; fg >/dev/null; echo ended=$?.\n")
    bash.see("COUNT 1")
    bash.see(r"ended=7\.")


def test_ctrl_c_ends_a_program_that_does_not_mind(bash: Terminal) -> None:
    """Its exit status in the shell is 130, and a loop around it ends too."""
    bash.type(f"while :; do {RAMET} -- sh -c 'echo REA''DY; exec cat'; done\n")
    bash.see("READY")
    bash.type(INTERRUPT)
    bash.see(r"\$ ")
    bash.type("echo status=$?.\n")
    assert "READY" not in bash.see(r"status=130\.")


@pytest.mark.parametrize("options", ["", "--foreground"])
def test_ctrl_z_stops_it_and_fg_continues_it(options: str, bash: Terminal) -> None:
    """The shell sees it stopped; continued in the foreground, it reads what is typed."""
    program = 'echo REA""DY; read one; echo "<$one>"; read two; echo "<$two>"; exit 5'
    bash.type(f"{RAMET} {options} -- sh -c '{program}'\n")
    bash.see("READY")
    bash.type("first\n")
    bash.see("<first>")
    bash.type(SUSPEND)
    bash.see("Stopped")
    bash.see(r"\$ ")
    bash.type("echo the shell li''ves; fg\n")
    bash.see("the shell lives")
    bash.see("ramet run")
    bash.type("second\n")
    bash.see("<second>")
    bash.see(r"\$ ")
    bash.type("echo status=$?.\n")
    bash.see(r"status=5\.")


def test_a_program_in_the_background_of_its_own_group_is_seen_to_stop(bash: Terminal) -> None:
    """In a group of its own, without the terminal, a program that reads is stopped; the shell sees it."""
    bash.type(f"{RAMET} --process-group 0 -- sh -c 'read one'\n")
    bash.see("Stopped")
    bash.see(r"\$ ")
    bash.type("kill -KILL %1; echo go''ne\n")
    bash.see("gone")


def test_ctrl_c_is_passed_on_to_another_group(bash: Terminal) -> None:
    """What the terminal sends to ramet alone reaches a program in a group of its own."""
    bash.type(f"{RAMET} --process-group 0 -- sh -c 'echo REA''DY; exec sleep 1000'\n")
    bash.see("READY")
    bash.type(INTERRUPT)
    bash.see(r"\$ ")
    bash.type("echo status=$?.\n")
    bash.see(r"status=130\.")


def test_the_terminal_is_given_back(bash: Terminal) -> None:
    """After a program that had the foreground, the next one of a script can read."""
    script = (
        f'{RAMET} --foreground -- sh -c \'echo REA""DY; read x; echo "<$x>"\'; read y; echo "[$y]"'
    )
    bash.type(f"sh -c {shlex.quote(script)}\n")
    bash.see("READY")
    bash.type("one\n")
    bash.see("<one>")
    bash.type("two\n")
    bash.see(r"\[two\]")


def test_a_controlling_terminal(bash: Terminal) -> None:
    """A new session may take a terminal, which is its /dev/tty then."""
    master, slave = os.openpty()
    name = os.ttyname(slave)
    bash.type(
        f"{RAMET} --new-session --controlling-terminal {name} -- sh -c 'echo to it >/dev/tty'\n"
    )
    bash.see(r"\$ ")
    other = Terminal(master)
    other.see("to it")
    os.close(slave)
    os.close(master)


def test_a_pipeline_is_passed_through() -> None:
    """Input and output are the program's, whatever they are."""
    with shell(
        "sh", "-c", f"printf 'a\\nb\\n' | {RAMET} -- sort -r | tr '\\n' ,; read x"
    ) as terminal:
        terminal.see("b,a,")

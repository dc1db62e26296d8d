"""What ended a confined child."""

import signal

import pytest

from ramet import ExitStatus
from ramet._sandbox.amounts.ending import Facts, amount_of_signal, reason_of

SUCCESS = ExitStatus.from_wstatus(0)
CODE_1 = ExitStatus.from_wstatus(0x100)


def by(number: int) -> ExitStatus:
    """One that was killed by that signal."""
    return ExitStatus.from_wstatus(number)


def code(number: int) -> ExitStatus:
    """One that exited with that."""
    return ExitStatus.from_wstatus(number << 8)


KILLED = by(signal.SIGKILL)


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        ("timeout", "deadline"),
        ("output", "output"),
        ("cpu_time", "cpu time"),
        ("memory", "out of memory"),
    ],
)
def test_what_the_library_killed_it_for(amount: str, reason: str) -> None:
    """It was killed for it; one that exited meanwhile was not."""
    assert reason_of(KILLED, Facts(killed_for=amount)) == reason
    assert reason_of(CODE_1, Facts(killed_for=amount)) is None


@pytest.mark.parametrize(
    ("status", "facts", "reason"),
    [
        (KILLED, Facts(was_oom_killed=True), "out of memory"),
        (CODE_1, Facts(was_oom_killed=True), "out of memory"),  # a grandchild was killed
        (by(signal.SIGXCPU), Facts(signalled="cpu_time"), "cpu time"),
        (KILLED, Facts(used_cpu_time=True), "cpu time"),
        (by(signal.SIGXFSZ), Facts(signalled="file_size"), "file size"),
        (CODE_1, Facts(refused_forks=True), "processes"),
        (by(signal.SIGABRT), Facts(refused_forks=True), "processes"),
        (KILLED, Facts(refused_forks=True), None),
        (by(signal.SIGTERM), Facts(refused_forks=True), None),
        (by(signal.SIGSYS), Facts(told="forbidden call mount"), "forbidden call mount"),
        (CODE_1, Facts(told="forbidden call mount"), "forbidden call mount"),
        (CODE_1, Facts(), None),
        (by(signal.SIGSEGV), Facts(), None),
        (ExitStatus.unknown(), Facts(), None),
    ],
)
def test_what_was_counted(status: ExitStatus, facts: Facts, reason: str | None) -> None:
    """A limit that was reached is the reason where it can have ended the program."""
    assert reason_of(status, facts) == reason


@pytest.mark.parametrize(
    ("status", "amount"),
    [
        (by(signal.SIGXCPU), "cpu_time"),
        (by(signal.SIGXFSZ), "file_size"),
        (by(signal.SIGKILL), None),
        (code(24), None),
        (SUCCESS, None),
    ],
)
def test_the_signals_of_limits(status: ExitStatus, amount: str | None) -> None:
    """They tell which limit it was, whoever has set it."""
    assert amount_of_signal(status, []) == amount


def test_a_shell_tells_the_signal_of_its_command() -> None:
    """By its exit code, which anything else may be where there is no such limit."""
    assert amount_of_signal(code(152), ["cpu_time"]) == "cpu_time"
    assert amount_of_signal(code(153), ["file_size"]) == "file_size"
    assert amount_of_signal(code(153), ["cpu_time"]) is None
    assert amount_of_signal(code(152), []) is None


def test_the_first_cause_counts() -> None:
    """What killed it comes before what it has reached besides."""
    facts = Facts(
        killed_for="timeout", told="forbidden call bpf", was_oom_killed=True, refused_forks=True
    )
    assert reason_of(KILLED, facts) == "deadline"
    assert reason_of(KILLED, facts._replace(killed_for=None)) == "forbidden call bpf"
    assert reason_of(KILLED, Facts(was_oom_killed=True, used_cpu_time=True)) == "out of memory"


def test_a_success_has_no_reason() -> None:
    """Whatever it has reached meanwhile."""
    facts = Facts("timeout", "forbidden call bpf", True, True, True)
    assert reason_of(SUCCESS, facts) is None

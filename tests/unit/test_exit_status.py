import copy
import os
import pickle
import resource
import signal

import pytest

from ramet.exit_status import ExitStatus


@pytest.mark.parametrize(
    ("si_code", "si_status", "code", "ended_by", "core_dumped", "reason"),
    [
        (1, 0, 0, None, False, "exited"),
        (1, 255, 255, None, False, "exited"),
        (2, 9, None, signal.SIGKILL, False, "signaled"),
        (3, 11, None, signal.SIGSEGV, True, "signaled"),
        (2, 40, None, 40, False, "signaled"),
    ],
)
def test_waitid_tells_the_end(
    si_code: int,
    si_status: int,
    code: int | None,
    ended_by: int | None,
    core_dumped: bool,
    reason: str,
) -> None:
    """CLD_EXITED, CLD_KILLED and CLD_DUMPED are told apart, real-time signals included."""
    status = ExitStatus.from_waitid(si_code, si_status)
    assert (status.code, status.signal, status.core_dumped) == (code, ended_by, core_dumped)
    assert status.reason == reason


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (0x0000, "exited with 0"),
        (0x0300, "exited with 3"),
        (0x0009, "killed by SIGKILL"),
        (0x008B, "killed by SIGSEGV, core dumped"),
        (0x0028, "killed by signal 40"),
    ],
)
def test_a_wait_status_tells_the_end(word: int, text: str) -> None:
    """The kernel's status word is taken apart, and reads as a sentence."""
    assert str(ExitStatus.from_wstatus(word)) == text
    assert repr(ExitStatus.from_wstatus(word)) == f"<ExitStatus: {text}>"


def test_both_ways_to_wait_agree() -> None:
    """The same end is the same status, whichever call told of it."""
    assert ExitStatus.from_wstatus(0x0300) == ExitStatus.from_waitid(os.CLD_EXITED, 3)
    assert ExitStatus.from_wstatus(0x008B) == ExitStatus.from_waitid(os.CLD_DUMPED, 11)


@pytest.mark.parametrize("si_code", [0, 4, 5, 6, 7])
def test_what_is_no_end_is_refused(si_code: int) -> None:
    """A child that was stopped, continued or trapped has no exit status."""
    with pytest.raises(ValueError, match="expected that of an ended task"):
        ExitStatus.from_waitid(si_code, 19)


@pytest.mark.parametrize("word", [0x137F, 0xFFFF])
def test_a_status_word_that_is_no_end_is_refused(word: int) -> None:
    """The status words of stopped and continued children are no exit status."""
    with pytest.raises(ValueError, match="expected that of an ended task"):
        ExitStatus.from_wstatus(word)


@pytest.mark.parametrize(
    ("status", "success", "returncode"),
    [
        (ExitStatus.from_wstatus(0x0000), True, 0),
        (ExitStatus.from_wstatus(0x0300), False, 3),
        (ExitStatus.from_wstatus(0x0009), False, -9),
        (ExitStatus.from_wstatus(0x0028), False, -40),
        (ExitStatus.unknown(), False, None),
    ],
)
def test_success_and_returncode(status: ExitStatus, success: bool, returncode: int | None) -> None:
    """Success is code 0 and nothing else; returncode is the number that subprocess has."""
    assert status.success is success
    assert status.returncode == returncode


def test_an_unknown_end_says_so() -> None:
    """Where the kernel gives no status, neither code nor signal is made up."""
    status = ExitStatus.unknown()
    assert (status.code, status.signal, status.reason) == (None, None, "unknown")
    assert str(status) == "ended in an unknown way"


def test_a_reason_of_the_librarys_own_is_shown() -> None:
    """A kill that the library made says why."""
    status = ExitStatus.from_wstatus(9).because("deadline")
    assert str(status) == "killed by SIGKILL (deadline)"


@pytest.mark.parametrize("word", [0x0000, 0x0300, 0x0009])
def test_a_status_is_neither_true_nor_false(word: int) -> None:
    """`if status:` is an error that names .success, whatever the status is."""
    with pytest.raises(TypeError, match=r"\.success"):
        bool(ExitStatus.from_wstatus(word))


def test_what_was_used_has_no_part_in_a_comparison() -> None:
    """Two children that ended alike are equal, whatever time they took."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    status = ExitStatus.from_wstatus(0x0300, usage)
    assert status.rusage == usage
    assert status == ExitStatus.from_wstatus(0x0300)
    assert hash(status) == hash(ExitStatus.from_wstatus(0x0300))


def test_a_status_is_a_value() -> None:
    """It cannot be changed, and a pickle or a copy of it is equal and keeps the usage."""
    status = ExitStatus.from_wstatus(0x008B, resource.getrusage(resource.RUSAGE_SELF))
    with pytest.raises(AttributeError):
        status.code = 0  # type: ignore[misc]
    for again in (pickle.loads(pickle.dumps(status)), copy.deepcopy(status)):
        assert again == status
        assert again.rusage == status.rusage

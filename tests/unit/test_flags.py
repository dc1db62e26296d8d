import copy
import pickle
import re
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramet.flags import FACTS, CloneFlag, UnknownFlagError, signal_name

from .. import flag_values

KERNEL_HEADER = Path("/usr/include/linux/sched.h")

VALUES = {name: value for name, value in vars(flag_values).items() if name.isupper()}

any_value = st.integers(0, (1 << 70) - 1)
single_flags = st.sampled_from([value for name, value in VALUES.items() if name != "CSIGNAL"])
few_flags = st.builds(
    lambda flags, exit_signal: sum(set(flags)) | exit_signal,
    st.lists(single_flags, max_size=5),
    st.integers(0, 0x7F),
)


def test_the_34_flags_have_the_kernels_values() -> None:
    """Every flag is there, with the value in the kernel's header, and no other flag is."""
    assert {name: int(flag) for name, flag in CloneFlag.__members__.items()} == VALUES
    assert len(VALUES) == 34


@pytest.mark.skipif(not KERNEL_HEADER.exists(), reason="the kernel's headers are not installed")
def test_values_are_those_of_this_machines_header() -> None:
    """Each flag that this machine's <linux/sched.h> defines has the same value here."""
    defined = re.findall(
        r"^#define\s+(CLONE_(?!ARGS_)\w+|CSIGNAL)\s+\(?(0x[0-9a-fA-F]+|1ULL\s*<<\s*\d+|1U?\s*<<\s*\d+)",
        KERNEL_HEADER.read_text(),
        re.MULTILINE,
    )
    assert len(defined) > 20
    for name, written in defined:
        base, _, shift = re.sub(r"[UL\s]", "", written).partition("<<")
        value = int(base, 0) << int(shift or 0)
        assert CloneFlag[name.removeprefix("CLONE_")] == value, name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0x100, "CLONE_VM"),
        (0x311, "CLONE_VM|CLONE_FS|SIGCHLD"),
        (0x11, "SIGCHLD"),
        (0x01, "SIGHUP"),
        (0x1F, "SIGSYS"),
        (0x20, "SIGRT_0"),
        (0x40, "SIGRT_32"),
        (0x41, "0x41"),
        (0x7F, "0x7f"),
        (0x80, "CLONE_NEWTIME"),
        (0x91, "CLONE_NEWTIME|SIGCHLD"),
        (0xFF, "CSIGNAL"),
        (0x1FF, "CLONE_VM|CSIGNAL"),
        (0x1000, "CLONE_PIDFD"),
        (0x2000000, "CLONE_NEWCGROUP"),
        (0x2000000000, "CLONE_EMPTY_MNTNS"),
        (0x1_0000_0000_0000_0000, "CLONE_STOPPED"),
        (0x2_0000_0000_0000_0000, "CLONE_PID"),
        (0xC0_0000_0111, "CLONE_VM|0xc000000000|SIGCHLD"),
        (0x4_0000_0000_0000_0000, "0x40000000000000000"),
    ],
)
def test_text_reads_like_the_kernels_names(value: int, text: str) -> None:
    """str() gives names by value, then unknown bits as one number, then the exit signal."""
    assert str(CloneFlag(value)) == text
    assert CloneFlag.parse(text) == value


def test_repr_shows_names_and_value() -> None:
    """repr() has the text and the number, so that either can be looked up."""
    assert repr(CloneFlag.VM | CloneFlag.FS | 17) == "<CloneFlag CLONE_VM|CLONE_FS|SIGCHLD: 0x311>"
    assert repr(CloneFlag(0)) == "<CloneFlag 0: 0x0>"


def test_formatting_gives_text_unless_a_number_is_asked_for() -> None:
    """An f-string shows the names, and the presentation types of int the number."""
    flags = CloneFlag(0x311)
    assert f"{flags}" == "CLONE_VM|CLONE_FS|SIGCHLD"
    assert f"{flags:>28s}" == "   CLONE_VM|CLONE_FS|SIGCHLD"
    assert f"{flags:28}|" == "CLONE_VM|CLONE_FS|SIGCHLD   |"
    assert f"{flags:#x}" == "0x311"
    assert f"{flags:d}" == "785"


@given(any_value | few_flags)
def test_what_is_written_reads_back(value: int) -> None:
    """parse() undoes str(), for known and unknown bits and for every signal."""
    flags = CloneFlag(value)
    assert CloneFlag.parse(str(flags)) == flags
    assert CloneFlag.parse(str(flags).lower()) == flags
    assert CloneFlag.parse(str(flags).replace("CLONE_", "").replace("|", " | ")) == flags


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("CLONE_VM|CLONE_FS|SIGCHLD", 0x311),
        ("VM|FS|SIGCHLD", 0x311),
        ("vm | clone_fs | sigchld", 0x311),
        ("  CLONE_VM  ", 0x100),
        ("0x311", 0x311),
        ("785", 785),
        ("CLONE_VM|0x200|17", 0x311),
        ("CLONE_STOPPED", 0x1_0000_0000_0000_0000),
        ("CLONE_PID", 0x2_0000_0000_0000_0000),
        ("SIGRT_2", 34),
        ("SIGRTMIN+2", 34),
        ("SIGRTMIN", 32),
        ("SIGCLD", 17),
        ("SIGPOLL", 29),
        ("0x4000000000 /* CLONE_??? */", 0x40_0000_0000),
        ("CLONE_VM|0x4000000000", 0x40_0000_0100),
        (
            (
                "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, "
                "child_tidptr=0x7f0e4a5ada10) = 4711"
            ),
            0x1200011,
        ),
        ("[pid  4711] clone(child_stack=0, flags=SIGCHLD <unfinished ...>", 0x11),
        ("clone(child_stack=0x7f0000001000, flags=CLONE_VM|CLONE_VFORK) = 5", 0x4100),
        (
            (
                "clone3({flags=CLONE_VM|CLONE_VFORK|CLONE_CLEAR_SIGHAND, exit_signal=SIGCHLD, "
                "stack=0x7f4e6d0f3000, stack_size=0x9000}, 88) = 123"
            ),
            0x1_0000_4111,
        ),
        (
            (
                "12:00:01.5 clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|"
                "CLONE_SYSVSEM|CLONE_SETTLS|CLONE_PARENT_SETTID|CLONE_CHILD_CLEARTID, "
                "child_tid=0x7f4e6d0f3990, parent_tid=0x7f4e6d0f3990, exit_signal=0, "
                "stack=0x7f4e6c8f3000, stack_size=0x7fff80, tls=0x7f4e6d0f36c0} "
                "=> {parent_tid=[4712]}, 88) = 4712"
            ),
            0x3D0F00,
        ),
        ("clone3({flags=0, exit_signal=SIGRT_1}, 64) = -1 EINVAL (Invalid argument)", 0x21),
        ("clone3({flags=0x4000000000 /* CLONE_??? */, exit_signal=0}, 88) = -1", 0x40_0000_0000),
        ("unshare(CLONE_NEWNS|CLONE_FS) = -1 EPERM (Operation not permitted)", 0x20200),
        ("unshare(0) = 0", 0),
        ("CLONE_VM+CLONE_FS", 0x300),
        ("VM/FS", 0x300),
        ("VM + SIGRTMIN+3", 0x123),
    ],
)
def test_parse_reads_what_people_and_strace_write(text: str, value: int) -> None:
    """Names in any case, numbers, comments and whole lines of strace are understood."""
    assert CloneFlag.parse(text) == value


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("CLONE_NEWUSR", "CLONE_NEWUSER"),
        ("vmm", "CLONE_VM"),
        ("CLONE_VM|SIGCHILD", "SIGCHLD"),
        ("CLONE_VM|CLONE_SIGHND", "CLONE_SIGHAND"),
        ("C_SIGNAL", "CSIGNAL"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(text: str, nearest: str) -> None:
    """A name that does not exist is an error which says the one that was probably meant."""
    with pytest.raises(UnknownFlagError, match=rf"nearest known name is {nearest}$"):
        CloneFlag.parse(text)


@pytest.mark.parametrize("text", ["", "|", "CLONE_VM|", "quux", "0xzz", "017", "-1", "mmap(NULL)"])
def test_what_is_no_flag_is_refused(text: str) -> None:
    """Text that names no flags is a ValueError, never a silent zero."""
    with pytest.raises(ValueError, match=r"no clone flag|expected a number"):
        CloneFlag.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "SIGCHLD|SIGUSR1",
        "CLONE_VM|0x11|SIGCHLD",
        "CSIGNAL|SIGCHLD",
        "clone3({flags=0x11, exit_signal=SIGCHLD}, 88) = -1 EINVAL (Invalid argument)",
    ],
)
def test_two_exit_signals_are_refused(text: str) -> None:
    """Two signals would be mixed to a third one, so parse() takes at most one."""
    with pytest.raises(ValueError, match="expected one exit signal, got another"):
        CloneFlag.parse(text)


def test_a_signal_that_is_too_large_does_not_turn_into_flags() -> None:
    """exit_signal=0x100 in a clone3 line is no CLONE_VM."""
    with pytest.raises(ValueError, match="invalid exit_signal: expected a signal"):
        CloneFlag.parse("clone3({flags=0, exit_signal=0x100}, 88) = -1 EINVAL (Invalid argument)")


def test_operations_keep_the_type() -> None:
    """Flags joined with plain numbers and signals are still flags."""
    for flags in (
        CloneFlag.VM | 0x200,
        0x200 | CloneFlag.VM,
        CloneFlag.VM | signal.SIGCHLD,
        CloneFlag(0x311) & 0xFF,
        CloneFlag(0x311) ^ 0x100,
        CloneFlag(0x311) & ~CloneFlag.VM,
        ~CloneFlag.VM,
    ):
        assert type(flags) is CloneFlag
    assert CloneFlag.VM | signal.SIGCHLD == 0x111


@given(st.integers(0, (1 << 64) - 1))
def test_removing_a_flag_keeps_every_other_bit(value: int) -> None:
    """`& ~flag` clears that flag only: bits that this version does not know stay."""
    assert CloneFlag(value) & ~CloneFlag.FS == value & ~0x200


@given(any_value)
def test_unknown_bits_pass_through(value: int) -> None:
    """Every number is a CloneFlag of just that value, which equals and hashes like the number."""
    assert int(CloneFlag(value)) == value
    assert hash(CloneFlag(value)) == hash(value)


@given(any_value | few_flags, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_pickles_and_copies_are_the_same_flags(value: int, protocol: int) -> None:
    """Combinations survive pickle and copy, unknown bits and signal included."""
    flags = CloneFlag(value)
    for again in (
        pickle.loads(pickle.dumps(flags, protocol)),
        copy.copy(flags),
        copy.deepcopy(flags),
    ):
        assert type(again) is CloneFlag
        assert int(again) == value


def test_iteration_gives_the_known_flags() -> None:
    """Iterating gives the single flags in order of value; signal and unknown bits are none."""
    flags = CloneFlag.FS | CloneFlag.VM | 17 | 1 << 50
    assert list(flags) == [CloneFlag.VM, CloneFlag.FS]
    assert len(flags) == 2
    assert list(CloneFlag(0)) == []
    assert len(list(CloneFlag)) == 33  # all but CSIGNAL, which is a mask
    assert CloneFlag.VM in flags
    assert CloneFlag.FILES not in flags


def test_signal_and_flags_come_apart() -> None:
    """exit_signal has the low seven bits and without_signal the rest, NEWTIME included."""
    flags = CloneFlag(0x80 | 0x100 | 17)
    assert flags.exit_signal == 17
    assert flags.without_signal == 0x180
    assert type(flags.without_signal) is CloneFlag
    assert CloneFlag.VM.exit_signal == 0


def test_signals_have_the_kernels_names() -> None:
    """The standard signals' numbers are those of Linux on x86 and arm."""
    assert [signal_name(number) for number in (1, 2, 9, 10, 11, 12, 15, 16, 17, 19, 29, 30)] == [
        "SIGHUP",
        "SIGINT",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGSTOP",
        "SIGIO",
        "SIGPWR",
    ]
    assert [signal_name(number) for number in (-1, 0, 65, 128)] == ["-0x1", "0x0", "0x41", "0x80"]


@pytest.mark.parametrize("name", VALUES)
def test_every_flag_has_its_facts(name: str) -> None:
    """Each flag tells the kernel's name, since when, what it does, and where that stands."""
    facts = CloneFlag[name].facts
    assert facts.name == ("CSIGNAL" if name == "CSIGNAL" else f"CLONE_{name}")
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?", facts.since)
    assert facts.shared_when_set
    assert facts.when_clear
    assert re.search(r"\(.+\)$", facts.source)
    assert facts.calls <= {"clone", "clone3", "unshare", "library"}


def test_there_is_one_row_for_each_flag() -> None:
    """The table has the 34 flags and nothing else."""
    assert sorted(row.name.removeprefix("CLONE_") for row in FACTS) == sorted(VALUES)


def test_calls_take_the_flags_that_the_kernel_says() -> None:
    """clone, clone3 and unshare each take just the flags that their own checks let through."""
    taken = {
        call: sum({row.value for row in FACTS if call in row.calls})
        for call in ("clone", "clone3", "unshare")
    }
    assert taken["clone"] == 0xFFFFFFFF
    assert taken["clone3"] == 0x3F_FFBF_FF80
    assert taken["unshare"] == 0x7E07_0F80


def test_the_flags_that_the_kernel_dropped() -> None:
    """STOPPED and PID tell the kernel's old bit, which belongs to another flag today."""
    stopped, pid = CloneFlag.STOPPED.facts, CloneFlag.PID.facts
    assert (stopped.value, stopped.until, stopped.calls) == (
        0x2000000,
        "2.6.38",
        frozenset({"library"}),
    )
    assert (pid.value, pid.until, pid.calls) == (0x1000, "2.5.16", frozenset())
    assert CloneFlag.NEWCGROUP.facts.until is None


@pytest.mark.parametrize("value", [0, 0x300, 0x111, 1 << 50])
def test_combinations_have_no_facts(value: int) -> None:
    """Facts of something that is not one known flag are an error, not a guess."""
    with pytest.raises(ValueError, match="expected a single known one"):
        _ = CloneFlag(value).facts

"""What a child may write, and what its caller believes of it."""

import contextlib
import ctypes
import datetime as dt
import decimal
import faulthandler
import gc
import mmap
import os
import resource
import signal
import struct
import threading
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

import ramet
from ramet import CloneFlag as F
from ramet._process import data_codec, result_layout
from ramet._process.result_channel import ResultChannel
from ramet.errors import ChildDied, RemoteError, ResultError

from ...constants import NOBODY, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS
from ...flag_values import NEWNET, NEWUSER
from ...seccomp import allow_all

_DOFORK = 11  # MADV_DOFORK

libc = ctypes.CDLL(None, use_errno=True)


def demand(answer: int) -> None:
    if answer:
        raise OSError(ctypes.get_errno(), "libc said no")


class Payload:
    """Makes a directory in whatever process loads its pickle."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.place,)


def own_channel() -> ResultChannel:
    """In the child: where its outcome goes, as an attacker finds it who has all of its memory."""
    maps = Path("/proc/self/maps").read_text()
    (found,) = [
        channel
        for channel in gc.get_objects()
        if isinstance(channel, ResultChannel) and f"{address_of(channel):x}-" in maps
    ]
    return found


def address_of(channel: ResultChannel) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(channel))


def forge(place: Path) -> NoReturn:
    """In the child: write a pickle past all that the library would have done, and end."""
    result_layout.put_value(memoryview(own_channel()), Payload(place))
    os._exit(0)


# ---- how a child gives up some of its rights


def another_user() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def another_group() -> None:
    os.setresgid(NOBODY, NOBODY, NOBODY)


def no_groups() -> None:
    os.setgroups([7])


def fewer_capabilities() -> None:
    demand(libc.prctl(PR_CAPBSET_DROP, 21, 0, 0, 0))


def no_new_privileges() -> None:
    demand(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def another_user_namespace() -> None:
    demand(libc.unshare(NEWUSER))


BY_ANYBODY = [no_new_privileges, allow_all, another_user_namespace]
BY_ROOT = [another_user, another_group, no_groups, fewer_capabilities]


@pytest.mark.parametrize("give_up", BY_ANYBODY)
def test_who_gave_up_rights_cannot_send_a_pickle(
    give_up: Callable[[], None], tmp_path: Path, nothing_left: object
) -> None:
    """What such a child forges is not loaded, and the error says why not."""

    def attack() -> NoReturn:
        give_up()
        forge(tmp_path / "ran")

    with pytest.raises(ResultError, match=r"less trusted than its caller \(its .* caller"):
        ramet.clone(attack).result()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("give_up", BY_ROOT)
def test_who_roots_child_became_cannot_send_a_pickle(
    give_up: Callable[[], None], root: None, tmp_path: Path, nothing_left: object
) -> None:
    """Ids, groups and capabilities that root's child gave up count, each by itself."""
    test_who_gave_up_rights_cannot_send_a_pickle(give_up, tmp_path, nothing_left)


@pytest.mark.parametrize("flags", [F.NEWUSER, F.NEWUSER | F.NEWNET, F.NEWUSER | F.NEWPID])
def test_who_is_in_namespaces_of_its_own_cannot_send_a_pickle(
    flags: F, tmp_path: Path, nothing_left: object
) -> None:
    """A child in other namespaces sends data, and its pickle is not loaded."""
    with pytest.raises(ResultError, match="trusted=True"):
        ramet.clone(forge, tmp_path / "ran", flags=flags).result()
    assert not (tmp_path / "ran").exists()


def test_an_option_that_changes_the_user_counts(root: None, tmp_path: Path) -> None:
    """It is the same whether the function or an option gives up rights."""
    tmp_path.chmod(0o777)
    child = ramet.clone(forge, tmp_path / "ran", user=NOBODY, group=NOBODY, extra_groups=[])
    with pytest.raises(ResultError, match="its CapEff is '0000000000000000'"):
        child.result()
    assert not (tmp_path / "ran").exists()


def test_who_executed_a_program_cannot_send_a_pickle(tmp_path: Path) -> None:
    """A program with set-user-ID could have given it any rights."""

    def attack() -> NoReturn:
        result_layout.put_value(memoryview(own_channel()), Payload(tmp_path / "ran"))
        os.execv("/bin/true", ["true"])

    with pytest.raises(ResultError, match="it has executed a program"):
        ramet.clone(attack).result()
    assert not (tmp_path / "ran").exists()


def test_the_callers_word_counts(tmp_path: Path, nothing_left: object) -> None:
    """trusted=False refuses the pickle of a child with all rights, trusted=True loads any."""
    with pytest.raises(ResultError, match="the child was made with trusted=False"):
        ramet.clone(forge, tmp_path / "ran", trusted=False).result()
    assert not (tmp_path / "ran").exists()

    def attack() -> NoReturn:
        no_new_privileges()
        forge(tmp_path / "ran")

    assert ramet.clone(attack, trusted=True).result() is None
    assert (tmp_path / "ran").exists()


def test_of_a_trusted_child_nobody_asks_what_it_may_do(nothing_left: object) -> None:
    """Its rights are told in files of /proc: with trusted=True none is read, as for a number."""

    def reads_for(value: object, trusted: bool | None) -> int:
        child = ramet.clone(lambda: value, trusted=trusted)
        before = reads()
        assert child.result() == value
        return reads() - before

    def reads() -> int:  # system calls of this process
        _, counted = Path("/proc/self/io").read_text().split("syscr: ")
        return int(counted.split()[0])

    for trusted in (True, False, None):  # with what is read once
        reads_for({"a": {1}}, trusted)
    for_a_number = reads_for(3, trusted=None)
    assert reads_for({"a": {1}}, trusted=None) > for_a_number
    assert reads_for({"a": {1}}, trusted=True) == for_a_number
    assert reads_for({"a": {1}}, trusted=False) == for_a_number


def test_a_plain_child_may_send_anything(tmp_path: Path, nothing_left: object) -> None:
    """A child with the caller's rights is believed: also its objects, and its exceptions."""
    assert ramet.clone(Path, tmp_path).result() == tmp_path
    assert ramet.clone(Path, tmp_path, flags=F.FS | F.FILES).result() == tmp_path
    with pytest.raises(KeyError) as caught:
        ramet.clone(dict[str, int]().__getitem__, "missing").result()
    assert caught.value.args == ("missing",)


def test_in_shared_memory_there_is_nobody_to_distrust() -> None:
    """Who shares the memory is trusted with it, and a word to the contrary is refused."""
    for flags in (F.VM, F.VM | F.VFORK):
        with pytest.raises(ValueError, match="write anywhere in the memory"):
            ramet.clone(print, flags=flags, trusted=False)
        assert ramet.clone(os.getppid, flags=flags, trusted=True).result() == os.getpid()


DATA: list[Any] = [
    *(None, True, 0, -(1 << 80), 1 << 9000, 0.1, float("inf"), -0.0, 1j, complex("-0-0j")),
    *("", "text", "\udcff \ud83d\ude00 \U0001f600", "\0", b"", b"bytes", bytes(1000), bytearray(9)),
    *([], (), {}, set(), frozenset(), [[], ()], (1, [2.0]), {"a": 1, "$b": None}, {"$int": "2"}),
    *({1: 2, "1": (3,), (4, 5): {6}, None: b"7", frozenset({8}): [9]}, {"": {"": {}}}),
    *([1 << 2048, 1], [True, 1, 1.0], [None, "x"], {"x": [1, {"y": (2,)}]}),
    *(dt.date(1, 1, 1), dt.time(23, 59, 59, 999999), dt.timedelta(-1, 2, 3)),
    dt.datetime(2026, 11, 1, 1, 30, fold=1),
    dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(minutes=-90))),
    *(decimal.Decimal("-0.10"), decimal.Decimal("NaN"), array("d", [0.5, -1]), array("q")),
]


@pytest.mark.parametrize("value", DATA, ids=[f"{n}-{type(v).__name__}" for n, v in enumerate(DATA)])
def test_data_comes_from_anybody(value: object, nothing_left: object) -> None:
    """What is data arrives as the same value of the same type."""
    arrived = ramet.clone(returned, value, trusted=False).result()
    assert type(arrived) is type(value)
    assert repr(arrived) == repr(value)


def returned(value: object) -> object:
    return value


def test_arrays_come_from_anybody(nothing_left: object) -> None:
    """Arrays of numpy arrive with type and shape, and as memory of the caller's own."""
    numpy = pytest.importorskip("numpy")
    values: list[Any] = [
        *(numpy.arange(6, dtype=">i4").reshape(2, 3), numpy.zeros((0, 4)), numpy.float32(0.5)),
        *(numpy.array("é"), numpy.array([True, False]), numpy.array(["2026-01-01"], "M8[D]")),
        *(numpy.arange(6).reshape(2, 3).T, numpy.float64(3), numpy.array(5)),
    ]
    arrived: Any = ramet.clone(returned, values, trusted=False).result()
    for value, other in zip(values, arrived, strict=True):
        assert type(other) is type(value)
        assert other.dtype == value.dtype
        assert numpy.array_equal(other, value)
    arrived[0][0, 0] = 7
    for refused in (numpy.array([print]), numpy.zeros(2, "i4,f8"), numpy.ma.array([1])):
        with pytest.raises(ResultError, match="not data"):
            ramet.clone(returned, refused, trusted=False).result()


def test_a_large_buffer_comes_from_anybody(nothing_left: object) -> None:
    """Buffers beside the text arrive whole, each where it belongs."""
    value = [bytes(range(256)) * 9999, {"b": bytearray(b"x" * 77)}, b"y" * 65]
    assert ramet.clone(returned, value, trusted=False).result() == value


class Text(str):
    """Text with a class of its own."""

    __slots__ = ()


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [Text("x"), signal.SIGTERM, [{"a": object}], Path("x"), deep(1000), dt.UTC, range(3)],
)
def test_what_is_no_data_says_so(value: object) -> None:
    """A subclass, an object and what is too deep are refused, with the remedy."""
    with pytest.raises(ResultError, match=r"(not data|levels).*trusted=True"):
        ramet.clone(returned, value, trusted=False).result()


class OurError(Exception):
    """One that an import would find."""


def test_an_exception_is_told_of(nothing_left: object) -> None:
    """Of an exception come the type's name, the message, and where it was raised: no object."""

    def fail() -> NoReturn:
        raise OurError("it \x1b[2J failed")

    child = ramet.clone(fail, trusted=False)
    with pytest.raises(RemoteError, match="OurError: it ") as caught:
        child.result()
    assert caught.value.type_name == f"{__name__}.OurError"
    assert caught.value.message == r"it \x1b[2J failed"
    assert "in fail\n" in str(caught.value.__cause__)
    assert "\x1b" not in str(caught.value.__cause__)
    assert isinstance(child.exception(), ResultError)

    with pytest.raises(RemoteError) as caught:
        ramet.clone(int, "x", trusted=False).result()
    assert caught.value.type_name == "ValueError"


def test_a_step_that_failed_is_told_by_any_user(root: None) -> None:
    """A child that fails after it became another user: the SpawnError comes all the same."""
    child = ramet.clone(
        print, user=NOBODY, group=NOBODY, extra_groups=[], ambient_caps=["CHOWN"], permitted_caps=[]
    )
    with pytest.raises(ramet.SpawnError) as caught:
        child.result()
    assert caught.value.step == "prctl(PR_CAP_AMBIENT)"


def test_a_step_that_failed_is_a_result_error_of_who_is_not_trusted() -> None:
    """The function may have said so; no errno makes it an error that was not promised."""
    for options in ({"trusted": False}, {"flags": ramet.CloneFlag.NEWUSER}):
        with pytest.raises(ResultError, match="'chdir' failed on '/missing'") as caught:
            ramet.clone(print, cwd="/missing", **options).result()
        assert isinstance(caught.value, ramet.SpawnError)
        assert not isinstance(caught.value, FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        ramet.clone(print, cwd="/missing").result()


def test_who_was_reaped_unseen_sends_data(nothing_left: object) -> None:
    """Where SIGCHLD is ignored the kernel reaps at once, and nobody can ask it any more."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert ramet.clone(lambda: [1, (2, {3})]).result() == [1, (2, {3})]
        with pytest.raises(ResultError, match=r"pathlib.*trusted=True"):
            ramet.clone(Path, "x").result()
        assert ramet.clone(Path, "x", trusted=True).result() == Path("x")
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_full_table_of_descriptors_is_no_reason_for_distrust(nothing_left: object) -> None:
    """The caller has no descriptor left to ask the kernel with, and asks all the same."""
    ramet.clone(Path, "x").result()  # imports what it needs
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(64, limits[0]), limits[1]))
    full: list[int] = []
    try:
        child = ramet.clone(Path, "x")
        with contextlib.suppress(OSError):
            while True:
                full.append(os.dup(1))
        assert child.result() == Path("x")
    finally:
        for descriptor in full:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


# ---- who writes where


def test_only_the_child_delivers(nothing_left: object) -> None:
    """A fork made in the function, which returns from it as well, writes no result."""

    def twice() -> str:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            return "grandchild"
        os.close(write)
        os.read(read, 1)  # until the grandchild has delivered, or has not
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        return "child"

    def leave_first() -> str:
        if os.fork():
            os._exit(3)
        return "grandchild"

    for flags in (F(0), F.FS):
        assert ramet.clone(twice, flags=flags).result() == "child"
        with ramet.Subreaper():
            child = ramet.clone(leave_first, flags=flags)
            child.wait()
            assert os.waitstatus_to_exitcode(os.waitpid(-1, 0)[1]) == 0  # it has delivered nothing
            with pytest.raises(ChildDied, match="exited with 3"):
                child.result()


def crash_quietly() -> None:
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def test_a_child_of_the_child_has_no_part_in_its_result(nothing_left: object) -> None:
    """What has rights that its parent lacks, or lacks some, cannot write for it."""

    def try_it() -> int:
        channel = own_channel()
        memoryview(channel)[0] = 0
        pid = os.fork()
        if pid == 0:
            crash_quietly()
            memoryview(channel)[0] = 1
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert ramet.clone(try_it).result() == -signal.SIGSEGV


def test_a_sibling_that_is_made_meanwhile_has_no_part_in_it() -> None:
    """A child made while another's clone call is under way cannot write for that one."""
    others = ResultChannel()
    own = ResultChannel()

    def touch() -> None:
        crash_quietly()
        memoryview(others)[0] = 1

    pid = os.fork()
    if pid == 0:
        os._exit(own.deliver(touch, ()))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGSEGV


def test_what_was_not_written_costs_no_memory(nothing_left: object) -> None:
    """A child of few bytes cannot make its caller use many."""

    def claim() -> NoReturn:
        room = memoryview(own_channel())
        struct.pack_into("=QQQ", room, 0, 0, len(room) // 2, result_layout.DATA)
        os._exit(0)

    child = ramet.clone(claim, trusted=False)
    child.wait()
    before = resident()
    with pytest.raises(ResultError, match="not written"):
        child.result()
    assert resident() - before < 16 << 20


def resident() -> int:
    pages = Path("/proc/self/statm").read_text().split()
    return (int(pages[1]) + int(pages[2])) * mmap.PAGESIZE


def test_somebody_who_goes_on_writing_is_read_safely() -> None:
    """While a process that the child left behind writes at random, there is a value or a ResultError."""
    channel = ResultChannel(1 << 14)
    value = ["text" * 9, (1, {2: b"x" * 300}), 0.5]
    text, buffers = data_codec.encoded(value)
    result_layout.write(memoryview(channel), result_layout.DATA, text, buffers)
    assert channel.take() == (result_layout.VALUE, value)
    data = bytes(memoryview(channel))
    channel.share_with_others()
    pid = os.fork()
    if pid == 0:
        scribble(memoryview(channel), data)
    try:
        kinds = {kind_of(channel) for _ in range(20_000)}
        while not kinds >= {
            "value",
            "ResultError",
        }:  # on a busy machine it may have had no turn yet
            kinds.add(kind_of(channel))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert kinds >= {"value", "ResultError"}


def kind_of(channel: ResultChannel) -> str:
    kind, outcome = channel.take()
    if kind == result_layout.RAISED:
        assert isinstance(outcome, ResultError)
        return "ResultError"
    return "value" if kind == result_layout.VALUE else "nothing"


def scribble(room: memoryview, data: bytes) -> NoReturn:
    import random

    length = len(data.rstrip(b"\0"))
    while True:
        room[0:24] = struct.pack("=QQQ", random.choice([0, 1, 2]), length, random.choice(range(8)))
        place = random.randrange(length)
        room[place] = random.randrange(256)
        if random.random() < 0.1:
            room[: len(data)] = data


def test_a_forked_child_that_undoes_the_protection_is_read_as_data(tmp_path: Path) -> None:
    """Whichever task writes the pickle, what counts is that the child had given up rights."""

    def attack() -> NoReturn:
        channel = own_channel()
        demand(libc.madvise(ctypes.c_void_p(address_of(channel)), mmap.PAGESIZE, _DOFORK))
        no_new_privileges()
        pid = os.fork()
        if pid == 0:
            result_layout.put_value(memoryview(channel), Payload(tmp_path / "ran"))
            os._exit(0)
        os.waitpid(pid, 0)
        os._exit(0)

    with pytest.raises(ResultError, match="NoNewPrivs"):
        ramet.clone(attack).result()
    assert not (tmp_path / "ran").exists()


class OfItsOwnError(Exception):
    """One that its parent would load if it came as a pickle."""


def another_network() -> None:
    demand(libc.unshare(NEWNET))


@pytest.mark.parametrize("flags", [F(0), F.FS])
def test_a_function_that_leaves_a_namespace_sends_data(
    flags: F, root: None, nothing_left: object
) -> None:
    """Who is honest sends only data also when the kernel will not tell where it has been."""

    def elsewhere(value: object) -> object:
        another_network()
        return value

    def fails_elsewhere() -> NoReturn:
        another_network()
        raise OfItsOwnError("there")

    assert ramet.clone(elsewhere, {"a": (1, 2)}, flags=flags).result() == {"a": (1, 2)}
    with pytest.raises(ResultError, match=r"pathlib.*another namespace.*trusted=True"):
        ramet.clone(elsewhere, Path("x"), flags=flags).result()
    with pytest.raises(RemoteError) as caught:
        ramet.clone(fails_elsewhere, flags=flags).result()
    assert caught.value.type_name.endswith("OfItsOwnError")
    assert ramet.clone(elsewhere, Path("x"), flags=flags, trusted=True).result() == Path("x")


def test_a_caller_that_leaves_a_namespace_is_believed_by_itself(root: None) -> None:
    """What counts is where the function began, also of a thread that is elsewhere than its process."""
    results: list[object] = []

    def leave_and_clone() -> None:
        another_network()
        results.extend(ramet.clone(Path, "x", flags=flags).result() for flags in (F(0), F.FS))

    ramet.clone(Path, "x").result()
    thread = threading.Thread(target=leave_and_clone)
    thread.start()
    thread.join()
    assert results == [Path("x"), Path("x")]


def test_a_function_that_lost_sight_of_its_namespaces_may_send_anything(
    root: None, tmp_path: Path
) -> None:
    """A chroot takes /proc away, but no right."""

    def shut_in() -> Path:
        os.chroot(tmp_path)
        return Path("x")

    assert ramet.clone(shut_in).result() == Path("x")

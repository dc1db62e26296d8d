import ctypes
import errno
import math
import mmap
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import CloneError, lowlevel
from ramet import CloneFlag as F
from ramet.lowlevel import CloneArgs, Stack, TidWord

from ...constants import STACK_BYTES, repeated

PAGE = mmap.PAGESIZE

# Nothing here reaches a child: each call must be an error, and so the function never runs.
Call = Callable[[], object]


def never(*args: object) -> int:
    os.write(2, b"a child was made of a bad request\n")
    return 1


def refused(call: Call, error: type[BaseException], words: str) -> BaseException:
    """The one error that a call must raise, with these words in it."""
    with pytest.raises(error, match=words) as caught:
        call()
    assert type(caught.value) is error
    return caught.value


# ---- combinations of flags

RULES: list[tuple[F, str, str]] = [
    (F.THREAD, "D3", "CLONE_THREAD needs CLONE_SIGHAND"),
    (F.THREAD | F.VM, "D3", "CLONE_THREAD needs CLONE_SIGHAND"),
    (F.SIGHAND, "D4", "CLONE_SIGHAND needs CLONE_VM"),
    (F.SIGHAND | F.THREAD, "D4", "CLONE_SIGHAND needs CLONE_VM"),
    (F.NEWNS | F.FS, "D1", "CLONE_NEWNS excludes CLONE_FS"),
    (F.NEWUSER | F.FS, "D2", "CLONE_NEWUSER excludes CLONE_FS"),
    (F.VM | F.SIGHAND | F.THREAD | F.NEWUSER, "D6", "CLONE_THREAD excludes CLONE_NEWUSER"),
    (F.VM | F.SIGHAND | F.THREAD | F.NEWPID, "D6", "CLONE_THREAD excludes CLONE_NEWPID"),
    (F.VM | F.SIGHAND | F.CLEAR_SIGHAND, "B3", "CLEAR_SIGHAND excludes CLONE_SIGHAND"),
    (F.NEWIPC | F.SYSVSEM, "J2", "CLONE_NEWIPC excludes CLONE_SYSVSEM"),
    (F.STOPPED | F.VFORK, "ramet-stopped-vfork", "excludes CLONE_VFORK"),
    (F.STOPPED | F.VM | F.SIGHAND | F.THREAD, "ramet-stopped-thread", "stops the whole group"),
    (F.PID, "ramet-pid", "gone since Linux 2.5.16"),
]


@pytest.mark.parametrize(("flags", "rule", "words"), RULES, ids=lambda value: str(value)[:60])
def test_a_broken_rule_is_named(flags: F, rule: str, words: str, nothing_left: object) -> None:
    """A combination that no kernel grants is an EINVAL with the rule and its reason."""
    error = refused(lambda: ramet.clone(never, flags=flags), CloneError, words)
    assert isinstance(error, CloneError)
    assert error.errno == errno.EINVAL
    assert rule in {broken.id for broken in error.rules}
    assert f"rule {rule}" in str(error)


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        (F.THREAD, "D3"),
        (F.SIGHAND, "D4"),
        (F.NEWNS | F.FS, "D1"),
        (F.NEWUSER | F.FS, "D2"),
        (F.CLEAR_SIGHAND, "ramet-clone3-only"),
        (F.INTO_CGROUP, "ramet-clone3-only"),
    ],
    ids=str,
)
def test_the_low_level_names_the_rule(flags: F, rule: str, nothing_left: object) -> None:
    """The classic wrapper refuses by the same rules, and what its 32 bits cannot hold."""
    stack = Stack(STACK_BYTES)
    refused(
        lambda: lowlevel.clone(never, None, flags | signal.SIGCHLD, stack),
        CloneError,
        f"rule {rule}",
    )
    assert not stack.in_use


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (CloneArgs(flags=F.DETACHED), "rule B2"),
        (CloneArgs(flags=17), "rule B2"),
        (CloneArgs(flags=F.PARENT, exit_signal=17), "rule B4"),
        (CloneArgs(exit_signal=65), "rule A7"),
        (CloneArgs(exit_signal=-1), "rule A7"),
        (CloneArgs(flags=1 << 66), "ramet-64-bits"),
    ],
    ids=["detached", "signal-in-flags", "parent", "65", "-1", "bit-66"],
)
def test_clone3_names_the_rule(args: CloneArgs, words: str, nothing_left: object) -> None:
    """clone3 has rules of its own."""
    refused(lambda: lowlevel.clone3(args, never), CloneError, words)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ramet.clone(never, flags=F.PARENT, exit_signal=17),
        lambda: ramet.clone(never, flags=F.VM | F.SIGHAND | F.THREAD, exit_signal=17),
        lambda: ramet.clone(never, flags=F.PARENT | 17),
        lambda: ramet.vfork(never, flags=F.PARENT | 17),
        lambda: ramet.fork(F.PARENT | 17),
    ],
    ids=["parent", "thread", "parent-in-flags", "vfork", "fork"],
)
def test_an_exit_signal_that_cannot_be_had_is_refused(call: Call, nothing_left: object) -> None:
    """PARENT and THREAD decide about the exit signal, so that none can be asked for."""
    refused(call, CloneError, "rule B4")


def test_an_unprivileged_namespace_says_so(nothing_left: object) -> None:
    """The kernel's EPERM comes through as a CloneError that repeats what was asked for."""
    if os.geteuid() == 0:
        pytest.skip("root may make namespaces")
    error = refused(lambda: ramet.clone(never, flags=F.NEWNET), CloneError, "CLONE_NEWNET")
    assert isinstance(error, CloneError)
    assert error.errno == errno.EPERM


@pytest.mark.parametrize(
    "flags", [F.PARENT_SETTID, F.CHILD_SETTID, F.CHILD_CLEARTID, F.VM | F.SETTLS], ids=str
)
def test_a_flag_that_needs_an_address_is_sent_to_the_low_level(
    flags: F, nothing_left: object
) -> None:
    """clone() and vfork() have no place for words and thread-local blocks, and say who has."""
    refused(lambda: ramet.clone(never, flags=flags), ValueError, "ramet.lowlevel")
    refused(lambda: ramet.vfork(never, flags=flags), ValueError, "ramet.lowlevel")


@pytest.mark.parametrize("flags", ["VM", 1.5, None, b"VM"], ids=repr)
def test_flags_that_are_no_number_are_refused(flags: Any, nothing_left: object) -> None:
    """Flags are a number, and the error stands alone."""
    for call in (
        lambda: ramet.clone(never, flags=flags),
        lambda: ramet.fork(flags),
        lambda: lowlevel.clone(never, None, flags, Stack(STACK_BYTES)),
        lambda: lowlevel.clone3(CloneArgs(flags=flags), never),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert caught.value.__context__ is None or caught.value.__suppress_context__


CODE = ctypes.CDLL(None).abs

NUMBERS: dict[str, Callable[[Any], object]] = {
    "clone flags": lambda yes: ramet.clone(never, flags=yes),
    "vfork flags": lambda yes: ramet.vfork(never, flags=yes),
    "fork flags": ramet.fork,
    "run flags": lambda yes: ramet.run(["true"], flags=yes),
    "exit signal": lambda yes: ramet.clone(never, exit_signal=yes),
    "stack size": lambda yes: ramet.clone(never, flags=F.VM, stack_size=yes),
    "set_tid": lambda yes: ramet.clone(never, set_tid=[yes]),
    "cgroup": lambda yes: ramet.clone(never, cgroup=yes),
    "deadline": lambda yes: ramet.clone(never, timeout=yes),
    "run timeout": lambda yes: ramet.run(["true"], timeout=yes),
    "namespace": lambda yes: ramet.in_namespace(never, net=yes),
    "low level flags": lambda yes: lowlevel.clone(never, None, yes, Stack(STACK_BYTES)),
    "low level stack": lambda yes: lowlevel.clone(never, None, F.VM | 17, yes),
    "low level tls": lambda yes: lowlevel.clone(
        CODE, None, F.VM | F.VFORK | F.SETTLS | 17, tls=yes
    ),
    "low level word": lambda yes: lowlevel.clone(never, None, F.VFORK | F.PIDFD | 17, ptid=yes),
    "kcmp": lambda yes: lowlevel.kcmp(os.getpid(), os.getpid(), yes),
    "relation": lambda yes: ramet.relation(yes, os.getpid()),
    "predict": ramet.predict,
    "explain": ramet.explain,
    "predicted signal": lambda yes: ramet.predict(0, exit_signal=yes),
}


@pytest.mark.parametrize("what", NUMBERS)
def test_a_bool_is_no_number(what: str, nothing_left: object) -> None:
    """As flags, True would be an exit signal of 1, which ends the caller."""
    refused(lambda: NUMBERS[what](True), TypeError, "an int|number|address|pid|seconds")


@pytest.mark.parametrize(
    "field", ["flags", "exit_signal", "stack", "pidfd", "child_tid", "parent_tid", "cgroup"]
)
def test_a_bool_is_no_field_of_clone_args(field: str, nothing_left: object) -> None:
    """No field of the kernel's structure is a truth."""
    fields: dict[str, Any] = {"flags": F.VFORK, field: True}
    if field == "stack":
        fields["stack_size"] = STACK_BYTES
    refused(lambda: lowlevel.clone3(CloneArgs(**fields), never), TypeError, "an int|number|address")


OPTIONS: list[dict[str, Any]] = [
    *(
        {name: True}
        for name in ("umask", "process_group", "nice", "user", "group", "timer_slack_ns")
    ),
    *(
        {name: True}
        for name in ("oom_score_adj", "personality", "securebits", "pdeathsig", "stdin")
    ),
    {"extra_groups": [True]},
    {"cpu_affinity": {True}},
    {"signal_mask": [True]},
    {"ignored_signals": [True]},
    {"rlimits": {"NOFILE": True}},
    {"rlimits": {"NOFILE": (64, True)}},
    {"rlimits": {True: 64}},
    {"scheduler": ("FIFO", True)},
    {"io_priority": ("BE", True)},
    {"fds": {3: True}},
    {"fds": {True: 3}},
    {"pass_fds": [True]},
    {"namespaces": {"net": True}},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_bool_is_no_value_of_an_option(options: Any, nothing_left: object) -> None:
    """Also where the same option with the number 1 has been worked out before."""
    for call in (
        lambda: ramet.clone(never, **options),
        lambda: ramet.vfork(never, **options),
        lambda: ramet.Command(["true"], **options),
    ):
        refused(call, TypeError, f"{next(iter(options))}|signal")


def test_a_bool_is_not_taken_for_a_number_said_before(nothing_left: object) -> None:
    """What was worked out for the same options is remembered, and True is equal to 1."""
    ramet.Command(["true"], nice=1)
    refused(lambda: ramet.Command(["true"], nice=True), TypeError, "expected an int .* got True")


def test_a_bool_is_no_signal(nothing_left: object) -> None:
    """Nor is it one to send."""
    with ramet.clone(signal.pause) as child:
        refused(lambda: child.send_signal(True), TypeError, "invalid signal")
        assert child.poll() is None


# ---- functions


@pytest.mark.parametrize("fn", [None, 5, "fn", b"", [], object()], ids=lambda fn: type(fn).__name__)
def test_what_cannot_be_called_is_refused(fn: Any, nothing_left: object) -> None:
    """Fn must be callable, and the error says what it was."""
    name = type(fn).__name__
    refused(lambda: ramet.clone(fn), TypeError, f"invalid fn: expected a callable, got {name}")
    refused(lambda: ramet.vfork(fn), TypeError, f"invalid fn: expected a callable, got {name}")


@pytest.mark.parametrize("fn", ["fn", b"", [], 1.5, True], ids=lambda fn: type(fn).__name__)
def test_what_is_no_code_is_refused(fn: Any, nothing_left: object) -> None:
    """At the low level fn is a callable or an address."""
    stack = Stack(STACK_BYTES)
    for call in (
        lambda: lowlevel.clone(fn, None, F.VM | 17, stack),
        lambda: lowlevel.clone3(CloneArgs(flags=F.VM, exit_signal=17, stack=stack), fn),
    ):
        refused(call, TypeError, f"got {type(fn).__name__}")


@pytest.mark.parametrize("fn", [0, ctypes.c_void_p(None)], ids=["0", "pointer"])
def test_a_null_pointer_is_refused(fn: Any, nothing_left: object) -> None:
    """The null pointer is no function."""
    refused(
        lambda: lowlevel.clone(fn, None, F.VM | 17, Stack(STACK_BYTES)), ValueError, "null pointer"
    )


@pytest.mark.parametrize(
    ("arg", "error"),
    [("text", TypeError), (1.5, TypeError), ([], TypeError), (1 << 70, OverflowError)],
)
def test_native_code_takes_a_word(arg: Any, error: type[Exception], nothing_left: object) -> None:
    """Arg of native code is an int of a word's size or a pointer."""
    code = ctypes.CDLL(None).abs
    with pytest.raises(error):
        lowlevel.clone(code, arg, F.VM | 17, Stack(STACK_BYTES))


# ---- stacks


@pytest.mark.parametrize("size", [-1, 0, 1, 1000])
def test_a_stack_too_small_for_a_signal_is_refused(size: int, nothing_left: object) -> None:
    """Below the size of a signal frame there is no Stack."""
    refused(lambda: Stack(size), ValueError, f"which one signal frame needs, got {size}")


@pytest.mark.parametrize("size", [1 << 50, 1 << 62], ids=["2^50", "2^62"])
def test_a_stack_too_large_is_refused(size: int, nothing_left: object) -> None:
    """A Stack for which there is no room is ENOMEM."""
    error = refused(lambda: Stack(size), OSError, "Cannot allocate memory")
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOMEM


@pytest.mark.parametrize("flags", [F(0), F.VM], ids=str)
def test_a_stack_too_small_for_python_is_refused(flags: F, nothing_left: object) -> None:
    """A Python function is not put on a stack on which it could not live."""
    stack = Stack(16 * PAGE)
    refused(lambda: lowlevel.clone(never, None, flags | 17, stack), ValueError, "small for Python")
    args = CloneArgs(flags=flags, exit_signal=17, stack=stack)
    refused(lambda: lowlevel.clone3(args, never), ValueError, "small for Python")
    assert not stack.in_use


@pytest.mark.parametrize("offset", [1, 8, -4])
@pytest.mark.parametrize("flags", [F(0), F.VM], ids=str)
def test_an_unaligned_top_is_rounded_down(offset: int, flags: F, nothing_left: object) -> None:
    """By clone(), as libc's wrapper does it: the child lives below."""
    stack = Stack(STACK_BYTES)
    top = stack.top - 64 + offset
    pid = lowlevel.clone(lambda arg: arg + 1, 6, flags | 17, top)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    above = bytes(memoryview(stack))[STACK_BYTES - 64 + offset :]
    assert not any(above)


@pytest.mark.parametrize("offset", [1, 8, -4])
def test_an_unaligned_range_is_refused(offset: int, nothing_left: object) -> None:
    """Of clone3(), whose range is taken as it is: its end is aligned to 16 bytes."""
    stack = Stack(STACK_BYTES)
    args = CloneArgs(
        flags=F.VM, exit_signal=17, stack=stack.base, stack_size=STACK_BYTES - 64 + offset
    )
    refused(lambda: lowlevel.clone3(args, never), ValueError, "aligned to 16")


@pytest.mark.parametrize("stack", [-16, 0])
def test_an_address_that_is_none_is_refused(stack: int, nothing_left: object) -> None:
    """No stack lies at 0 or below."""
    refused(lambda: lowlevel.clone(never, None, F.VM | 17, stack), ValueError, "stack")


@pytest.mark.parametrize("stack", ["stack", 1.5, bytearray(1 << 20)], ids=["str", "float", "bytes"])
def test_what_is_no_stack_is_refused(stack: Any, nothing_left: object) -> None:
    """child_stack is a Stack or an address."""
    refused(lambda: lowlevel.clone(never, None, F.VM | 17, stack), TypeError, "Stack or an address")


@pytest.mark.parametrize("flags", [F(0), F.VM, F.VM | F.FS], ids=str)
def test_no_stack_without_vfork_is_refused(flags: F, nothing_left: object) -> None:
    """Only VFORK may have the caller's own stack, and the error says why."""
    refused(
        lambda: lowlevel.clone(never, None, flags | 17), CloneError, "a stack of its own.*VFORK"
    )


@pytest.mark.parametrize("stack", [None, 0])
def test_no_stack_in_shared_memory_is_refused_by_clone3(
    stack: int | None, nothing_left: object
) -> None:
    """clone3 with VM and without a stack would put two tasks on one."""
    args = CloneArgs(flags=F.VM, exit_signal=17, stack=stack)
    refused(lambda: lowlevel.clone3(args, never), CloneError, "a stack of its own")
    args = CloneArgs(flags=F.VM | F.SETTLS, tls=PAGE, exit_signal=17, stack=stack)
    refused(lambda: lowlevel.clone3(args, ctypes.CDLL(None).abs, 1), CloneError, "stack of its own")


@pytest.mark.parametrize(
    ("of", "size", "words"),
    [
        ("stack", STACK_BYTES + PAGE, "expected at most"),
        ("stack", 1 << 40, "expected at most"),
        ("stack", 4096, "too small for Python"),
        ("stack", 0, "stack_size"),
        ("stack", -16, "-16|small|size"),
        ("base", None, "invalid stack_size"),
        ("base", 0, "invalid stack_size"),
        ("base", 4096, "too small for Python"),
        ("none", STACK_BYTES, "without a stack"),
    ],
)
def test_a_wrong_stack_size_is_refused(
    of: str, size: int | None, words: str, nothing_left: object
) -> None:
    """stack_size must be one that the stack has and the function can live on."""
    stack = Stack(STACK_BYTES)
    given: Any = {"stack": stack, "base": stack.base, "none": None}[of]
    args = CloneArgs(flags=F.VM, exit_signal=17, stack=given, stack_size=size)
    refused(lambda: lowlevel.clone3(args, never), ValueError, words)
    assert not stack.in_use


def test_a_stack_in_use_is_refused(nothing_left: object) -> None:
    """No two tasks share a stack in one memory."""
    end, ended = os.pipe()
    stack = Stack(STACK_BYTES)
    pid = lowlevel.clone(lambda arg: len(os.read(end, 1)), None, F.VM | 17, stack)
    refused(lambda: lowlevel.clone(never, None, F.VM | 17, stack), ValueError, "is in use")
    args = CloneArgs(flags=F.VM, exit_signal=17, stack=stack)
    refused(lambda: lowlevel.clone3(args, never), ValueError, "is in use")
    os.write(ended, b"x")
    assert os.waitpid(pid, 0) == (pid, 1 << 8)
    os.close(end)
    os.close(ended)


@pytest.mark.parametrize(
    ("flags", "size", "words"),
    [
        (F.VM, 1000, "bytes for Python"),
        (F.VM, 0, "bytes for Python"),
        (F.VM, -1, "bytes for Python"),
        (F(0), 1 << 20, "stack_size needs VM without VFORK"),
        (F.VM | F.VFORK, 1 << 20, "stack_size needs VM without VFORK"),
    ],
    ids=["1000", "0", "-1", "copy", "vfork"],
)
def test_a_stack_size_that_cannot_be_is_refused(
    flags: F, size: int, words: str, nothing_left: object
) -> None:
    """stack_size is for children beside their caller, and large enough for Python."""
    refused(lambda: ramet.clone(never, flags=flags, stack_size=size), ValueError, words)


def test_a_stack_size_without_room_is_refused(nothing_left: object) -> None:
    """A stack for which there is no memory is an OSError, and no child is made."""
    with pytest.raises(OSError, match=r"EAGAIN|ENOMEM|Cannot allocate|unavailable"):
        ramet.clone(never, flags=F.VM, stack_size=1 << 50)


# ---- interpreters


@pytest.mark.parametrize(
    ("flags", "interpreter", "words"),
    [
        (F.VM, "shared", "expected 'own', or None"),
        (F.VM, 1, "expected 'own', or None"),
        (F(0), "own", "needs VM, and cannot be combined"),
        (F.VM | F.VFORK, "own", "needs VM, and cannot be combined"),
        (F.VM | F.SIGHAND | F.THREAD, "own", "needs VM, and cannot be combined"),
    ],
    ids=["shared", "1", "copy", "vfork", "thread"],
)
def test_an_interpreter_that_cannot_be_is_refused(
    flags: F, interpreter: Any, words: str, nothing_left: object
) -> None:
    """An interpreter of its own is for a process beside its caller, and there is no other word."""
    refused(lambda: ramet.clone(never, flags=flags, interpreter=interpreter), ValueError, words)


def test_an_interpreter_of_its_own_needs_a_python_that_has_them(nothing_left: object) -> None:
    """Before 3.12 all interpreters of a process have one GIL, and that is said."""
    if sys.version_info < (3, 12, 4):
        with pytest.raises(RuntimeError, match=r"needs Python 3\.12"):
            ramet.clone(abs, -1, flags=F.VM, interpreter="own")
    else:
        assert ramet.clone(abs, -1, flags=F.VM, interpreter="own").result(60) == 1


# ---- tls and words


def test_tls_without_its_flag_is_refused(nothing_left: object) -> None:
    """Tls is used with SETTLS only."""
    stack = Stack(STACK_BYTES)
    refused(
        lambda: lowlevel.clone(never, None, F.VM | 17, stack, tls=PAGE),
        ValueError,
        "expected None without SETTLS",
    )


def test_a_flag_without_its_tls_is_refused(nothing_left: object) -> None:
    """SETTLS needs tls."""
    code = ctypes.CDLL(None).abs
    stack = Stack(STACK_BYTES)
    refused(
        lambda: lowlevel.clone(code, 1, F.VM | F.SETTLS | 17, stack),
        ValueError,
        "since SETTLS is set",
    )


def test_python_on_a_foreign_block_is_refused(nothing_left: object) -> None:
    """A Python function cannot run on a thread-local block that libc did not make."""
    stack = Stack(STACK_BYTES)
    refused(
        lambda: lowlevel.clone(never, None, F.VM | F.SETTLS | 17, stack, tls=PAGE),
        ValueError,
        "no thread-local block",
    )


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (F.PARENT_SETTID, "ptid"),
        (F.CHILD_SETTID, "ctid"),
        (F.CHILD_CLEARTID, "ctid"),
        (F.PIDFD, "ptid"),
    ],
    ids=str,
)
def test_a_missing_word_is_named(flags: F, words: str, nothing_left: object) -> None:
    """A flag whose word is not given names the word."""
    stack = Stack(STACK_BYTES)
    refused(lambda: lowlevel.clone(never, None, F.VM | flags | 17, stack), ValueError, words)
    assert not stack.in_use


@pytest.mark.parametrize("word", ["text", 1.5, [1]], ids=["str", "float", "list"])
def test_what_is_no_word_is_refused(word: Any, nothing_left: object) -> None:
    """A word is a TidWord or an address."""
    stack = Stack(STACK_BYTES)
    refused(
        lambda: lowlevel.clone(never, None, F.VM | F.PARENT_SETTID | 17, stack, ptid=word),
        TypeError,
        "TidWord or an address",
    )


def test_one_word_for_two_is_refused(nothing_left: object) -> None:
    """clone() has one place for the pidfd and the tid."""
    stack = Stack(STACK_BYTES)
    refused(
        lambda: lowlevel.clone(
            never, None, F.VM | F.PIDFD | F.PARENT_SETTID | 17, stack, ptid=TidWord()
        ),
        CloneError,
        "rule C1",
    )


@pytest.mark.parametrize("field", ["pidfd", "child_tid", "parent_tid", "tls", "cgroup"])
@pytest.mark.parametrize("value", [-1, 1 << 64], ids=["-1", "2^64"])
def test_a_field_outside_of_64_bits_is_refused(
    field: str, value: int, nothing_left: object
) -> None:
    """The fields of the structure have 64 bits and no sign."""
    args = CloneArgs(exit_signal=17)
    setattr(args, field, value)
    args.flags = F.SETTLS if field == "tls" else 0
    fn: Any = ctypes.CDLL(None).abs if field == "tls" else never
    refused(lambda: lowlevel.clone3(args, fn, 1), ValueError, "expected 0 to")


# ---- signals, pids, cgroups


@pytest.mark.parametrize("number", [-1, 65, 1000, 1 << 40])
def test_a_signal_out_of_range_is_refused(number: int, nothing_left: object) -> None:
    """Signals go from 1 to 64, and 0 is none."""
    refused(lambda: ramet.clone(never, exit_signal=number), ValueError, f"0 to 64, got {number}")


@pytest.mark.parametrize("low", [65, 127])
def test_a_signal_out_of_range_in_flags_is_refused(low: int, nothing_left: object) -> None:
    """The low bits of flags are held to the same."""
    for call in (
        lambda: ramet.clone(never, flags=F.FS | low),
        lambda: ramet.vfork(never, flags=low),
        lambda: ramet.fork(low),
    ):
        refused(call, ValueError, f"0 to 64, got {low}")


def test_two_signals_at_once_are_refused(nothing_left: object) -> None:
    """The exit signal can be given in flags or by keyword, but not two of them."""
    refused(
        lambda: ramet.clone(never, flags=F.FS | 10, exit_signal=12),
        ValueError,
        "as in the low bits of flags",
    )
    refused(
        lambda: ramet.clone(never, flags=F.FS | 10, exit_signal=0),
        ValueError,
        "as in the low bits of flags",
    )


@pytest.mark.parametrize("number", ["9", 1.5, [9]], ids=["str", "float", "list"])
def test_a_signal_that_is_no_number_is_refused(number: Any, nothing_left: object) -> None:
    """The exit signal is an integer."""
    with pytest.raises(TypeError):
        ramet.clone(never, exit_signal=number)


@pytest.mark.parametrize("set_tid", ["12", 12, [1.5], [None]], ids=repr)
def test_pids_that_are_no_numbers_are_refused(set_tid: Any, nothing_left: object) -> None:
    """set_tid is a sequence of pids."""
    with pytest.raises(TypeError):
        ramet.clone(never, set_tid=set_tid)


@pytest.mark.parametrize("pid", [-1, 0, 1 << 30, 1 << 40])
def test_pids_that_cannot_be_are_refused(pid: int, nothing_left: object) -> None:
    """A pid outside of the kernel's range is refused, and nothing is made."""
    with pytest.raises((CloneError, OverflowError)):
        ramet.clone(never, set_tid=[pid])


def test_too_many_pids_are_refused(nothing_left: object) -> None:
    """There are as many pids as nested pid namespaces."""
    refused(lambda: ramet.clone(never, set_tid=[5000] * 40), CloneError, "EINVAL")


def test_a_flag_without_its_cgroup_is_refused(nothing_left: object) -> None:
    """INTO_CGROUP needs the directory."""
    for call in (
        lambda: ramet.clone(never, flags=F.INTO_CGROUP),
        lambda: ramet.clone(never, flags=F.INTO_CGROUP | F.VM),
        lambda: ramet.vfork(never, flags=F.INTO_CGROUP),
        lambda: ramet.fork(F.INTO_CGROUP),
        lambda: lowlevel.clone3(CloneArgs(flags=F.INTO_CGROUP, exit_signal=17), never),
    ):
        refused(call, ValueError, "since INTO_CGROUP is set")


def test_a_cgroup_that_is_not_there_is_refused(tmp_path: Path, nothing_left: object) -> None:
    """A path that leads nowhere, or to no directory, is the error that open() would raise."""
    refused(lambda: ramet.clone(never, cgroup=tmp_path / "no"), FileNotFoundError, "no")
    (tmp_path / "file").touch()
    refused(lambda: ramet.clone(never, cgroup=tmp_path / "file"), NotADirectoryError, "file")
    error = refused(lambda: ramet.clone(never, cgroup=tmp_path), CloneError, "EBADF")
    assert isinstance(error, CloneError)
    assert error.errno == errno.EBADF


@pytest.mark.parametrize("cgroup", [1.5, [1]], ids=["float", "list"])
def test_what_is_no_cgroup_is_refused(cgroup: Any, nothing_left: object) -> None:
    """Cgroup is a path or a descriptor, by number or by fileno()."""
    refused(lambda: ramet.clone(never, cgroup=cgroup), TypeError, "cgroup")


# ---- names and timeouts


@pytest.mark.parametrize(
    ("text", "unknown"), [("CLONE_NEWUSR", "NEWUSR"), ("VM|FZ", "FZ"), ("SIGNOTHING", "SIGNOTHING")]
)
def test_an_unknown_name_is_refused(text: str, unknown: str) -> None:
    """parse() names what it does not know."""
    with pytest.raises(ValueError, match=unknown):
        F.parse(text)


@pytest.mark.parametrize(
    ("timeout", "error", "words"),
    [
        (-1, ValueError, "0 seconds or more"),
        (-0.5, ValueError, "0 seconds or more"),
        (-math.inf, ValueError, "0 seconds or more"),
        (math.nan, ValueError, "got nan"),
        ("1", TypeError, "seconds"),
        (True, TypeError, "seconds"),
    ],
)
@pytest.mark.parametrize("ask", ["wait", "result", "exception"])
def test_a_timeout_that_is_no_time_is_refused(
    ask: str, timeout: Any, error: type[Exception], words: str, nothing_left: object
) -> None:
    """A timeout that is negative or no number is refused, whether the child runs or has ended."""
    with ramet.clone(signal.pause) as child:
        refused(lambda: getattr(child, ask)(timeout), error, words)
    refused(lambda: getattr(child, ask)(timeout), error, words)


@pytest.mark.parametrize(
    ("timeout", "error"),
    [(-1, ValueError), (math.nan, ValueError), ("1", TypeError)],
    ids=["-1", "nan", "str"],
)
def test_a_words_timeout_is_held_to_the_same(timeout: Any, error: type[Exception]) -> None:
    """TidWord.wait() takes a number of seconds."""
    with pytest.raises(error):
        TidWord(1).wait(timeout)


# ---- what was refused leaves nothing


def test_a_thousand_refusals_leave_nothing(tmp_path: Path, nothing_left: object) -> None:
    """Refusals of each kind, the kernel's included, leave no thread, descriptor or mapping."""
    stack = Stack(STACK_BYTES)
    threads = threading.active_count()
    code = ctypes.CDLL(None).abs
    calls: list[Call] = [
        lambda: ramet.clone(never, flags=F.SIGHAND),
        lambda: ramet.clone(never, cgroup=tmp_path),
        lambda: ramet.clone(never, flags=F.VM, cgroup=tmp_path),
        lambda: ramet.vfork(never, flags=F.NEWNS | F.FS),
        lambda: lowlevel.clone(never, None, F.VM | F.PIDFD | 17, stack, ptid=8),
        lambda: lowlevel.clone3(CloneArgs(flags=F.FS, exit_signal=17, set_tid=[5000] * 40)),
        lambda: ramet.fork(1 << 50),
    ]
    if platform.machine() == "x86_64":  # it alone refuses an address as tls
        calls.append(
            lambda: lowlevel.clone(code, 1, F.VM | F.SETTLS | 17, stack, tls=(1 << 63) - 1)
        )
    for _ in range(repeated(125)):
        for call in calls:
            with pytest.raises(OSError, match=r"E[A-Z]+"):
                call()
    assert threading.active_count() <= threads  # those of others may end
    assert not stack.in_use

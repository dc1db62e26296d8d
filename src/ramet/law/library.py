"""What the library asks of a request beyond the kernel: that it can be put to it at all."""

from .request import CSIGNAL, Call
from .rule import CLONE, CLONE3, Rule

_64_BITS = (1 << 64) - 1
_LIBRARY_BITS = 3 << 64
_32_BITS = (1 << 32) - 1

_64_BIT_FLAGS = Rule(
    id="ramet-64-bits",
    kernel_function="none",
    since="5.3",
    certain=True,
    sentence="flags have 64 bits in the kernel, and nothing above them is known to this library",
    remedy="drop the bits above bit 63",
)
_CLONE3_ONLY = Rule(
    id="ramet-clone3-only",
    calls=CLONE,
    kernel_function="sys_clone",
    since="5.3",
    certain=True,
    sentence="only clone3 takes flags above bit 31, and clone() would ignore them without a word",
    remedy="make the call with clone3",
)
_EXIT_SIGNAL = Rule(
    id="ramet-exit-signal",
    calls=CLONE,
    kernel_function="none",
    since="1.0",
    certain=True,
    sentence="the exit signal of clone() is one byte, and a larger number would turn into flags",
    remedy="use a signal from 1 to 64, or 0 for none",
)

# Refused where the call is made: a child could not live, or no one call can do all of it.
_AT_THE_CALL = (
    Rule(
        id="ramet-no-stack",
        kernel_function="none",
        since="2.0",
        sentence=(
            "the child needs a stack of its own: without VFORK it would run on the caller's while "
            "the caller goes on using it"
        ),
        remedy="give a stack, or add CLONE_VFORK",
    ),
    Rule(
        id="ramet-returns-twice",
        calls=CLONE3,
        kernel_function="none",
        since="5.3",
        sentence=(
            "without fn the call returns twice, which needs a memory of its own and the caller's "
            "stack"
        ),
        remedy="give fn, or drop CLONE_VM and the stack",
    ),
    Rule(
        id="ramet-fork-vm",
        kernel_function="none",
        since="2.0",
        sentence=(
            "fork() with VM would put two tasks on one stack: use clone(fn, flags=VM), or "
            "vfork(fn), which suspends the caller"
        ),
        remedy="use clone() or vfork()",
    ),
    Rule(
        id="ramet-detached",
        kernel_function="none",
        since="5.3",
        sentence="DETACHED goes through clone(), the rest only clone3 takes",
        remedy="drop CLONE_DETACHED, which does nothing",
    ),
    Rule(
        id="ramet-needs-clone3",
        calls=CLONE3,
        errno="ENOSYS",
        kernel_function="none",
        since="5.3",
        sentence="this needs clone3 (Linux 5.3), which is missing here or filtered",
        remedy="allow clone3 in the container's filter, or run on a later kernel",
    ),
    Rule(
        id="ramet-no-gil",
        errno="ENOTSUP",
        kernel_function="none",
        since="2.0",
        sentence=(
            "a Python function can share the memory only while Python has its global lock: holding "
            "it is how a child is killed outside of objects, and how what it leaves is taken over"
        ),
        remedy="drop CLONE_VM, or do not keep the lock off (PYTHON_GIL=0, -X gil=0)",
    ),
)

FILTER = Rule(
    id="ramet-filter",
    errno=None,
    kernel_function="none",
    since="3.5",
    sentence=(
        "a seccomp filter, perhaps of a container, is at work and may have answered in the "
        "kernel's place"
    ),
    remedy="look at the filter: ausearch or the container's profile tell what it refuses",
)

LIBRARY_RULES = {
    rule.id: rule for rule in (_64_BIT_FLAGS, _CLONE3_ONLY, _EXIT_SIGNAL, *_AT_THE_CALL)
}


def library_rules(flags: int, exit_signal: int, call: Call) -> tuple[Rule, ...]:
    """Those that a request breaks; the kernel would not notice, or do something else."""
    broken = []
    if flags & ~(_64_BITS | _LIBRARY_BITS):
        broken.append(_64_BIT_FLAGS)
    if call == "clone" and flags & _64_BITS & ~_32_BITS:
        broken.append(_CLONE3_ONLY)
    if call == "clone" and not 0 <= exit_signal <= CSIGNAL:
        broken.append(_EXIT_SIGNAL)
    return tuple(broken)

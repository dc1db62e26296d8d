"""What the library refuses beyond the kernel's rules: requests that no call can make."""

from .request import CSIGNAL, Call
from .rule import CLONE, CLONE3, Rule

_64_BITS = (1 << 64) - 1
_LIBRARY_BITS = 3 << 64
_32_BITS = (1 << 32) - 1

# fmt: off
_64_BIT_FLAGS = Rule(
                    id="ramet-64-bits", kernel_function="none", since="5.3", certain=True,
                    sentence="flags have 64 bits in the kernel, and this library knows no flag above them",
                    remedy="drop the bits above bit 63",
                )
_CLONE3_ONLY = Rule(
                   id="ramet-clone3-only", calls=CLONE, kernel_function="sys_clone", since="5.3",
                   certain=True,
                   sentence="only clone3 takes flags above bit 31; clone() would ignore them",
                   remedy="use clone3",
               )
_EXIT_SIGNAL = Rule(
                   id="ramet-exit-signal", calls=CLONE, kernel_function="none", since="1.0",
                   certain=True,
                   sentence="the exit signal of clone() is one byte, and a larger number would "
                            "turn into flags",
                   remedy="use a signal from 1 to 64, or 0 for none",
               )

# Refused at the call: the child would crash, or no single call does all of it.
_AT_THE_CALL = (
    Rule(
        id="ramet-no-stack", kernel_function="none", since="2.0",
        sentence="the child needs a stack of its own: without VFORK it would run on the caller's "
                 "while the caller uses it",
        remedy="give a stack, or add CLONE_VFORK",
    ),
    Rule(
        id="ramet-returns-twice", calls=CLONE3, kernel_function="none", since="5.3",
        sentence="without fn the call returns twice, which needs a memory of its own and the "
                 "caller's stack",
        remedy="give fn, or drop CLONE_VM and the stack",
    ),
    Rule(
        id="ramet-fork-vm", kernel_function="none", since="2.0",
        sentence="fork() with VM would put two tasks on one stack: use clone(fn, flags=VM), or "
                 "vfork(fn), which suspends the caller",
        remedy="use clone() or vfork()",
    ),
    Rule(
        id="ramet-detached", kernel_function="none", since="5.3",
        sentence="only clone() takes DETACHED, and only clone3 takes the rest",
        remedy="drop CLONE_DETACHED, which has no effect",
    ),
    Rule(
        id="ramet-needs-clone3", calls=CLONE3, kernel_function="none", since="5.3", errno="ENOSYS",
        sentence="this needs clone3 (Linux 5.3), which is missing here or filtered",
        remedy="allow clone3 in the container's filter, or run on a later kernel",
    ),
    Rule(
        id="ramet-no-gil", kernel_function="none", since="2.0", errno="ENOTSUP",
        sentence="a Python function can share the memory only with Python's global lock (GIL): "
                 "the lock is what keeps a killed child from leaving a half-changed object",
        remedy="drop CLONE_VM, or start Python without PYTHON_GIL=0 and -X gil=0",
    ),
    Rule(
        id="ramet-init-handlers", kernel_function="zap_pid_ns_processes", since="3.5",
        source="kernel/pid_namespace.c",
        sentence="the end of the first task of a pid namespace sets SIGCHLD to be ignored, and with "
                 "CLONE_SIGHAND that table of handlers is the caller's: it could wait for no child's "
                 "status any more",
        remedy="drop CLONE_SIGHAND; ramet.lowlevel makes such a child",
    ),
)

FILTER = Rule(
             id="ramet-filter", kernel_function="none", since="3.5", errno=None,
             sentence="this process has a seccomp filter, perhaps a container's or a sandbox's, which may "
                      "have given this answer instead of the kernel",
             remedy="look at the filter: ausearch(8) or the container's profile shows what it refuses",
         )
# fmt: on

LIBRARY_RULES = {
    rule.id: rule for rule in (_64_BIT_FLAGS, _CLONE3_ONLY, _EXIT_SIGNAL, *_AT_THE_CALL)
}


def library_rules(flags: int, exit_signal: int, call: Call) -> tuple[Rule, ...]:
    """Those that a request breaks; the kernel would ignore it, or do something else."""
    broken = []
    if flags & ~(_64_BITS | _LIBRARY_BITS):
        broken.append(_64_BIT_FLAGS)
    if call == "clone" and flags & _64_BITS & ~_32_BITS:
        broken.append(_CLONE3_ONLY)
    if call == "clone" and not 0 <= exit_signal <= CSIGNAL:
        broken.append(_EXIT_SIGNAL)
    return tuple(broken)

"""A request in C: by clone3, and where that can say it, by the wrapper clone()."""

from ramet.flags import CloneFlag, signal_name
from ramet.law import Request

from .words import IN_C, joined, needed, needs_stack, shown

_32_BITS = (1 << 32) - 1
_BEFORE_FLAGS = len("    .flags = ")
_BEFORE_ARGUMENTS = len("int pid = clone(")


def clone3(request: Request) -> str | None:
    """By the system call, which no C library wraps; None for what clone() alone takes."""
    if request.call == "clone" and request.flags & CloneFlag.DETACHED.value:
        return None
    lines = [f".flags = {_wrapped(joined(request.flags), _BEFORE_FLAGS)},"]
    if request.exit_signal:
        lines.append(f".exit_signal = {signal_name(request.exit_signal)},")
    given = request.fields()
    if request.stack or needs_stack(request):
        lines.append(f".stack = {shown(request.stack, '(uintptr_t)stack')},")
        lines.append(f".stack_size = {shown(request.stack_size, 'sizeof stack')},")
    lines += [f".{name} = {value}," for name, value in needed(request, IN_C).items()]
    if "set_tid" in given:
        lines.append(f".set_tid = (uintptr_t)(pid_t[]){shown(request.set_tid, '')},")
        lines.append(f".set_tid_size = {request.set_tid_size},")
    size = "sizeof args" if "size" not in given else str(request.size)
    body = "\n    ".join(lines)
    note = _where_it_returns(request)
    return (
        "#define _GNU_SOURCE\n#include <linux/sched.h>\n#include <sched.h>\n#include <signal.h>\n"
        "#include <stdint.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n\n"
        f"struct clone_args args = {{\n    {body}\n}};\n"
        f"long pid = syscall(SYS_clone3, &args, {size});{note}"
    )


def _where_it_returns(request: Request) -> str:
    """What is wrong with a C function around a call that returns on a stack unlike fork()'s."""
    if request.stack or needs_stack(request):
        why = "on an empty stack: make the call in assembly, or by clone()."
    elif request.flags & CloneFlag.VM.value:
        why = (
            "first, on the caller's stack,\n"
            "   and spoils it: make the call by vfork(), or by clone() with a stack."
        )
    else:
        return ""
    return f"\n/* The child returns here {why} */"


def _wrapped(words: str, indent: int, width: int = 64) -> str:
    lines, line = [], ""
    for word in words.split(" | "):
        longer = f"{line} | {word}" if line else word
        if line and len(longer) > width:
            lines.append(line)
            longer = f"| {word}"
        line = longer
    return f"\n{' ' * indent}".join([*lines, line])


def clone(request: Request) -> str | None:
    """Only where clone() can say it."""
    if request.flags & ~_32_BITS or request.flags & CloneFlag.CSIGNAL.value:
        return None
    if {"set_tid", "cgroup", "size", "beyond", "args"} & set(request.fields()):
        return None
    fields = needed(request, IN_C)
    if {"pidfd", "parent_tid"} <= set(fields):
        return None
    stack = "stack + sizeof stack"
    words = {
        "ptid": "&pidfd" if "pidfd" in fields else "&ptid" if "parent_tid" in fields else "",
        "tls": "tls" if "tls" in fields else "",
        "ctid": "&ctid" if "child_tid" in fields else "",
    }
    while words and not list(words.values())[-1]:
        words.popitem()
    rest = "".join(f", {value or 'NULL'}" for value in words.values())
    flags = _wrapped(joined(request.flags, request.exit_signal), _BEFORE_ARGUMENTS)
    arguments = f",\n{' ' * _BEFORE_ARGUMENTS}".join([f"fn, {stack}", flags, f"arg{rest}"])
    return (
        "#define _GNU_SOURCE\n#include <sched.h>\n#include <signal.h>\n\n"
        f"int pid = clone({arguments});"
    )

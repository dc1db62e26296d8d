"""A request and its answer as strace prints them."""

from ramet.flags import signal_name
from ramet.law import Outcome, Request

from .words import BY_STRACE, joined, needed, needs_stack, shown

_ERRORS = {  # in the C library's words
    "EINVAL": "Invalid argument",
    "EPERM": "Operation not permitted",
    "ENOSYS": "Function not implemented",
    "ENOSPC": "No space left on device",
    "EUSERS": "Too many users",
    "EAGAIN": "Resource temporarily unavailable",
    "ENOMEM": "Cannot allocate memory",
    "EFAULT": "Bad address",
    "E2BIG": "Argument list too long",
    "EBADF": "Bad file descriptor",
    "EEXIST": "File exists",
    "EMFILE": "Too many open files",
    "EACCES": "Permission denied",
}


def strace(outcome: Outcome) -> str:
    """The line of the call; addresses, pids and descriptors are examples."""
    request = outcome.request
    answer = "4242"
    if outcome.errno:
        answer = f"-1 {outcome.errno} ({_ERRORS.get(outcome.errno, 'error')})"
    elif request.call in {"unshare", "setns"}:
        answer = "0"
    if request.call == "unshare":
        return f"unshare({joined(request.flags, joint='|')}) = {answer}"
    if request.call == "setns":
        return f"setns({shown(request.fd, '3')}, {joined(request.flags, joint='|')}) = {answer}"
    return f"{_traced_clone3(request) if request.call == 'clone3' else _traced_clone(request)} = {answer}"


def _traced_clone3(request: Request) -> str:
    parts = [f"flags={joined(request.flags, joint='|')}"]
    fields = needed(request, BY_STRACE)
    parts += [
        f"{name}={fields[name]}" for name in ("pidfd", "child_tid", "parent_tid") if name in fields
    ]
    parts.append(f"exit_signal={signal_name(request.exit_signal) if request.exit_signal else 0}")
    if request.stack or needs_stack(request):
        parts.append(f"stack={shown(request.stack, '0x7f3c59800000')}")
        parts.append(f"stack_size={shown(request.stack_size, '0x7fff00')}")
    else:
        parts += ["stack=NULL", "stack_size=0"]
    if "tls" in fields:
        parts.append(f"tls={fields['tls']}")
    if isinstance(request.set_tid, tuple):
        parts.append(f"set_tid={list(request.set_tid)}")
        parts.append(f"set_tid_size={request.set_tid_size}")
    if "cgroup" in fields:
        parts.append(f"cgroup={fields['cgroup']}")
    return f"clone3({{{', '.join(parts)}}}, {request.size})"


def _traced_clone(request: Request) -> str:
    fields = needed(request, BY_STRACE)
    stack = "0x7f3c59fffff0" if needs_stack(request) else "NULL"
    parts = [
        f"child_stack={shown(request.stack or None, stack)}",
        f"flags={joined(request.flags, request.exit_signal, '|')}",
    ]
    if word := fields.get("parent_tid") or fields.get("pidfd"):
        parts.append(f"parent_tid={word}")
    if "tls" in fields:
        parts.append(f"tls={fields['tls']}")
    if "child_tid" in fields:
        parts.append(f"child_tidptr={fields['child_tid']}")
    return f"clone({', '.join(parts)})"

"""A request with Ramet: by its own words where they can say it, or else by the kernel's."""

from ramet.flags import CloneFlag, signal_name
from ramet.law import Request

from .words import SIGCHLD, WITH_RAMET, needed, needs_stack

# The end of such a task sends no signal of its own, see ramet.clone().
_QUIET = CloneFlag.THREAD.value | CloneFlag.PARENT.value
_INTO_CGROUP = CloneFlag.INTO_CGROUP.value
_STRUCTURE = {"size", "beyond", "args"}  # fields of the call itself
_BY_NAME = {"fork": "pid = ramet.fork()", "vfork": "child = ramet.vfork(fn)"}


def ramet(request: Request, recipe: str | None) -> str:
    """The lines to write in Python."""
    if recipe in _BY_NAME:
        return f"import ramet\n\n{_BY_NAME[recipe]}"
    if request.call == "setns":
        return (
            "import ramet\n\n# net, mnt, uts ...: a pid, or the path of a namespace\n"
            "ramet.in_namespace(fn, net=pid)"
        )
    if request.call == "unshare":
        return "\n".join(["# Ramet changes a child, not its caller", _by_clone(request)])
    if set(needed(request, WITH_RAMET)) <= {"cgroup"} and not set(request.fields()) & _STRUCTURE:
        return _by_clone(request)
    return _by_clone3(request)


def _by_clone(request: Request) -> str:
    words = ["fn"]
    if flags := _flags(request.flags & ~_INTO_CGROUP):
        words.append(f"flags={flags}")
    if isinstance(request.set_tid, tuple):
        words.append(f"set_tid={list(request.set_tid)}")
    if request.flags & _INTO_CGROUP:
        words.append('cgroup="/sys/fs/cgroup/..."')
    default = 0 if request.flags & _QUIET or request.call == "unshare" else SIGCHLD
    if request.exit_signal != default:
        words.append(f"exit_signal={_signal(request.exit_signal)}")
    return f"{_imports(words)}\n\nchild = ramet.clone({', '.join(words)})"


def _by_clone3(request: Request) -> str:
    words = [f"flags={_flags(request.flags) or 0}"]
    if request.exit_signal:
        words.append(f"exit_signal={_signal(request.exit_signal)}")
    words += [f"{name}={value}" for name, value in needed(request, WITH_RAMET).items()]
    if isinstance(request.set_tid, tuple):
        words.append(f"set_tid={list(request.set_tid)}")
    stack = ""
    if needs_stack(request):
        words += ["stack=stack.base", "stack_size=stack.size"]
        stack = "stack = lowlevel.Stack(256 * 1024)\n"
    body = ",\n    ".join(words)
    imports = _imports([*words, "lowlevel"])
    return (
        f"{imports}\n\n{stack}args = lowlevel.CloneArgs(\n    {body},\n)\n"
        "pid = lowlevel.clone3(args, fn)"
    )


def _imports(words: list[str]) -> str:
    text = " ".join(words)
    names = [
        name
        for name, needle in (("CloneFlag as F", "F."), ("lowlevel", "lowlevel"))
        if needle in text
    ]
    lines = ["import signal"] if "signal.SIG" in text else []
    lines.append("import ramet")
    if names:
        lines.append(f"from ramet import {', '.join(names)}")
    return "\n".join(
        lines if "lowlevel" not in names else [x for x in lines if x != "import ramet"]
    )


def _flags(bits: int) -> str:
    words = [f"F.{flag.name}" for flag in CloneFlag(bits)]
    unknown = bits & ~sum(flag.value for flag in CloneFlag(bits))
    return " | ".join([*words, f"{unknown:#x}"] if unknown else words)


def _signal(number: int) -> str:
    name = signal_name(number)
    return f"signal.{name}" if name.isalnum() and name.startswith("SIG") else str(number)

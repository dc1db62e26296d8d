"""What the caller of a call that is refused probably meant."""

import sys
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from types import FrameType, MappingProxyType, ModuleType
from typing import Any

from .._kernel.names import nearest
from .._kernel.signal_handlers import is_ours, package_of
from ..flags import CloneFlag

# As near as a typing error: what is further off is more likely a keyword of fn.
_SLIP = 0.75
_ABBREVIATED = 0.6  # as mem for memory
_OF_CLONE = (
    *("flags", "exit_signal", "stack_size", "set_tid", "cgroup"),
    *("timeout", "name", "interpreter", "trusted"),
)
_OF_OTHERS = {
    "args": "arguments follow fn: clone(fn, 1, 2)",
    "kwargs": "keywords of fn are bound to it: clone(functools.partial(fn, key=value))",
    "target": "the function comes first: clone(fn, 1, 2)",
    "daemon": "a child in shared memory (flags=CloneFlag.VM) ends with its caller, any other does not",
    "preexec_fn": "do at the start of fn what the child is to do first",
    "sandbox": "ramet.clone() takes it, and for all its calls ramet.Template(sandbox=...)",
    "capture_output": "ramet.Executor(capture_output=True) keeps what each call prints; else stdout= "
    "and stderr= take files",
}
_WORDS_COME_FIRST = "the program's words come first: run(['echo', 'hi'])"
_OF_PROGRAMS_ELSEWHERE = {
    **dict.fromkeys(
        ("timeout", "kill_after", "kill_tree", "check", "capture_output", "input"),
        "only run() and the like take it",
    ),
    **dict.fromkeys(
        ("shell", "bufsize", "pipesize", "text", "encoding", "errors", "universal_newlines"),
        "only Popen, run() and the like take it",
    ),
    **dict.fromkeys(("argv", "args", "cmd", "command"), _WORDS_COME_FIRST),
}
_WISHES = frozenset(
    {"memory", "swap", "processes", "cpu_time", "cpus", "open_files", "file_size", "network"}
    | {"syscalls", "read", "write", "hidden", "overlay", "tmp", "proc"}
)
_LIMITS_OF_CALLS = {"timeout": "deadline", "memory": "limit of memory"}
_OF_EXECUTORS = frozenset(
    {"max_workers", "reuse", "max_tasks_per_child", "initializer", "initargs"}
    | {"capture_output", "progress"}
)
# What a program or a call takes beside a sandbox.
_BESIDE_A_SANDBOX = frozenset(
    {"cwd", "stdin", "stdout", "stderr", "fds", "pass_fds", "umask", "rlimits", "nice"}
)
_CWD_BY_OTHER_NAMES = dict.fromkeys(("chdir", "workdir", "working_dir", "directory"), "cwd")
# The others are likely keywords of a function.
_WISHES_FOR_FUNCTIONS = frozenset({"memory", "processes", "cpus", "network"})
# What options are called that a Sandbox has as a wish.
_WISHES_BY_OTHER_NAMES = {
    "env": "environment",
    **dict.fromkeys(("net", "internet", "allow_net"), "network"),
    **dict.fromkeys(("rw", "bind", "volumes", "mounts", "binds"), "write"),
    **dict.fromkeys(("ro", "readonly", "ro_bind"), "read"),
    **dict.fromkeys(("deadline", "seconds", "time_limit", "wall_time"), "timeout"),
    **dict.fromkeys(("mem_limit", "memory_limit", "max_memory"), "memory"),
    **dict.fromkeys(("cpu_seconds", "cpu_limit"), "cpu_time"),
    **dict.fromkeys(("pids", "pids_limit", "nproc", "threads"), "processes"),
    **dict.fromkeys(("tmpfs", "shm_size"), "tmp"),
    **dict.fromkeys(("nofile", "files"), "open_files"),
    **dict.fromkeys(("seccomp", "filter"), "syscalls"),
}
# What others let one choose, and no wish of a Sandbox is: it is always so, or two wishes have it together.
_NO_WISHES = {
    **dict.fromkeys(
        ("capabilities", "caps", "cap_add", "cap_drop", "privileged"),
        "what runs in it has no capability",
    ),
    **dict.fromkeys(
        ("uid", "gid", "user", "group", "groups", "userns"),
        "it decides as which user its programs run",
    ),
    **dict.fromkeys(
        ("devices", "device", "dev", "gpu", "gpus"),
        "it has null, zero, full, random, urandom and tty, and no other device",
    ),
    **dict.fromkeys(
        ("disk", "disk_limit", "disk_quota", "storage"),
        "tmp= is the size of its /tmp, and file_size= that of the largest file",
    ),
    **dict.fromkeys(
        ("namespaces", "unshare"), "it has its own, and network= says which network it has"
    ),
    **dict.fromkeys(("dns", "proxy"), "network= says what it may reach"),
}
# What others call an option or a keyword: the kernel, the shell, os.environ, joblib and the like.
_OTHER_NAMES = {
    **dict.fromkeys(("setsid", "new_session"), "start_new_session"),
    **dict.fromkeys(("pgid", "setpgid", "pgrp"), "process_group"),
    **dict.fromkeys(("uid", "setuid"), "user"),
    **dict.fromkeys(("gid", "setgid"), "group"),
    **dict.fromkeys(("groups", "setgroups"), "extra_groups"),
    **dict.fromkeys(("environ", "environment"), "env"),
    **dict.fromkeys(("chdir", "workdir", "directory"), "cwd"),
    **dict.fromkeys(("mem", "mem_limit", "memory_limit", "max_memory"), "memory"),
    **dict.fromkeys(("deadline", "time_limit"), "timeout"),
    **dict.fromkeys(("n_jobs", "num_workers"), "max_workers"),
    "chroot": "root",
    "setns": "namespaces",
}
_TAKES_ANY_KEYWORD = 0x08  # inspect.CO_VARKEYWORDS, which takes time to import
# What is passed by position.
_BY_PLACE = frozenset({"self", "args", "argv", "cmd", "command"})
_OF_CHILD = {
    **dict.fromkeys(
        ("is_alive", "running", "done", "finished"), "child.poll() is None while it runs"
    ),
    **dict.fromkeys(
        ("returncode", "exitcode", "exit_code", "status"),
        "child.exit_status tells how it ended, after child.wait()",
    ),
    **dict.fromkeys(
        ("stdin", "stdout", "stderr", "communicate"), "ramet.Popen and run() have pipes"
    ),
    "join": "child.wait() waits for its end",
    "get": "child.result() is what fn returned",
    "cancel": "child.terminate() asks it to end, child.kill() ends it",
    "value": "child.result() is what fn returned",
}
_OF_COMMAND = {
    **dict.fromkeys(("run", "start", "call", "communicate"), "spawn() starts it and gives a Child"),
    **dict.fromkeys(
        ("wait", "poll", "pid", "kill", "returncode"), "spawn() gives a Child, which has it"
    ),
}
_OF_TEMPLATE = {
    "submit": "ramet.Executor(template=template) has it; template.clone(fn, 1, 2) gives a child at once",
    "map": "ramet.Executor(template=template) has it",
}
_MAP_TAKES_ONE = (
    "map(fn, items) has one argument of fn from each iterable, and gives the results in order"
)
_LIMIT_OF_EACH = (
    "cancel() of a future kills its call, and ramet.Executor(timeout=...) each after its time"
)
_OF_EXECUTOR = {
    **dict.fromkeys(
        ("apply_async", "apply", "schedule", "clone", "run", "call"),
        "submit(fn, 1, 2) returns a future, whose result() waits",
    ),
    **dict.fromkeys(("map_async", "imap", "imap_unordered"), _MAP_TAKES_ONE),
    **dict.fromkeys(
        ("starmap", "starmap_async"), f"{_MAP_TAKES_ONE}: map(fn, *zip(*items)) for tuples of them"
    ),
    **dict.fromkeys(("close", "stop"), "shutdown() takes no more calls, and waits for all"),
    "join": "shutdown() waits for all, and so does the end of its block",
    "terminate": "terminate_workers() sends SIGTERM to the calls, kill_workers() ends them at once",
    **dict.fromkeys(("kill", "cancel"), f"kill_workers() ends all calls; {_LIMIT_OF_EACH}"),
}
_OF_KINDS = {
    "Child": _OF_CHILD,
    "Command": _OF_COMMAND,
    "Template": _OF_TEMPLATE,
    "Executor": _OF_EXECUTOR,
}
_OF_AIO = {
    "clone": "await ramet.clone(fn) waits for its result",
    "Popen": "open_process(argv) starts a program",
    "Command": "it is ramet.Command",
    **dict.fromkeys(("PIPE", "DEVNULL", "STDOUT"), "ramet has it"),
    **dict.fromkeys(("call", "check_call"), "run(argv) waits for a program's end"),
    "check_output": "run(argv, check=True, capture_output=True) has it as stdout",
    "communicate": "ramet.aio.run(argv, input=..., capture_output=True) writes and reads all",
    "poll": "returncode is None while it runs",
    **dict.fromkeys(
        ("read", "readline", "readuntil"), "receive() gives the next bytes, until EndOfStream"
    ),
    **dict.fromkeys(("write", "writelines", "drain"), "await send(data) writes all of it"),
    "submit": "await run(fn, 1, 2) gives the result; many at once are tasks that each await one, or map()",
    "shutdown": "the end of its block waits for all calls",
}
_OF_RAMET = {
    "spawn": "ramet.Command(argv).spawn() starts a program, ramet.clone(fn) a function",
    "Process": "ramet.clone(fn) runs a function, ramet.Popen(argv) a program",
    "Pool": "ramet.Executor(4) has map(); multiprocessing's is ramet.multiprocessing.context().Pool(4)",
    "ProcessPoolExecutor": "it is ramet.Executor",
    "create_subprocess_exec": "it is ramet.aio.open_process(argv)",
    "clone3": "it is ramet.lowlevel.clone3(); ramet.clone() makes the same call where the kernel has it",
    "system": "it is ramet.call(command, shell=True)",
    "unshare": "ramet.clone(fn, flags=CloneFlag.NEWNET) makes a child in a namespace of its own",
    "setns": "it is ramet.in_namespace(fn, net=...)",
    "Flag": "it is ramet.CloneFlag",
    "Flags": "it is ramet.CloneFlag",
}


def no_callable(what: object, verb: str) -> TypeError:
    """The error for something that is not callable; ... stands for no argument."""
    if what is ...:
        return TypeError(
            f"invalid fn: expected a callable, got none; it comes first: {verb}(fn, 1, 2)"
        )
    text = f"invalid fn: expected a callable, got {type(what).__name__}"
    if verb == "map":
        text += "; it comes first: map(fn, [1, 2])"
    elif isinstance(what, str | bytes | list | tuple):
        text += "; a program is started by ramet.run(argv), Popen(argv) or Command(argv).spawn()"
    else:
        text += f"; hand over the function and not what it returns: {verb}(fn, 1, 2)"
    return TypeError(text)


def no_option_of_functions(name: str, known: Collection[str], of_programs: bool) -> TypeError:
    """The error for a keyword that is no option of functions; of_programs: but one of programs."""
    text = f"there is no option {name!r}"
    if name in _OF_OTHERS:
        return TypeError(f"{text}; {_OF_OTHERS[name]}")
    if of_programs:
        return TypeError(f"{text} for a function, only for a program")
    if name in _OF_CLONE:  # and asked of another verb
        return TypeError(f"{text} here, only for ramet.clone(): this call waits for its child")
    if name in _WISHES_FOR_FUNCTIONS:
        here = f"ramet.clone() and Template take a wish of sandbox=ramet.Sandbox({name}=...)"
        calls = "; Template.clone() and Executor take memory=" if name == "memory" else ""
        return TypeError(f"{text} here; {here}{calls}")
    bound = (
        "keywords are options of the child, and those of fn are bound to it: "
        f"functools.partial(fn, {name}=...)"
    )
    close = _meant(name, [*known, *_OF_CLONE])
    return TypeError(
        f"{text}; did you mean {close!r}? Else {bound}" if close else f"{text}; {bound}"
    )


def no_option_of_programs(name: str, known: Collection[str]) -> TypeError:
    """The error for a keyword that is no option of programs, nor one of the function that was called."""
    text = f"there is no option {name!r}"
    if name in _OF_PROGRAMS_ELSEWHERE:
        return TypeError(f"{text} here; {_OF_PROGRAMS_ELSEWHERE[name]}")
    if name in _WISHES:
        return TypeError(f"{text} here; it is a wish of sandbox=ramet.Sandbox({name}=...)")
    close = _meant(name, known)
    return TypeError(f"{text}; did you mean {close!r}?" if close else text)


def no_option_of_templates(name: str) -> TypeError | None:
    """The error for what its calls or an executor take, and a template does not; None for all else."""
    if name in _OF_EXECUTORS:
        return TypeError(f"there is no option {name!r} here; ramet.Executor has it")
    if name not in _LIMITS_OF_CALLS:
        return None
    return TypeError(
        f"there is no option {name!r} for a template; its calls take it: "
        f"template.clone(fn, {name}=...), and for all of them ramet.Executor({name}=...)"
    )


def no_option_of_contexts(name: str) -> TypeError | None:
    """The error for what processes of multiprocessing cannot have; None for all else."""
    text = f"there is no option {name!r} for a context of multiprocessing"
    if name in _LIMITS_OF_CALLS:
        return TypeError(
            f"{text}: its processes have no {_LIMITS_OF_CALLS[name]}; calls have: "
            f"ramet.Executor({name}=...), ramet.Template.clone(fn, {name}=...)"
        )
    if name in _WISHES:
        return TypeError(
            f"{text}: its processes are in no sandbox; calls are: "
            f"ramet.Executor(sandbox=ramet.Sandbox({name}=...))"
        )
    return None


def no_wish(names: Sequence[str], known: Collection[str]) -> TypeError:
    """The error for keywords that are no wishes of a Sandbox."""
    beside = [name for name in names if _CWD_BY_OTHER_NAMES.get(name, name) in _BESIDE_A_SANDBOX]
    if beside:
        option = _CWD_BY_OTHER_NAMES.get(beside[0], beside[0])
        return TypeError(
            f"invalid wish: a Sandbox has no {', '.join(beside)}; it is given beside the sandbox, to the "
            f"program or call: ramet.run(argv, {option}=..., sandbox=ramet.Sandbox(...))"
        )
    decided = next((name for name in names if name in _NO_WISHES), None)
    if decided:
        return TypeError(
            f"invalid wish: a Sandbox has no {', '.join(names)}; {_NO_WISHES[decided]}"
        )
    others = [_WISHES_BY_OTHER_NAMES.get(name) for name in names]
    meant = [
        close
        for name, other in zip(names, others, strict=True)
        if (close := other or nearest(name, known, cutoff=_ABBREVIATED))
    ]
    hint = f"; did you mean {', '.join(map(repr, meant))}?" if meant else ""
    return TypeError(f"invalid wish: a Sandbox has no {', '.join(names)}{hint}")


def _meant(name: str, known: Collection[str]) -> str | None:
    """The option, or the keyword of a function on the way, that was probably meant."""
    all_known = [*known, *_keywords_on_the_way()]
    other = _OTHER_NAMES.get(name)
    if other in all_known:
        return other
    return nearest(name, all_known, cutoff=_SLIP)


def _keywords_on_the_way() -> set[str]:
    """The keywords of the library's functions on the stack that pass all other keywords on.

    They are those of the function that was called, such as run(), and of what it calls.
    """
    words: set[str] = set()
    frame: FrameType | None = sys._getframe()
    while frame is not None and is_ours(frame):
        code = frame.f_code
        if code.co_flags & _TAKES_ANY_KEYWORD:
            words.update(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
        frame = frame.f_back
    return words - _BY_PLACE


def flag_among_arguments(fn: Callable[..., Any], args: tuple[Any, ...], verb: str) -> None:
    """A flag among fn's arguments, where flags= is not given: perhaps that was forgotten.

    Raises TypeError where fn cannot take it and can do without, and else warns (RuntimeWarning).
    """
    flag = next((arg for arg in args if isinstance(arg, CloneFlag)), None)
    if flag is None:
        return
    name = getattr(fn, "__name__", type(fn).__name__)
    said = "|".join(f"CloneFlag.{each.name}" for each in flag) or "0"
    words = f"{flag} is handed to {name}() as an argument: flags is a keyword, {verb}({name}, flags={said})"
    others = tuple(arg for arg in args if arg is not flag)
    if not _takes(fn, args) and _takes(fn, others):
        raise TypeError(words)
    words += f"; if it is meant, {verb}({name}, {said}, flags=0) says so"
    warnings.warn(words, RuntimeWarning, stacklevel=4)


def _takes(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any] = MappingProxyType({})
) -> bool:
    """Whether fn can be called with these arguments; true where its signature is not known."""
    import inspect  # only a mistake needs it

    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def refuse_limits_for_function(fn: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> None:
    """TypeError where a call's limit is among the keywords of fn, which takes it no more than others."""
    for name in _LIMITS_OF_CALLS.keys() & kwargs.keys():
        others = {key: value for key, value in kwargs.items() if key not in _LIMITS_OF_CALLS}
        if not _takes(fn, args, kwargs) and _takes(fn, args, others):
            called = getattr(fn, "__name__", type(fn).__name__)
            raise TypeError(
                f"invalid {name}: {called}() takes no such argument; the {_LIMITS_OF_CALLS[name]} of each "
                f"call is ramet.Executor({name}={kwargs[name]!r}), that of a single one "
                f"template.clone(fn, 1, 2, {name}={kwargs[name]!r})"
            )


def no_attribute_of(kind: str, thing: object, name: str) -> AttributeError:
    """The error where a Child, a Command, a Template or an Executor has no such name, with what it has."""
    hint = _OF_KINDS[kind].get(name, "")
    return AttributeError(
        f"{kind!r} object has no attribute {name!r}{hint and '; '}{hint}", name=name, obj=thing
    )


def no_attribute_of_aio(thing: object, name: str) -> AttributeError:
    """The error where a part of ramet.aio has no such name, with what it has instead."""
    hint = _OF_AIO.get(name, "")
    kind = thing.__name__ if isinstance(thing, ModuleType) else type(thing).__name__
    return AttributeError(
        f"{kind!r} has no attribute {name!r}{hint and '; '}{hint}", name=name, obj=thing
    )


def no_name_of_ramet(name: str, known: Collection[str]) -> str:
    """What the package has instead of a name, of which these are known; empty for nothing."""
    if name in _OF_RAMET:
        return f"; {_OF_RAMET[name]}"
    flag = name.removeprefix("CLONE_")
    if flag in CloneFlag.__members__:
        return f"; it is ramet.CloneFlag.{flag}"
    close = None if name.startswith("_") else nearest(name, known, cutoff=_SLIP)
    return f"; did you mean ramet.{close}?" if close else ""


def warn_at_caller(text: str, kind: type[Warning], *, through: str | None = None) -> None:
    """Warn at the line that called the library, or the package through which it is called."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and (is_ours(frame) or package_of(frame) == through):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, kind, stacklevel=level)

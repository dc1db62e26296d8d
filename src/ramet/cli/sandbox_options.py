"""The options of `ramet sandbox`, a row for each, and the Sandbox that they become."""

import ast
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple, TypeAlias

from .._sandbox.description import Sandbox
from .._setup.rows import Shell
from .run_options import ShellOption
from .run_readers import seconds

FILES, NETWORK, CALLS, AMOUNTS, MACHINE = (
    "Files",
    "Network",
    "System calls, environment",
    "Amounts",
    "This machine",
)
_SWITCH, _PRESET = "", "preset"
_LARGEST_PORT = 65535


_Reader: TypeAlias = Callable[[str], Any]


class Row(NamedTuple):
    """An option. ``field``: that of a Sandbox, or "preset"; ``read``: how its text is read."""

    heading: str
    field: str
    shell: Shell
    read: _Reader = str

    @property
    def name(self) -> str:
        """Under which click has its value."""
        return self.shell.name.removeprefix("--").replace("-", "_")


class _None:
    """What the word none stands for, as click takes None for an option that was not given."""


class Preset(NamedTuple):
    """A preset with the arguments that it needs."""

    name: str
    arguments: tuple[Any, ...]

    def sandbox(self, **wishes: Any) -> Sandbox:
        """What it is, with these wishes besides."""
        made = getattr(Sandbox, self.name)(*self.arguments, **wishes)
        assert isinstance(made, Sandbox)
        return made


def _switch(name: str, means: object, text: str) -> Shell:
    return Shell(name, _SWITCH, text=text, means=means)


def _path(text: str) -> str:
    if not text:
        raise ValueError("expected a path, got ''")
    return os.path.abspath(text)


def _or_none(text: str) -> Any:
    return _None if text == "none" else text


def _count(text: str) -> Any:
    if text == "none":
        return _None
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _time_or_none(text: str) -> Any:
    return _None if text == "none" else _time(text)


def _time(text: str) -> float:
    found = seconds(text)
    if found == 0:
        raise ValueError(f"expected a time above 0, got {text!r}")
    return found


def _share(text: str) -> Any:
    if text == "none":
        return _None
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"expected a number above 0, such as 0.5 or 2, got {text!r}") from None


def _ports(text: str) -> list[int]:
    found = []
    for word in text.split(","):
        if not word.isdecimal() or int(word) > _LARGEST_PORT:
            advice = "; --write PATH shows a path that may be written" if "/" in text else ""
            raise ValueError(f"expected ports such as 443 or 80,443, got {text!r}{advice}")
        found.append(int(word))
    return found


def _syscalls(text: str) -> Any:
    if text in ("default", "strict", "none"):
        return _or_none(text)
    if "/" not in text and not os.path.exists(text):  # a slip, more likely than a file
        raise ValueError(f"expected default, strict, none or a file, got {text!r}")
    return _path(text)


def _network(text: str) -> str:
    if text in ("none", "loopback", "host"):
        return text
    if "/" not in text:
        raise ValueError(f"expected none, loopback, host or a path with a slash, got {text!r}")
    return _path(text)


def _variable(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not name:
        raise ValueError(f"expected NAME or NAME=VALUE, got {text!r}")
    return name, value if equals else None


def _preset(text: str) -> Preset:
    name, _, words = text.partition(":")
    if name == "strict" and not words:
        return Preset("strict", ())
    if name in ("build", "agent") and words:
        return Preset(name, (_path(words),))
    memory, comma, time = words.partition(",")
    if name == "judge" and memory and comma:
        return Preset("judge", (memory, _time(time)))
    raise ValueError(f"expected strict, build:DIR, agent:DIR or judge:MEMORY,SECONDS, got {text!r}")


_N, _TIME = "N|none", "TIME|none"  # none takes away what a preset has
_MAY_BE_REPEATED = "; may be repeated."


def _row(
    heading: str, field: str, name: str, text: str, value: str = "", read: _Reader = str
) -> Row:
    """One with a value; it may be repeated if its text says so."""
    return Row(
        heading, field, Shell(name, value, text=text, repeated=_MAY_BE_REPEATED in text), read
    )


ROWS = (
    _row(
        FILES,
        "read",
        "--read",
        f"Show PATH, and let programs there run{_MAY_BE_REPEATED}",
        "PATH",
        _path,
    ),
    _row(
        FILES,
        "write",
        "--write",
        f"Show PATH, and let it be written{_MAY_BE_REPEATED}",
        "PATH",
        _path,
    ),
    _row(
        FILES,
        "hidden",
        "--hide",
        f"Hide PATH, below one that is shown{_MAY_BE_REPEATED}",
        "PATH",
        _path,
    ),
    _row(
        FILES,
        "root",
        "--root",
        "Show all files of this machine (/), or the system in the directory PATH, to read.",
        "PATH",
        _path,
    ),
    Row(
        FILES,
        "system",
        _switch("--no-system", False, "Without this machine's programs and libraries."),
    ),
    Row(
        FILES,
        "overlay",
        _switch(
            "--overlay",
            True,
            "Keep what is written below --write in a layer of its "
            "own, which is thrown away at the end.",
        ),
    ),
    _row(
        FILES,
        "tmp",
        "--tmp",
        "A /tmp of its own of that size, by default 64M, or none.",
        "SIZE|none",
        _or_none,
    ),
    Row(FILES, "proc", _switch("--no-proc", False, "Without /proc.")),
    _row(
        NETWORK,
        "network",
        "--network",
        "No network (this is the default), a loopback of its own, the network "
        "of this machine, or a network namespace.",
        "none|loopback|host|PATH",
        _network,
    ),
    _row(
        NETWORK,
        "network",
        "--connect",
        "The network of this machine, but TCP to these ports alone, such as "
        f"80,443{_MAY_BE_REPEATED}",
        "PORTS",
        _ports,
    ),
    _row(
        NETWORK,
        "network",
        "--bind",
        f"The same for ports that it listens on{_MAY_BE_REPEATED}",
        "PORTS",
        _ports,
    ),
    _row(
        CALLS,
        "syscalls",
        "--syscalls",
        "All but those that attack a kernel (this is the default), those alone "
        "that programs usually need, those of a container engine's file, or all.",
        "default|strict|FILE|none",
        _syscalls,
    ),
    Row(
        CALLS,
        "forbidden",
        _switch(
            "--kill-forbidden",
            "kill",
            "End a process that makes a forbidden call, instead of EPERM.",
        ),
    ),
    _row(
        CALLS,
        "environment",
        "--env",
        "A variable beside the usual ones, with the value that it has here or "
        f"another{_MAY_BE_REPEATED}",
        "NAME[=VALUE]",
        _variable,
    ),
    _row(
        CALLS,
        "hostname",
        "--hostname",
        "Its host name; by default sandbox, or yours where it is in your network.",
        "NAME",
    ),
    _row(
        AMOUNTS,
        "memory",
        "--memory",
        "Memory of all its processes together: 512M, 1.5G.",
        "SIZE|none",
        _or_none,
    ),
    _row(AMOUNTS, "swap", "--swap", "Swap beyond that, by default none.", "SIZE|none", _or_none),
    _row(AMOUNTS, "processes", "--processes", "Processes at once, with threads.", _N, _count),
    _row(
        AMOUNTS,
        "cpu_time",
        "--cpu-time",
        "Processor time of all of them together: 5, 0.5, 2m.",
        _TIME,
        _time_or_none,
    ),
    _row(AMOUNTS, "cpus", "--cpus", "As many processors' time; 0.5 is half of one.", _N, _share),
    _row(AMOUNTS, "open_files", "--open-files", "Open files of each process.", _N, _count),
    _row(AMOUNTS, "file_size", "--file-size", "The size of each file.", "SIZE|none", _or_none),
    _row(
        AMOUNTS,
        "output",
        "--output",
        "Standard output and error together; they pass through ramet then, and are no terminal.",
        "SIZE|none",
        _or_none,
    ),
    _row(
        AMOUNTS,
        "timeout",
        "--timeout",
        "The time after which it is killed with all that it has started: 5, 0.5, 2m, 1h.",
        _TIME,
        _time_or_none,
    ),
    _row(
        MACHINE,
        "require",
        "--require",
        "Refuse to start when a wish cannot be met (this is the default), or do what can be done.",
        "all|best",
    ),
    _row(
        MACHINE,
        _PRESET,
        "--preset",
        "strict, build:DIR, agent:DIR or judge:MEMORY,SECONDS: wishes to begin "
        "with, which other options change or add to.",
        "PRESET",
        _preset,
    ),
)

# One program has no use for network namespaces that are made ahead.
NOT_OF_A_COMMAND = frozenset({"warm"})
_ADDED = ("read", "write", "hidden")


def options() -> list[ShellOption]:
    """All of them, under their headings."""
    return [ShellOption(row.heading, row.shell, row.read) for row in ROWS]


def sandbox_of(values: Mapping[str, Any]) -> Sandbox:
    """What was given as a Sandbox.

    Raises TypeError and ValueError as that does; the fields in the message are named by their options.
    """
    try:
        return _sandbox(values)
    except (TypeError, ValueError) as error:
        raise type(error)(in_words_of_options(str(error))) from None


def _sandbox(values: Mapping[str, Any]) -> Sandbox:
    wishes = dict(_wishes(values))
    preset: Preset | None = values[_PRESET]
    if preset is None:
        return Sandbox(**wishes)
    base = preset.sandbox()
    for field in _ADDED:
        wishes[field] = list(dict.fromkeys([*getattr(base, field), *wishes.get(field, ())]))
    return base.replace(**wishes)


def _wishes(values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for row in ROWS:
        value = values[row.name]
        if row.field in ("network", "environment", _PRESET) or value is None or value == ():
            continue
        if not row.shell.value:
            if value:
                yield row.field, row.shell.means
        else:
            yield (
                row.field,
                None if value is _None else list(value) if row.shell.repeated else value,
            )
    ports = {
        way: [port for ports in values[way] for port in ports]
        for way in ("connect", "bind")
        if values[way]
    }
    if ports and values["network"] is not None:
        raise ValueError(
            f"invalid network with {' and '.join(ports)}: ports are of the network of this machine; "
            "leave --network out"
        )
    if ports or values["network"] is not None:
        yield "network", ports or values["network"]
    if values["env"]:
        usual = next(field.default for field in fields(Sandbox) if field.name == "environment")
        names = [name for name, _ in values["env"]]
        yield "environment", list(dict.fromkeys([*usual, *names]))  # type: ignore[misc] # a tuple


def in_words_of_options(message: str) -> str:
    """A message of the library's, with options in the place of fields and their values."""
    message = _PATHS_GIVEN.sub(_as_options, message)
    for field, option in _VALUES_GIVEN:
        message = message.replace(field, option)
    head, colon, rest = message.partition(":")
    if not head.startswith("invalid "):
        return message
    names = {row.field: row.shell.name for row in reversed(ROWS)}
    return " ".join(names.get(word, word) for word in head.split(" ")) + colon + rest


_VALUES_GIVEN = (
    ("overlay=True", "--overlay"),
    ('require="best"', "--require best"),
    ("root='/'", "--root /"),
    (
        "give os.path.expanduser() of it: '~' is a shell's, and a name like any other here",
        "let it begin a word outside of quotes, as in --read ~/x: there the shell replaces '~'",
    ),
    (
        "give os.path.expandvars() of it: '$' is a shell's, and a letter like any other here",
        "leave out the single quotes: the shell replaces '$NAME' in double ones and outside of quotes",
    ),
)
_PATHS_GIVEN = re.compile(r"\b(read|write)=(\[[^]]*\])")


def _as_options(found: re.Match[str]) -> str:
    try:
        paths = ast.literal_eval(found[2])
    except (ValueError, SyntaxError):  # a path with a bracket
        return found[0]
    return " ".join(f"--{found[1]} {shlex.quote(path)}" for path in paths)


def set_variables(values: Mapping[str, Any]) -> None:
    """Give the variables of --env their values in this process, of which the program gets them."""
    for name, value in values["env"]:
        if value is not None:
            os.environ[name] = value

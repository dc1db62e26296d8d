"""The options of `ramet sandbox`, a row for each, and the Sandbox that they become."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

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


class Row(NamedTuple):
    """An option. ``field``: that of a Sandbox, or "preset"; ``read``: how its text is read."""

    heading: str
    field: str
    shell: Shell
    read: Callable[[str], Any] = str

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


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _time(text: str) -> float:
    found = seconds(text)
    if found == 0:
        raise ValueError(f"expected a time above 0, got {text!r}")
    return found


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"expected a number above 0, such as 0.5 or 2, got {text!r}") from None


def _ports(text: str) -> list[int]:
    found = []
    for word in text.split(","):
        if not word.isdecimal() or int(word) > _LARGEST_PORT:
            raise ValueError(f"expected ports such as 443 or 80,443, got {text!r}")
        found.append(int(word))
    return found


def _syscalls(text: str) -> Any:
    return _or_none(text) if text in ("default", "strict", "none") else _path(text)


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


ROWS = (
    Row(FILES, "read", Shell("--read", "PATH", text="Show PATH, and let programs there run; may be repeated.",
        repeated=True), _path),
    Row(FILES, "write", Shell("--write", "PATH", text="Show PATH, and let it be written; may be repeated.",
        repeated=True), _path),
    Row(FILES, "hidden", Shell("--hide", "PATH", text="Hide PATH, which is below one that is shown; may be "
        "repeated.", repeated=True), _path),
    Row(FILES, "root", Shell("--root", "PATH", text="Show /, all files of this machine, or the system in the "
        "directory PATH, to read."), _path),
    Row(FILES, "system", _switch("--no-system", False, "Do not show this machine's programs and libraries.")),
    Row(FILES, "overlay", _switch("--overlay", True, "Keep what is written below --write in a layer of its own, "
        "which is thrown away at the end.")),
    Row(FILES, "tmp", Shell("--tmp", "SIZE|none", text="A /tmp of its own of that size, by default 64M, or none."),
        _or_none),
    Row(FILES, "proc", _switch("--no-proc", False, "No /proc.")),
    Row(NETWORK, "network", Shell("--network", "none|loopback|host|PATH", text="No network (this is the default), an "
        "own loopback, the network of this machine, or a network namespace."), _network),
    Row(NETWORK, "network", Shell("--connect", "PORTS", text="The network of this machine, but TCP to these ports "
        "alone, such as 80,443; may be repeated.", repeated=True), _ports),
    Row(NETWORK, "network", Shell("--bind", "PORTS", text="The same for ports that it listens on; may be repeated.",
        repeated=True), _ports),
    Row(CALLS, "syscalls", Shell("--syscalls", "default|strict|FILE|none", text="Which may be called: all but those "
        "that attack a kernel, those alone that programs usually need, those of a container engine's file, or all."),
        _syscalls),
    Row(CALLS, "forbidden", _switch("--kill-forbidden", "kill", "End a process that calls another, instead of EPERM.")),
    Row(CALLS, "environment", Shell("--env", "NAME[=VALUE]", text="A variable beside the usual ones, with the value "
        "that it has here or another; may be repeated.", repeated=True), _variable),
    Row(CALLS, "hostname", Shell("--hostname", "NAME", text="Its host name, by default sandbox.")),
    Row(AMOUNTS, "memory", Shell("--memory", "SIZE", text="Memory of all its processes together: 512M, 1.5G."), _or_none),
    Row(AMOUNTS, "swap", Shell("--swap", "SIZE", text="Swap beyond that, by default none."), _or_none),
    Row(AMOUNTS, "processes", Shell("--processes", "N", text="Processes at once, with threads."), _count),
    Row(AMOUNTS, "cpu_time", Shell("--cpu-time", "TIME", text="Processor time of all of them together: 5, 0.5, 2m."),
        _time),
    Row(AMOUNTS, "cpus", Shell("--cpus", "N", text="As many processors' time; 0.5 is half of one."), _share),
    Row(AMOUNTS, "open_files", Shell("--open-files", "N", text="Open files of each process."), _count),
    Row(AMOUNTS, "file_size", Shell("--file-size", "SIZE", text="The size of each file."), _or_none),
    Row(AMOUNTS, "output", Shell("--output", "SIZE", text="Standard output and error together; what it writes passes "
        "through ramet then."), _or_none),
    Row(AMOUNTS, "timeout", Shell("--timeout", "TIME", text="The time after which it is killed with all that it has "
        "started: 5, 0.5, 2m, 1h."), _time),
    Row(MACHINE, "require", Shell("--require", "all|best", text="Refuse to start when a wish cannot be met (this is "
        "the default), or do what can be done.")),
    Row(MACHINE, _PRESET, Shell("--preset", "PRESET", text="strict, build:DIR, agent:DIR or judge:MEMORY,SECONDS: "
        "wishes to begin with, which other options change or add to."), _preset),
)  # fmt: skip

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
            f"invalid network with {' and '.join(ports)}: ports are of the network of this machine"
        )
    if ports or values["network"] is not None:
        yield "network", ports or values["network"]
    if values["env"]:
        usual = next(field.default for field in fields(Sandbox) if field.name == "environment")
        names = [name for name, _ in values["env"]]
        yield "environment", list(dict.fromkeys([*usual, *names]))  # type: ignore[misc] # a tuple


def in_words_of_options(message: str) -> str:
    """A message of the library's, with options in the place of fields and their values."""
    message = _PATHS_GIVEN.sub(lambda found: f"--{found[1]} {found[2]}", message)
    message = message.replace("overlay=True", "--overlay").replace(
        'require="best"', "--require best"
    )
    head, colon, rest = message.partition(":")
    if not head.startswith("invalid "):
        return message
    names = {row.field: row.shell.name for row in reversed(ROWS)}
    return " ".join(names.get(word, word) for word in head.split(" ")) + colon + rest


_PATHS_GIVEN = re.compile(r"\b(read|write)=\['([^']*)'\]")


def set_variables(values: Mapping[str, Any]) -> None:
    """Give the variables of --env their values in this process, of which the program gets them."""
    for name, value in values["env"]:
        if value is not None:
            os.environ[name] = value

"""The options of `ramet sandbox`, made from the fields of a Sandbox."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import click

from .._sandbox.description import KEPT_ENVIRONMENT, Sandbox

_FILES, _NETWORK, _CALLS, _AMOUNTS, _MACHINE = (
    *("Files", "Network", "System calls and environment", "Amounts", "This machine"),
)


class Option(NamedTuple):
    """An option of the shell, and the field that it becomes.

    value: its name in the help, empty for a switch. becomes: the field's value, of what was given.
    repeated: it may be given again.
    """

    heading: str
    name: str
    value: str
    text: str
    field: str
    becomes: Callable[[Any], Any] = lambda value: value
    repeated: bool = False


def _port(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"expected the number of a port, got {text!r}")
    return int(text)


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"expected a number, got {text!r}") from None


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"expected a whole number, got {text!r}")
    return int(text)


def _or_none(text: str) -> str | None:
    return None if text == "none" else text


def _list(read: Callable[[str], Any] = str) -> Callable[[tuple[str, ...]], list[Any]]:
    return lambda texts: [read(text) for text in texts]


def _ports(direction: str) -> Callable[[tuple[str, ...]], dict[str, list[int]]]:
    return lambda texts: {direction: [_port(text) for text in texts]}


OPTIONS = (
    Option(_FILES, "--read", "PATH", "can be read and run", "read", _list(), repeated=True),
    Option(_FILES, "--write", "PATH", "can be written as well", "write", _list(), repeated=True),
    Option(_FILES, "--hide", "PATH", "is not to be seen", "hidden", _list(), repeated=True),
    Option(
        _FILES,
        "--no-system",
        "",
        "Without the programs of this machine.",
        "system",
        lambda _: False,
    ),
    Option(_FILES, "--root", "DIR", "The root directory: / for all files, read-only.", "root"),
    Option(_FILES, "--overlay", "", "What is written goes to a layer.", "overlay"),
    Option(_FILES, "--tmp", "SIZE", "Of a private /tmp, or none.", "tmp", _or_none),
    Option(_FILES, "--no-proc", "", "Without /proc.", "proc", lambda _: False),
    Option(_NETWORK, "--network", "KIND", "One of none, loopback, host, or a path.", "network"),
    Option(
        *(
            _NETWORK,
            "--connect",
            "PORT",
            "of the caller's network that may be connected to",
            "network",
        ),
        _ports("connect"),
        repeated=True,
    ),
    Option(
        *(_NETWORK, "--bind", "PORT", "of the caller's network that may be bound", "network"),
        _ports("bind"),
        repeated=True,
    ),
    Option(
        _CALLS,
        "--syscalls",
        "WHICH",
        "One of default, strict, none, or a file.",
        "syscalls",
        _or_none,
    ),
    Option(
        _CALLS, "--kill", "", "A forbidden call ends the program.", "forbidden", lambda _: "kill"
    ),
    Option(
        *(_CALLS, "--env", "NAME", "The program gets this variable, too", "environment"),
        lambda names: [*KEPT_ENVIRONMENT, *names],
        repeated=True,
    ),
    Option(_CALLS, "--hostname", "NAME", "The host name.", "hostname"),
    Option(_AMOUNTS, "--memory", "SIZE", "Of all processes: 512M, 1G.", "memory"),
    Option(_AMOUNTS, "--swap", "SIZE", "Beyond that.", "swap"),
    Option(_AMOUNTS, "--processes", "N", "At once, with threads.", "processes", _whole),
    Option(_AMOUNTS, "--cpu-time", "SECONDS", "Of processor time.", "cpu_time", _real),
    Option(_AMOUNTS, "--cpus", "N", "How many processors' time; 0.5 is half.", "cpus", _real),
    Option(_AMOUNTS, "--open-files", "N", "Of each process.", "open_files", _whole),
    Option(_AMOUNTS, "--file-size", "SIZE", "Of each file.", "file_size"),
    Option(_AMOUNTS, "--timeout", "SECONDS", "After which all is killed.", "timeout", _real),
    Option(
        *(_MACHINE, "--best", "", "Do what can be done here, and say what is lost.", "require"),
        lambda _: "best",
    ),
)


class SandboxOption(click.Option):
    """One of them, under its heading."""

    def __init__(self, option: Option) -> None:
        self.heading = option.heading
        text = option.text if option.text.endswith(".") else f"{option.text}; may be repeated."
        super().__init__(
            [option.name, _parameter(option)],
            help=text[0].upper() + text[1:],
            metavar=option.value or None,
            is_flag=None if option.value else True,
            multiple=option.repeated,
        )


def _parameter(option: Option) -> str:
    return option.name.lstrip("-").replace("-", "_")


def shell_options() -> Iterator[SandboxOption]:
    """All of them, in the order of the help."""
    return map(SandboxOption, OPTIONS)


def described(given: Mapping[str, Any]) -> Sandbox:
    """What was given, as a Sandbox. TypeError and ValueError as it raises them, with the option's name."""
    wishes: dict[str, Any] = {}
    for option in OPTIONS:
        value = given[_parameter(option)]
        if value in (None, False, ()):
            continue
        try:
            found = option.becomes(value)
        except ValueError as error:
            raise ValueError(f"invalid {option.name}: {error}") from None
        before = wishes.get(option.field)
        wishes[option.field] = found if before is None else _joined(before, found)
    return Sandbox(**wishes)


def _joined(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return one | other
    raise ValueError(f"invalid --network {one}: expected it without --connect and --bind")

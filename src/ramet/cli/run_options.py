"""The options of `ramet run`, made from the rows of the library's options."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from .._setup.rows import OPTIONS, Option, Shell
from .._setup.validate import validate
from ..flags import CloneFlag
from .run_readers import NEW, READERS

if TYPE_CHECKING:
    from .._setup.options import Options


class _Reading(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4
    """A text that becomes the value of an option, checked as soon as it is read."""

    name = "text"

    def __init__(self, read: Callable[[str], Any], option: str | None) -> None:
        self._read = read
        self._option = option

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """What the option takes."""
        try:
            found = self._read(value)
            if self._option is not None:
                validate({self._option: found}, OPTIONS)
        except (ValueError, TypeError, OverflowError) as error:
            self.fail(str(error).removeprefix(f"invalid {self._option}: "), param, ctx)
        except OSError as error:
            self.fail(f"{value!r}: {error.strerror}", param, ctx)
        return found


class ShellOption(click.Option):
    """An option, the heading under which the help has it, and the option of the library that it becomes.

    shell: as in a row; read: how its text is read.
    """

    def __init__(
        self,
        heading: str,
        shell: Shell,
        read: Callable[[str], Any] = str,
        becomes: str | None = None,
    ) -> None:
        self.heading, self.becomes, self.means = heading, becomes, shell.means
        super().__init__(
            [shell.name],
            help=shell.text,
            metavar=shell.value or None,
            type=_Reading(read, becomes) if shell.value else None,
            is_flag=None if shell.value else True,  # with False click takes -1 for an option
            multiple=shell.repeated,
        )

    def given(self, values: Mapping[str, Any]) -> list[Any]:
        """What it has come to be, each time that it was given."""
        value = values[str(self.name)]
        if self.is_flag:
            return [self.means] if value else []
        if self.multiple:
            return list(value)
        return [] if value is None else [value]


def from_row(row: Option) -> Iterator[ShellOption]:
    """The options that an option of the library has in a shell."""
    for shell in row.shell:
        text = ": ".join(filter(None, [(shell.text or row.text).removesuffix("."), shell.form]))
        text += "; may be repeated." if shell.repeated else "."
        read = READERS[shell.reader] if shell.reader else READERS.get(row.kind.name, str)
        yield ShellOption(
            row.group, shell._replace(text=text), read, None if shell.own_way else row.name
        )


def from_rows() -> list[ShellOption]:
    """All of them, under their headings."""
    return [option for row in OPTIONS.values() for option in from_row(row)]


def library_options(given: Mapping[str, Any]) -> "Options":
    """What was given as options of the library; the files of --stdin and the like are not in it."""
    # As with env(1), what the caller has open stays open.
    options: dict[str, Any] = {"close_fds": False}
    for one in from_rows():
        if one.becomes is not None:
            for value in one.given(given):
                before = options.get(one.becomes) if one.multiple else None
                options[one.becomes] = value if before is None else _joined(before, value)
    if given["map_root"]:
        options["uid_map"] = [(0, os.geteuid(), 1), *options.get("uid_map", ())]
        options["gid_map"] = [(0, os.getegid(), 1), *options.get("gid_map", ())]
    if "uid_map" in options or "gid_map" in options:
        options["flags"] = options.get("flags", 0) | CloneFlag.NEWUSER.value
    if given["env"] or given["unset_env"] or given["clear_env"]:
        options["env"] = _environment(given)
    elif (coerced := _without_coercion()) is not None:
        options["env"] = coerced
    return options  # type: ignore[return-value] # by way of the names in the rows


def _joined(one: Any, other: Any) -> Any:
    """Two values of an option that may be repeated: flags, mappings or lists."""
    return one + other if isinstance(one, list) else one | other


def _environment(given: Mapping[str, Any]) -> dict[str, str]:
    kept = {} if given["clear_env"] else (_without_coercion() or dict(os.environ))
    for name in given["unset_env"]:
        kept.pop(name, None)
    kept.update(given["env"])
    return kept


def _without_coercion() -> dict[str, str] | None:
    """The environment without what Python has set in it for itself; None when that is nothing.

    Source: PEP 538.
    """
    if os.environ.get("LC_CTYPE") not in {"C.UTF-8", "C.utf8", "UTF-8"}:
        return None
    try:
        with open("/proc/self/environ", "rb") as file:
            ours = file.read().split(b"\0")
    except OSError:
        return None
    if any(assignment.startswith(b"LC_CTYPE=") for assignment in ours):
        return None
    return {name: value for name, value in os.environ.items() if name != "LC_CTYPE"}


def in_words_of_options(message: str) -> str:
    """A message of the library's, with options in the place of its own, and of flags that are missing."""
    head, colon, rest = message.partition(":")
    if not head.startswith("invalid "):
        return message
    names = {name: row.shell[0].name for name, row in OPTIONS.items() if row.shell}
    names["flags"] = "--flags"  # --new gives flags, too, but none that are invalid by themselves
    names |= {str(CloneFlag(bits)): f"--new {kind}" for kind, bits in NEW.items()}
    head = " ".join(names.get(word, word) for word in head.split(" "))
    return head + colon + rest.replace("; add the flag", "; add that option")

"""What Popen and run take, checked before a pipe or a program is made."""

import os
from collections.abc import Mapping
from io import UnsupportedOperation
from typing import Any

from .._kernel.timeouts import checked_timeout
from .._setup.checks import invalid

_TEXT_MODES = ("text", "universal_newlines", "encoding", "errors")
_STREAM = "PIPE, DEVNULL, a descriptor or an open file"
_MODES = {"stdin": "rb", "stdout": "wb", "stderr": "wb"}
_INSTEAD_OF_MEMORY = {
    "stdin": "input= takes what is in memory",
    "stdout": "PIPE or capture_output=True gives what was written",
    "stderr": "PIPE or capture_output=True gives what was written",
}
_NO_CALLABLE = "ramet.clone(fn) runs a function"


def words_of(args: Any) -> list[Any]:
    """The words of a program, as a list of their own; TypeError where there are none, or one is none."""
    if not isinstance(args, (list, tuple)):  # first: the check for PathLike takes ten times as long
        if isinstance(args, str | bytes | os.PathLike):
            return [args]
        if not hasattr(type(args), "__iter__") and not hasattr(type(args), "__getitem__"):
            hint = _NO_CALLABLE if callable(args) else ""
            raise invalid("args", "a list of words", args, TypeError, hint)
    words = list(args)
    for place, word in enumerate(words):
        if type(word) is not str and not isinstance(word, str | bytes | os.PathLike):
            hint = f"str({word!r})" if isinstance(word, int | float) else ""
            raise invalid(f"args[{place}]", "str, bytes or a path", word, TypeError, hint)
    return words


def refuse_no_stream(name: str, given: Any) -> None:
    """TypeError for the name of a file and the like; io.UnsupportedOperation for a file in memory."""
    if given is None or isinstance(given, int):
        return
    if hasattr(given, "fileno"):
        try:
            given.fileno()
        except UnsupportedOperation as error:
            hint = _INSTEAD_OF_MEMORY[name]
            raise invalid(name, _stream_of(name), given, type(error), hint) from None
        return
    hint = ""
    if isinstance(given, str | os.PathLike):
        hint = f"open({os.fspath(given)!r}, {_MODES[name]!r}) makes one"
    raise invalid(name, _stream_of(name), given, TypeError, hint)


def _stream_of(name: str) -> str:
    return _STREAM.replace("DEVNULL,", "STDOUT, DEVNULL,") if name == "stderr" else _STREAM


def refuse_no_input(given: Any, options: Mapping[str, Any]) -> None:
    """TypeError for an input that could not be sent, as a str where bytes are; an empty one can be."""
    is_text = any(options.get(word) for word in _TEXT_MODES)
    if isinstance(given, str):
        if given and not is_text:
            raise no_input("bytes", given, "text=True takes str")
    elif not is_text:
        try:
            memoryview(given).release()
        except TypeError:
            raise no_input("bytes", given) from None
    elif not isinstance(given, bytes) or given:
        raise no_input("a str in text mode", given)


def no_input(expected: str, given: Any, hint: str = "") -> TypeError:
    """The error for an input; it does not show the data, which may be long or secret."""
    kind = type(given).__name__
    return TypeError(f"invalid input: expected {expected}, got {kind}{hint and '; '}{hint}")


def grace_of(kill_after: float | None, timeout: float | None) -> float | None:
    """How long a program has between SIGTERM and its end; it has that only where there is a timeout."""
    grace = checked_timeout(kill_after, "kill_after")
    if grace and timeout is None:
        raise ValueError("invalid kill_after without timeout: it needs one, at whose end it begins")
    return grace


def truth_of(name: str, given: Any) -> bool:
    """True or False, or a number that is equal to it; TypeError for another, as the word "no"."""
    if not isinstance(given, int) or given not in (0, 1):
        raise invalid(name, "True or False", given, TypeError)
    return bool(given)

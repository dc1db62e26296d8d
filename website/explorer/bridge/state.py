"""The state of the page, as a request to the law and back.

A state is what an address of the page holds: ``flags``, a number in text without the exit signal;
``signal``, a number in text, or "auto" for the one that Ramet would pass; ``call``, one of the law's or
"auto" for the one that Ramet would make; ``caller``, a name of CALLERS; ``kernel``; and ``fields``,
further ones of the request, each a number in text, or for set_tid numbers with a dot between them.
"""

from typing import Any

from ramet.flags import SIGNAL_BITS, CloneFlag
from ramet.law import Explanation, explain
from ramet.law.mending import Change
from ramet.law.reading import RECIPES, read

from .callers import CALLERS

AUTO = "auto"
_SIGCHLD = 17
_SIGNAL_OF_CLONE = CloneFlag.CSIGNAL.value
_SIZE_TODAY = 88  # bytes of struct clone_args
# As ramet.clone(): such a task's end sends no signal, or not the one that is asked for.
_QUIET = CloneFlag.THREAD.value | CloneFlag.PARENT.value


def explained(state: dict[str, Any]) -> Explanation:
    """The law's answer. Raises ValueError or TypeError where the state is no request."""
    flags, call = int(state["flags"], 0), state["call"]
    signal = signal_of(state)
    caller = CALLERS.get(state["caller"])
    if caller is None:
        raise ValueError(
            f"invalid caller: expected one of {', '.join(CALLERS)}, got {state['caller']!r}"
        )
    fields = {name: _value(name, text) for name, text in state.get("fields", {}).items()}
    about: dict[str, Any] = {"caller": caller, "kernel": state["kernel"], **fields}
    if not fields and (recipe := _recipe(flags, signal, call)):
        return explain(recipe, **about)
    if call == AUTO:
        return explain(flags | signal, **about)
    if call == "clone":  # to which the low byte is the signal, NEWTIME's bit included
        flags, signal = flags & ~_SIGNAL_OF_CLONE, flags & _SIGNAL_OF_CLONE | signal
    has_signal = call in {"clone", "clone3"}
    return explain(flags, call=call, exit_signal=signal if has_signal else None, **about)


def signal_of(state: dict[str, Any]) -> int:
    """The exit signal of a state."""
    if state["signal"] == AUTO:
        return 0 if int(state["flags"], 0) & _QUIET else _SIGCHLD
    return int(state["signal"], 0)


def read_text(text: str, kernel: str) -> dict[str, Any]:
    """The state that a text stands for, but for caller and kernel. Raises ValueError."""
    explain(text, kernel=kernel)  # refuses what is no request
    reading = read(text)
    flags, signal = reading.flags, reading.exit_signal
    if reading.call in {"unshare", "setns"}:
        signal = 0
    elif signal is None:
        signal = flags & (_SIGNAL_OF_CLONE if reading.call == "clone" else SIGNAL_BITS)
        flags &= ~signal
    return {
        "flags": hex(flags),
        "signal": str(signal) if signal or reading.call else AUTO,
        "call": reading.call or AUTO,
        "fields": _texts(_deciding(reading.fields)),
        "traced_errno": reading.traced_errno,
    }


def _deciding(fields: dict[str, Any]) -> dict[str, Any]:
    """Without those that say what is so without them."""
    ordinary = {"stack": 0, "stack_size": 0, "size": _SIZE_TODAY}
    return {name: value for name, value in fields.items() if ordinary.get(name) != value}


def state_of(change: Change, told: Explanation) -> dict[str, Any]:
    """The state after a change of what was asked; what is the same as the automatic stays automatic."""
    request = told.outcome.request
    automatic = change.call == request.call and not told.call_is_named
    call = AUTO if automatic else change.call
    flags, signal = hex(change.flags), str(change.exit_signal)
    if str(signal_of({"flags": flags, "signal": AUTO})) == signal and call != "unshare":
        signal = AUTO
    return {"flags": flags, "signal": signal, "call": call, "fields": _texts(dict(change.fields))}


def _recipe(flags: int, signal: int, call: str) -> str | None:
    """The name of the recipe that is this very request."""
    for name, known in RECIPES.items():
        if (known.flags, known.exit_signal, known.call) == (flags, signal, call):
            return name
    return None


def _value(name: str, text: str) -> int | tuple[int, ...]:
    try:
        if name == "set_tid" and not text.startswith("0x"):
            return tuple(int(pid) for pid in text.split("."))
        return int(text, 0)
    except ValueError:
        raise ValueError(f"invalid {name}: expected a number, got {text!r}") from None


def _texts(fields: dict[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in fields.items()}


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ".".join(map(str, value))
    return hex(value) if value > _LARGEST_DECIMAL else str(int(value))


_LARGEST_DECIMAL = 0xFFFF  # descriptors and sizes are read more easily in tens

"""What every kernel grants, told at once; for all else the law is asked, which takes long to import."""

from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from ..errors import CloneError
from ..flags import LAST_SIGNAL, CloneFlag

if TYPE_CHECKING:
    from ..law import Call

# No rule of any kernel speaks of these, alone or together; a test asks the law.
GRANTED = (
    CloneFlag.VM.value
    | CloneFlag.FS.value
    | CloneFlag.FILES.value
    | CloneFlag.VFORK.value
    | CloneFlag.SYSVSEM.value
    | CloneFlag.IO.value
    | CloneFlag.PIDFD.value
)
_GRANTED_BY_CLONE3 = GRANTED | CloneFlag.CLEAR_SIGHAND.value


def check(flags: int, exit_signal: int, call: "Call", asked: int | None = None) -> None:
    """Raise CloneError when no supported kernel can grant the request: refusal.check()."""
    granted = _GRANTED_BY_CLONE3 if call == "clone3" else GRANTED
    if flags & ~granted or not 0 <= exit_signal <= LAST_SIGNAL:
        law = _law()
        if law is not None:
            law.check(flags, exit_signal, call, asked)


def refusal(
    error: OSError,
    flags: int,
    exit_signal: int,
    call: "Call",
    asked: int | None = None,
    **fields: Any,
) -> OSError:
    """The error for what the kernel refused, the clone call or a helper of it: as in refusal.py.

    What a handler of a signal has raised meanwhile is itself.
    """
    if _is_from_elsewhere(error):
        return error
    law, number = _law(), error.errno or 0
    if law is None:
        return CloneError(number)
    if error.filename is not None:
        return cast(CloneError, law.no_helper(error.filename, number, flags, exit_signal, asked))
    return cast(CloneError, law.refusal(number, flags, exit_signal, call, asked, **fields))


_LIBRARY = __package__.partition(".")[0]


def _is_from_elsewhere(error: OSError) -> bool:
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__", "").partition(".")[0] != _LIBRARY:
            return True
        traceback = traceback.tb_next
    return False


def _law() -> ModuleType | None:
    """None where it cannot be read: no descriptor is free, or files are out of reach. The kernel judges."""
    try:
        from . import refusal as law
    except (OSError, ImportError):
        return None
    return law


def own_refusal(rule_id: str, flags: int, exit_signal: int = 0) -> CloneError:
    """The error for what the library cannot put to the kernel at all: refusal.own_refusal()."""
    from .refusal import own_refusal as refusal_of_the_library

    return refusal_of_the_library(rule_id, flags, exit_signal)

"""Requests that every kernel accepts pass at once; any other imports the law, which takes long."""

from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from .._kernel.signal_handlers import is_from_handler
from ..errors import CloneError
from ..flags import LAST_SIGNAL, CloneFlag

if TYPE_CHECKING:
    from ..law import Call

# No rule names these, alone or together; a test asks the law.
ACCEPTED = (
    CloneFlag.VM.value
    | CloneFlag.FS.value
    | CloneFlag.FILES.value
    | CloneFlag.VFORK.value
    | CloneFlag.SYSVSEM.value
    | CloneFlag.IO.value
    | CloneFlag.PIDFD.value
)
_ACCEPTED_BY_CLONE3 = ACCEPTED | CloneFlag.CLEAR_SIGHAND.value
# Accepted where there is no exit signal, as of a template's clones.
_WITHOUT_SIGNAL = CloneFlag.PARENT.value
_FS = CloneFlag.FS.value
# Accepted without that, as of a confined template's clones.
_WITHOUT_FS = CloneFlag.NEWNS.value


def check(flags: int, exit_signal: int, call: "Call", asked: int | None = None) -> None:
    """Raise CloneError when no supported kernel accepts the request: refusal.check()."""
    accepted = _ACCEPTED_BY_CLONE3 if call == "clone3" else ACCEPTED
    if exit_signal == 0:
        accepted |= _WITHOUT_SIGNAL
    if not flags & _FS:
        accepted |= _WITHOUT_FS
    if flags & ~accepted or not 0 <= exit_signal <= LAST_SIGNAL:
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
    """The error for a clone call that the kernel refused, its own or that of a helper: see refusal.py.

    An OSError that a signal handler raised meanwhile is returned as it is.
    """
    if is_from_handler(error):
        return error
    law, number = _law(), error.errno or 0
    if law is None:
        return CloneError(number)
    if error.filename is not None:
        return cast(CloneError, law.no_helper(error.filename, number, flags, exit_signal, asked))
    return cast(CloneError, law.refusal(number, flags, exit_signal, call, asked, **fields))


def _law() -> ModuleType | None:
    """refusal.py; None when it cannot be imported, for want of a descriptor or of access to the file."""
    try:
        from . import refusal as law
    except (OSError, ImportError) as error:
        if is_from_handler(error):
            raise
        return None
    return law


def own_refusal(rule_id: str, flags: int, exit_signal: int = 0) -> CloneError:
    """The error for a request that the library cannot pass to the kernel: refusal.own_refusal()."""
    from .refusal import own_refusal as refusal_of_the_library

    return refusal_of_the_library(rule_id, flags, exit_signal)

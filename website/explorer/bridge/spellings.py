"""One request as it is written elsewhere: in C, with Ramet, by strace, in a shell."""

from ramet.law import Outcome

from .by_strace import strace
from .in_c import clone, clone3
from .in_shell import ramet_run, unshare_command
from .with_ramet import ramet
from .words import joined, shown


def spellings(outcome: Outcome, recipe: str | None) -> list[dict[str, str]]:
    """Each with its kind: the call in C, "ramet", "strace", "unshare(1)" or "ramet run"."""
    request = outcome.request
    written: list[tuple[str, str | None]] = []
    match request.call:
        case "unshare":
            written.append(("unshare", f"unshare({joined(request.flags)});"))
        case "setns":
            written.append(("setns", f"setns({shown(request.fd, 'fd')}, {joined(request.flags)});"))
        case _:
            written += [("clone3", clone3(request)), ("clone", clone(request))]
    written += [
        ("ramet", ramet(request, recipe)),
        ("strace", strace(outcome)),
        ("unshare(1)", unshare_command(request)),
        ("ramet run", ramet_run(request)),
    ]
    return [{"kind": kind, "code": code} for kind, code in written if code]

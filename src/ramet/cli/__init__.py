"""The command line: ``ramet``."""

import errno
import os
import sys
from contextlib import suppress

from .._kernel.descriptors import above_standard

_OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def main() -> None:
    """Run a command. The extra `cli` has what it needs beyond the library."""
    _tell_nobody_where_closed()
    try:
        from .group import ramet

        ramet(prog_name="ramet")
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in {"click", "rich"}:
            raise
        sys.exit(f"ramet: {package} is missing: pip install 'ramet[cli]'")
    except OSError as error:
        if error.errno not in _OF_WRITING:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what it still holds
        sys.exit(f"ramet: the output cannot be written: {error.strerror}")


def _tell_nobody_where_closed() -> None:
    """Let a command write although its standard output or error is closed, where Python has None for it.

    The descriptors stay closed, for the programs that it runs; sys.__stdout__ stays None.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            with suppress(OSError):  # no /dev/null
                nothing = above_standard(os.open(os.devnull, os.O_WRONLY))
                stream = open(nothing, "w", encoding="utf-8")  # noqa: SIM115
                setattr(sys, name, stream)

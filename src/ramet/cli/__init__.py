"""The command line: ``ramet``."""

import errno
import os
import sys

_OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def main() -> None:
    """Run a command. The extra `cli` has what it needs beyond the library."""
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

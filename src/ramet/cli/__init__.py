"""The command line: ``ramet``."""

import sys


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

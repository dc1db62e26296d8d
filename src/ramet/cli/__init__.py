"""The command line: ``ramet``."""

import sys


def main() -> None:
    """Run a command. What the command line needs beyond the library comes with an extra."""
    try:
        from .group import ramet

        ramet(prog_name="ramet")
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in {"click", "rich"}:
            raise
        sys.exit(f"ramet: {package} is missing: pip install 'ramet[cli]'")

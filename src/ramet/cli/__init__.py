"""The command line: `ramet`, a command a file."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        import click  # noqa: F401, PLC0415 - an extra, which may be missing
        import rich  # noqa: F401, PLC0415
    except ModuleNotFoundError as missing:
        sys.exit(f"ramet: {missing.name} is not installed: pip install 'ramet[cli]'")
    from .commands import ramet  # noqa: PLC0415 - needs click

    ramet(prog_name="ramet")

"""Debuggers, which a test in a clone cannot have."""

import pytest


def refuse_debugger(config: pytest.Config, what: str) -> None:
    """Raise a UsageError when this run is to stop in a debugger; what: asks for clones."""
    for option, name in (("usepdb", "--pdb"), ("trace", "--trace")):
        if config.getoption(option, False):
            raise pytest.UsageError(
                f"{name} cannot be combined with {what}: the debugger would run in a clone, which has no "
                f"terminal and a deadline; --no-ramet runs all tests in the session's process"
            )

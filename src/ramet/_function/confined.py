"""The place for what runs a function in a sandbox: that is made of parts of the rooms above."""

from collections.abc import Callable
from typing import Any

# At most one: of the function, its arguments, the sandbox, timeout, name, options.
makers: list[Callable[..., Any]] = []

"""The place for what runs a function in a sandbox: it is made of templates' parts, which are above this room."""

from collections.abc import Callable
from typing import Any

makers: list[
    Callable[..., Any]
] = []  # one: of the function, its arguments, the sandbox, timeout, name, options

"""The names of a template's processes, by which its caller finds those that it was not told of."""

import os

OF_TEMPLATE = "ramet:"  # how each begins: native/child/namespace_init.c
OF_INIT = "i"  # what an init has after the name of who has made it: native/child/namespace_init.c


def new_name() -> str:
    """One that no other process has; those that it makes take it over."""
    return f"{OF_TEMPLATE}{os.urandom(4).hex()}"

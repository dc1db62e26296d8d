"""By what a wish of a sandbox is met on this machine."""

from typing import NamedTuple


class Mechanism(NamedTuple):
    """By what one wish is met, with what it falls short, and what would change that: in words.

    ``wish``: the field of the Sandbox. ``mechanism``: empty where the wish is not met at all.
    ``shortfall``: empty where it is met in full. ``remedy``: what an administrator would change.
    """

    wish: str
    mechanism: str
    shortfall: str = ""
    remedy: str = ""

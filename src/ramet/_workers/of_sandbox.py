"""What clones of a template in a sandbox need besides: others do not import it."""

from collections.abc import Sequence

from .._sandbox.files.landlock import writes_only
from .._sandbox.files.own_files import steps_to_own_layer
from .._setup.order import Steps
from .confining import carry_out


def layer_steps(name: bytes) -> Steps:
    """By which a clone writes to its own layer, of that name."""
    return steps_to_own_layer(name)


def write_only(paths: Sequence[str], abi: int) -> None:
    """From here on this process writes below these paths alone. abi: Landlock's version. Raises OSError."""
    carry_out([("LANDLOCK", *writes_only(paths, abi))], [("landlock_restrict_self", None)])

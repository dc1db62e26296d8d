"""What a call of a confined template does itself, when what it is to have is known.

The template imports this before it is confined, and each clone copies what the template has in memory: so
this imports little, and nothing of what describes and plans a sandbox.
"""

from ..._kernel.mounts import MS_BIND
from ..._setup.order import Steps
from ..own_places import LAYERS


def steps_to_own_layer(name: bytes) -> Steps:
    """Show the layer of that name alone, where all of them are: LAYERS is its directory then."""
    steps = Steps()
    add_bind(steps, LAYERS.encode() + b"/" + name, LAYERS.encode())
    return steps


def add_bind(steps: Steps, source: bytes, target: bytes) -> None:
    """Show the one at the other's place as well."""
    steps.add("mount(MS_BIND)", "MOUNT", source, target, 0, MS_BIND, 0, file=target)

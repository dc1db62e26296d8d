"""Generated inputs."""

from .. import any_speed  # noqa: F401 - it is loaded for all of them

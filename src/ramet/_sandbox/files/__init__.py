"""The files that a child sees: its root directory, and the paths that it is allowed."""

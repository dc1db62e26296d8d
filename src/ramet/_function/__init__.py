"""A Python function in a new task."""

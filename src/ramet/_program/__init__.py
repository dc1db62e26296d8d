"""A program in a new task."""

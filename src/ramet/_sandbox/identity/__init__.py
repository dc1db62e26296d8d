"""The user that a child is."""

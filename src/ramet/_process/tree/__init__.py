"""A child with all that it started, and how these end together."""

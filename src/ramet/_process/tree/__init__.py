"""A child and all processes that it started: how to find them and end them together."""

"""What a child does first: the options, their checks, and the order of the steps."""

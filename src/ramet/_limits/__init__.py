"""What a call may use, and what is told of one that exceeds it."""

"""What runs an executor's calls, in its caller."""

"""What runs in a template's own process."""

"""What runs in a clone of a template, or of the caller, before, around and after the function of a call."""

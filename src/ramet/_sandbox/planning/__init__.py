"""What is wished, and by what this machine meets it."""

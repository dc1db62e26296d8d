"""The kernel's names, numbers, structures and files in /proc: each written once."""

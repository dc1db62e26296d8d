"""Virtual machines that boot one of Debian's kernels on this machine's own root directory, read-only.

``python -m tools.guest`` runs a command in one, or the tests in many: docs/contributing/guests.md says how.
"""

"""Tests of pytest in clones of its session; pytest_ramet, beside this package, is the plugin."""

"""Runs pebble's own tests against Ramet's executor: `pebble_judge FOLDER DIRECTORY MODULE`."""

import importlib
import sys
import unittest
from pathlib import Path

from tests.crash.judging import write_report

from .pebble_in_place import take_its_place


def main(folder: str, tests: str, module: str) -> None:
    """Put Ramet's in the place of pebble's before the tests are loaded, and judge."""
    take_its_place()
    sys.path.insert(0, tests)
    found = unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(module))
    write_report(found, Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])

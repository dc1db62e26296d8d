"""Runs CPython's own tests of multiprocessing with Ramet's context: `multiprocessing_judge FOLDER KIND`.

KIND is Processes, Threads or Manager: what the tests of classes with that name are made of; or Test,
which is how the others begin.
"""

import sys
import unittest
from pathlib import Path

from .judging import those_of, write_report


def main(folder: str, kind: str) -> None:
    """Judge by those whose class begins as KIND says."""
    from . import multiprocessing_tests

    found = unittest.defaultTestLoader.loadTestsFromModule(multiprocessing_tests)
    begin = kind if kind == "Test" else f"With{kind}"
    write_report(those_of(found, begin), Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])

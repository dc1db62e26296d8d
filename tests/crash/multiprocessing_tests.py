"""CPython's own tests of multiprocessing with Ramet's context; children import them from here."""

import importlib
from collections.abc import Callable

import ramet.multiprocessing

SUITE = "test._test_multiprocessing"

_context = ramet.multiprocessing.context([SUITE])
METHOD = _context.get_start_method()
_context._be_known()
importlib.import_module(SUITE).install_tests_in_module_dict(globals(), METHOD)
_tear_down: Callable[[], None] = globals()["tearDownModule"]


def tearDownModule() -> None:
    """Theirs waits for the end of the resource tracker, which the template has open."""
    _context.close()
    _tear_down()

"""Threads of libgomp, the OpenMP of GCC, which knows of no fork: a copy would wait for them for ever."""

import ctypes
import ctypes.util
from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]
LIBRARY = ctypes.util.find_library("gomp")

pytestmark = pytest.mark.skipif(
    LIBRARY is None or not hasattr(ctypes.CDLL(LIBRARY), "omp_pause_resource_all"),
    reason="there is no libgomp, or an old one",
)


def computes() -> bool:
    """A parallel region of two threads: where one is lost it has no end, but for its caller's deadline."""
    import ctypes.util

    openmp = ctypes.CDLL(ctypes.util.find_library("gomp"))
    openmp.GOMP_parallel(ctypes.CDLL(None).getppid, None, 2, 0)
    return True


def make_copies(in_thread: bool, as_it_is: bool) -> None:
    import os
    import signal
    import threading

    import ramet
    from ramet import CloneFlag as F
    from tests.constants import SECONDS
    from tests.crash.test_openmp_pools import computes

    if as_it_is:
        from tests import seccomp

        seccomp.refuse_dispatch()

    def nested() -> bool:
        return computes() and ramet.clone(computes, timeout=SECONDS).result()

    def make() -> None:
        for _ in range(2):
            assert computes()
            assert ramet.clone(computes, timeout=SECONDS).result()
            assert ramet.clone(computes, flags=F.FS, timeout=SECONDS).result()
            assert computes()
            assert ramet.clone(nested, timeout=SECONDS).result()
            for flags in (0, F.FS, F.NEWUSER):
                pid = ramet.fork(flags)
                if pid == 0:
                    signal.alarm(int(SECONDS))
                    os._exit(7 if computes() else 1)
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        print("all")

    if in_thread:
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
    else:
        make()


@pytest.mark.parametrize("in_thread", [False, True], ids=["main thread", "another thread"])
@pytest.mark.parametrize("as_it_is", [False, True], ids=["with flags", "as it is"])
def test_a_copy_computes(in_new_python: Start, in_thread: bool, as_it_is: bool) -> None:
    """And so does the caller, before and after it, and a copy of the copy."""
    assert in_new_python(make_copies, in_thread, as_it_is).finish() == "all\n"


def share_memory() -> None:
    import warnings

    import ramet
    from ramet import CloneFlag as F
    from tests.constants import SECONDS
    from tests.crash.test_openmp_pools import computes

    warnings.simplefilter("error")  # that native threads end with the function
    for _ in range(2):
        assert ramet.clone(computes, flags=F.VM, timeout=SECONDS).result()
        assert ramet.vfork(computes).result()
    assert computes()
    for _ in range(2):
        assert ramet.clone(computes, flags=F.VM, timeout=SECONDS).result()
        assert ramet.vfork(computes).result()
        assert computes()
    print("all")


def test_a_function_in_shared_memory_ends_its_threads(in_new_python: Start) -> None:
    """Its caller computes after it, also where it ran on the caller's own thread."""
    assert in_new_python(share_memory).finish() == "all\n"


def make_templates() -> None:
    import ramet
    from tests.constants import SECONDS
    from tests.crash.test_openmp_pools import computes

    def check(template: ramet.Template) -> None:
        for _ in range(3):
            assert template.clone(computes, timeout=SECONDS).result()

    with ramet.Template(setup=computes, warm=computes) as template:
        check(template)
        with template.derive(setup=computes, spares=0) as derived:
            check(derived)
    assert computes()
    with ramet.Template.from_here() as here:
        check(here)
        assert computes()
    with ramet.Template.from_here(setup=computes, spares=0) as here:
        check(here)
    with (
        ramet.Template(setup=computes) as template,
        ramet.Executor(2, template=template, reuse=3, timeout=SECONDS) as executor,
    ):
        assert all(executor.map(lambda _: computes(), range(8)))
    print("all")


def test_templates_compute(in_new_python: Start) -> None:
    """Where setup has, or the caller before from_here()."""
    assert in_new_python(make_templates).finish() == "all\n"


def fork_by_others() -> None:
    import os

    import ramet
    from tests.constants import SECONDS
    from tests.crash.test_openmp_pools import computes

    computes()
    pid = os.fork()
    if pid == 0:  # what it has lost is not waited for
        os._exit(ramet.clone(int, timeout=SECONDS).result() + 7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    print("all")


def test_what_another_fork_has_lost_is_let_alone(in_new_python: Start) -> None:
    """A process that os.fork() has made clones as ever, unless it uses the library."""
    assert in_new_python(fork_by_others).finish() == "all\n"

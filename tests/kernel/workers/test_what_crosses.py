"""What crosses between a caller and a call of a template: functions, arguments, results, exceptions."""

import functools
import multiprocessing
import os
import re
import subprocess
import sys
import textwrap
import time
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

import ramet

from ...constants import PATIENT_SECONDS
from ...waiting import until

pytestmark = pytest.mark.usefixtures("nothing_left")

MEGABYTE = 1 << 20


def run(template: ramet.Template, fn: Any, *args: Any, **options: Any) -> Any:
    """The result of a call that is reaped."""
    with template.clone(fn, *args, **options) as child:
        return child.result(PATIENT_SECONDS)


def test_lambdas_and_closures_cross(shared: ramet.Template) -> None:
    """With what they close over, and their defaults."""
    factor = 3

    def times(value: int, more: int = 4) -> int:
        return factor * value + more

    assert run(shared, times, 2) == 10
    assert run(shared, lambda: [1, 2]) == [1, 2]


def test_a_function_with_a_cache_crosses(shared: ramet.Template) -> None:
    """Of a module by its name; one that a function has made by value, though it calls itself."""

    @functools.lru_cache(maxsize=9)
    def fib(n: int) -> int:
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    named_by_nothing = functools.cache(functools.partial(max, 3))
    assert run(shared, fib, 30) == 832040
    assert run(shared, lambda: fib.cache_parameters()) == {"maxsize": 9, "typed": False}
    assert run(shared, named_by_nothing, 5) == 5
    assert run(shared, lambda: urlsplit("http://a/b").netloc) == "a"


def local_midnight() -> str:
    return time.strftime("%H %Z", time.localtime(0))


def test_a_time_zone_that_the_caller_takes_later_crosses(
    shared: ramet.Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable is not all: libc has read it before."""
    try:
        with monkeypatch.context() as changed:
            changed.setenv("TZ", "HERE-9")
            time.tzset()
            assert run(shared, local_midnight) == local_midnight() == "09 HERE"
            changed.setenv("TZ", "THERE+3")
            time.tzset()
            assert run(shared, local_midnight) == local_midnight() == "21 THERE"
    finally:
        time.tzset()
    assert run(shared, local_midnight) == local_midnight()


def count_what_is_made() -> None:
    """In a template: what cloudpickle makes there, and in its clones."""
    import cloudpickle.cloudpickle as module

    made, make = [], module._make_function

    @functools.wraps(make)
    def counted(*given: Any) -> Any:
        made.append(1)
        return make(*given)

    module._make_function, module.made = counted, made


def test_a_spare_has_made_a_function_before_its_call() -> None:
    """Once calls come by value, and not before."""
    made = "len(__import__('cloudpickle').cloudpickle.made)"
    with ramet.Template(setup=count_what_is_made, spares=1) as template:
        assert [run(template, eval, made) for _ in range(3)] == [0, 0, 0]
        assert run(template, lambda: 3) == 3
        # A spare may have been made before, and one that is called at once does without.
        until(lambda: run(template, eval, made) == 1)


def test_a_class_made_in_a_function_crosses(shared: ramet.Template) -> None:
    """Its instance comes as one, by value of the class."""

    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

        def doubled(self) -> int:
            return 2 * self.x

    assert run(shared, Point(4).doubled) == 8
    assert run(shared, lambda: Point(5)).x == 5


def test_the_main_module_of_a_script_crosses_and_is_not_run_again(tmp_path: Path) -> None:
    """Its functions and classes, also with slots, work in both directions, and the script has run once."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""\
        import dataclasses
        import ramet

        print("this script runs")
        FACTOR = 10

        @dataclasses.dataclass
        class Point:
            x: int

        @dataclasses.dataclass(slots=True)
        class Size:
            width: int

        class Box(Size):
            __slots__ = ("__depth", "__weakref__")

            def __init__(self, width, depth):
                self.width, self.__depth = width, depth

            def volume(self):
                return self.width * self.__depth

        class Wrong(Exception):
            pass

        def grown(size, depth):
            return [Size(size.width + 1), Box(size.width, depth)]

        def scaled(point):
            if point.x < 0:
                raise Wrong(point.x)
            return Point(FACTOR * point.x)

        with ramet.Template() as template, template.clone(scaled, Point(2)) as child:
            print(child.result())
            print(type(child.result()) is Point)
            with template.clone(scaled, Point(-1)) as child:
                print(type(child.exception()) is Wrong)
            with template.clone(grown, Size(3), 4) as child:
                size, box = child.result()
                print(size, type(size) is Size, box.volume(), hasattr(box, "__dict__"))
            with template.clone(Box.volume, box) as child:
                print(child.result())
        """)
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    told = "this script runs|Point(x=20)|True|True|Size(width=4) True 12 False|12"
    assert done.stdout.splitlines() == told.split("|")


def test_named_tuples_and_cached_properties_of_a_script_cross(tmp_path: Path) -> None:
    """A class of typing.NamedTuple, one that is derived from it, and a property that keeps what it gave."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""\
        import functools
        import typing
        import ramet

        class Point(typing.NamedTuple):
            x: int
            y: int = 2

        class Dot(Point):
            __slots__ = ()

        class Square:
            def __init__(self, side):
                self.side = side

            @functools.cached_property
            def area(self):
                "What it covers."
                return self.side**2

        def moved(point):
            return point._replace(x=point.x + 1)

        def measured(square):
            return square.area, vars(square), type(square).area.__doc__

        with ramet.Executor(1) as executor:
            point, dot = executor.map(moved, [Point(1), Dot(3)])
            print(point, type(point) is Point, dot, type(dot) is Dot, hasattr(dot, "__dict__"))
            print(executor.submit(measured, Square(3)).result())
        """)
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "Point(x=2, y=2) True Dot(x=4, y=2) True False",
        "(9, {'side': 3, 'area': 9}, 'What it covers.')",
    ]


def test_code_without_a_file_crosses() -> None:
    """As that of a notebook, or of python -c."""
    code = """
import ramet
def f(x):
    return g(x) + 1
def g(x):
    return 2 * x
with ramet.Template() as template, template.clone(f, 3) as child:
    print(child.result())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("7\n", "")


def test_a_big_array_crosses_in_both_directions(shared: ramet.Template) -> None:
    """What comes back is the changed one, can be written to, and the caller's own is as it was."""
    table = np.arange(4 * MEGABYTE, dtype=np.int64)

    def doubled(array: Any) -> Any:
        array *= 2
        return array

    result = run(shared, doubled, table)
    assert (result == np.arange(4 * MEGABYTE) * 2).all()
    assert table[-1] == 4 * MEGABYTE - 1
    result[0] = 7
    assert result[0] == 7


def test_big_buffers_cross_in_no_pipe(shared: ramet.Template) -> None:
    """The function's argument lies in a mapping of a sealed memfd of that size."""

    def mappings(array: Any) -> str:
        with open("/proc/self/maps", encoding="ascii") as maps:
            return "".join(line for line in maps if "memfd:ramet message" in line) + str(
                array.sum()
            )

    text = run(shared, mappings, np.ones(8 * MEGABYTE, dtype=np.uint8))
    first, last = (int(end, 16) for end in text.split()[0].split("-"))
    assert last - first >= 8 * MEGABYTE
    assert text.endswith(str(8 * MEGABYTE))


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, MEGABYTE])
def test_bytes_of_any_size_cross(shared: ramet.Template, size: int) -> None:
    """On both sides of the size from which a memfd is used."""
    data = os.urandom(size)
    assert run(shared, bytes.__add__, data, b"!") == data + b"!"
    assert run(shared, lambda x: bytearray(x), bytearray(data)) == data


def test_an_exception_comes_with_its_traceback_and_notes(shared: ramet.Template) -> None:
    """It is of its own type; its cause is the traceback of the child, which names the line."""

    def fails() -> None:
        error = KeyError("missing")
        error.add_note("while the table was read")
        raise error

    with shared.clone(fails) as child:
        error = child.exception(PATIENT_SECONDS)
    assert isinstance(error, KeyError)
    assert error.__notes__ == ["while the table was read"]
    assert "raise error" in "".join(traceback.format_exception(error))


def test_a_traceback_begins_at_the_function(shared: ramet.Template) -> None:
    """Also where the executor calls it, and that of setup; who calls one of C's functions is told."""

    def fails(x: int) -> float:
        return 1 / x

    def frames(error: BaseException | None) -> list[str]:
        assert error is not None
        return re.findall(r", in (\w+)\n", str(error.__cause__))

    with ramet.Executor(1, shared) as executor:
        assert frames(executor.submit(fails, 0).exception()) == ["fails"]
        assert frames(executor.submit(fails, x=0).exception()) == ["fails"]
        with pytest.raises(ZeroDivisionError) as raised:
            list(executor.map(fails, [0, 1], chunksize=2))
        assert frames(raised.value) == ["fails"]
        assert frames(executor.submit(int, "x", base=10).exception())[-1] == "call_fully"
    with pytest.raises(ramet.TemplateError) as refused:
        ramet.Template(setup=functools.partial(fails, 0))
    assert frames(refused.value) == ["fails"]


def test_an_exception_that_cannot_be_pickled_is_told(shared: ramet.Template) -> None:
    """By name, message and traceback."""

    def fails() -> None:
        error = ValueError("with a file")
        error.file = open(os.devnull)  # type: ignore[attr-defined] # noqa: SIM115
        raise error

    with shared.clone(fails) as child:
        error = child.exception(PATIENT_SECONDS)
    assert isinstance(error, ramet.RemoteError)
    assert str(error) == "ValueError: with a file (the exception itself cannot be pickled)"
    assert "fails" in str(error.__cause__)


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_ends_its_pickling_does_not_end_the_call(shared: ramet.Template, end: type) -> None:
    """An exception is told without it, and a result cannot be sent."""

    class Ends(Exception):  # noqa: N818
        def __reduce__(self) -> Any:
            raise end

    def fails() -> None:
        raise Ends("why it failed")

    with shared.clone(fails) as child, pytest.raises(ramet.RemoteError, match="why it failed"):
        child.result(PATIENT_SECONDS)
    with (
        shared.clone(lambda: Ends()) as returns,
        pytest.raises(ramet.ResultError, match=f"cannot be sent.*{end.__name__}"),
    ):
        returns.result(PATIENT_SECONDS)
    assert run(shared, abs, -1) == 1


@pytest.mark.parametrize("end", [KeyboardInterrupt, GeneratorExit])
def test_what_is_no_exception_crosses_as_well(shared: ramet.Template, end: type) -> None:
    """KeyboardInterrupt and GeneratorExit, as from clone()."""

    def ends(kind: type[BaseException]) -> None:
        raise kind

    with shared.clone(ends, end) as child:
        assert isinstance(child.exception(PATIENT_SECONDS), end)


def interrupts() -> None:
    """As a signal handler does, whose signal comes while a result is loaded."""
    raise KeyboardInterrupt


def test_an_interrupt_while_a_result_is_loaded_passes(shared: ramet.Template) -> None:
    """It is the caller's; the result is lost then, and the child is not said to have died."""

    class Interrupting:
        def __reduce__(self) -> Any:
            return interrupts, ()

    with shared.clone(lambda: Interrupting()) as child:
        with pytest.raises(KeyboardInterrupt):
            child.result(PATIENT_SECONDS)
        with pytest.raises(ramet.ResultError, match="KeyboardInterrupt interrupted its reading"):
            child.result(PATIENT_SECONDS)
        assert child.wait(PATIENT_SECONDS).code == 0
    assert run(shared, abs, -1) == 1


def test_a_result_that_cannot_be_pickled_is_one_clear_error(shared: ramet.Template) -> None:
    """It names the type, and the template goes on."""
    with (
        shared.clone(lambda: open(os.devnull)) as child,
        pytest.raises(ramet.ResultError, match=r"cannot be sent.*TextIOWrapper"),
    ):
        child.result(PATIENT_SECONDS)
    assert run(shared, abs, -1) == 1


def closes_all(number: int) -> None:
    """And has so many others open then."""
    os.closerange(3, 1000)
    for _ in range(number):
        os.open(os.devnull, os.O_RDONLY)


@pytest.mark.parametrize("number", [0, 20])
def test_a_call_that_closes_what_its_outcome_goes_by_says_so(
    shared: ramet.Template, number: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """In one line on its standard error."""
    with shared.clone(closes_all, number) as child:
        with pytest.raises(ramet.ChildDied):
            child.result(PATIENT_SECONDS)
        assert child.wait(PATIENT_SECONDS).code == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "the call has closed the descriptor that its outcome goes by" in line
    assert run(shared, abs, -1) == 1


def test_a_result_that_is_too_large_is_one_clear_error(shared: ramet.Template) -> None:
    """One for which the child has no memory."""

    def limited() -> bytes:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (MEGABYTE, MEGABYTE))
        return bytes(4 * MEGABYTE)

    with (
        shared.clone(limited, ignored_signals=["XFSZ"]) as child,
        pytest.raises(ramet.ResultError, match="File too large"),
    ):
        child.result(PATIENT_SECONDS)
    assert run(shared, abs, -1) == 1


def test_a_result_above_the_limit_on_file_size_names_that(shared: ramet.Template) -> None:
    """The limit of the call, or its caller's, with its value and what raises it."""
    limits: Any = {"FSIZE": MEGABYTE}
    with (
        shared.clone(bytes, 4 * MEGABYTE, rlimits=limits, ignored_signals=["XFSZ"]) as child,
        pytest.raises(ramet.ResultError) as caught,
    ):
        child.result(PATIENT_SECONDS)
    assert f"RLIMIT_FSIZE is {MEGABYTE} bytes" in str(caught.value)
    assert "raise it, by rlimits=" in str(caught.value)


def test_arguments_above_the_limit_on_file_size_name_that() -> None:
    """The caller's own, which holds for them."""

    def limited() -> str:
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with ramet.Template() as template:
            resource.setrlimit(resource.RLIMIT_FSIZE, (MEGABYTE, MEGABYTE))
            before = os.listdir("/proc/self/fd")
            with pytest.raises(OSError, match="File too large: RLIMIT_FSIZE is 1048576") as caught:
                template.clone(len, bytes(4 * MEGABYTE))
            assert os.listdir("/proc/self/fd") == before
            return str(caught.value)

    with ramet.clone(limited) as child:
        assert "ulimit -f of the caller" in child.result(PATIENT_SECONDS)


def test_a_result_whose_pickle_fails_to_load_is_one_clear_error(shared: ramet.Template) -> None:
    """It says what the loading raised."""

    class Evil:
        def __reduce__(self) -> Any:
            return eval, ("1 / 0",)

    with (
        shared.clone(lambda: Evil()) as child,
        pytest.raises(ramet.ResultError, match="ZeroDivisionError"),
    ):
        child.result(PATIENT_SECONDS)


@pytest.mark.parametrize("by_value", [False, True])
def test_a_connection_does_not_cross(by_value: bool) -> None:
    """Its descriptor's number is another file's in the call, as the one of the call's own channel."""

    def tells(connection: Any) -> None:
        connection.send("hello")

    fn = tells if by_value else repr
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs, ramet.Template(spares=0) as template:
        with pytest.raises(TypeError, match="a Connection of multiprocessing has a descriptor"):
            template.clone(fn, [theirs])
        with (
            template.clone(_makes_a_pipe) as child,
            pytest.raises(ramet.ResultError, match="descriptor"),
        ):
            child.result()


def _makes_a_pipe() -> Any:
    return multiprocessing.Pipe()[0]

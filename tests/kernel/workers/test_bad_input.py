"""Bad input: one clear error in the caller that says what to do, and the template goes on serving."""

import math
import os
import select
from collections.abc import Callable
from typing import Any

import pytest

import ramet
from ramet import CloneFlag as F

from ...constants import PATIENT_SECONDS

pytestmark = pytest.mark.usefixtures("nothing_left")


def result_of(template: ramet.Template, fn: Any, *args: Any, **options: Any) -> Any:
    """Of a call that is reaped."""
    with template.clone(fn, *args, **options) as child:
        return child.result(PATIENT_SECONDS)


CALLS: dict[str, tuple[Callable[[ramet.Template], object], type[Exception], str]] = {
    "a result in place of a function": (
        lambda t: t.clone(abs(-1)),  # type: ignore[arg-type]
        TypeError,
        r"callable|function",
    ),
    "an argument that cannot be pickled": (
        lambda t: t.clone(str, open(os.devnull)),  # noqa: SIM115
        TypeError,
        r"invalid call: expected what can be pickled, got argument 0 .*TextIOWrapper",
    ),
    "a function that cannot be pickled": (
        lambda t: t.clone(open(os.devnull).read),  # noqa: SIM115
        TypeError,
        r"got the function .*TextIOWrapper",
    ),
    "an unknown option": (
        lambda t: t.clone(abs, -1, cdw="/"),  # type: ignore[call-arg]
        TypeError,
        r"there is no option 'cdw'",
    ),
    "a directory that is not there": (
        lambda t: result_of(t, abs, -1, cwd="/no/such"),
        ramet.SpawnError,
        r"chdir.*No such file",
    ),
    "a wrong timeout": (lambda t: t.clone(abs, -1, timeout=-1), ValueError, r"timeout.*-1"),
    "a timeout of another type": (
        lambda t: t.clone(abs, -1, timeout="5"),  # type: ignore[arg-type]
        TypeError,
        r"timeout.*'5'",
    ),
    "a wrong memory": (
        lambda t: t.clone(abs, -1, memory="12 apples"),
        ValueError,
        r"memory.*12 apples",
    ),
    "memory of a few bytes": (
        lambda t: t.clone(abs, -1, memory="12"),
        ValueError,
        r"got 12 bytes; for mebibytes write '12M'",
    ),
    "memory with a cgroup": (
        lambda t: t.clone(abs, -1, memory="1G", cgroup="/"),
        ValueError,
        r"memory with cgroup",
    ),
    "shared memory": (
        lambda t: t.clone(abs, -1, flags=F.VM),
        ValueError,
        r"invalid flags.*ramet.clone\(\) shares",
    ),
    "flags of another type": (
        lambda t: t.clone(abs, -1, flags=False),
        TypeError,
        r"invalid flags: expected a number",
    ),
    "an exit signal": (lambda t: t.clone(abs, -1, flags=10), ValueError, r"exit signal"),
    "a name of another type": (
        lambda t: t.clone(abs, -1, name=5),  # type: ignore[arg-type]
        TypeError,
        r"invalid name: expected a str",
    ),
    "a trust of another type": (
        lambda t: t.clone(abs, -1, trusted="yes"),  # type: ignore[arg-type]
        TypeError,
        r"invalid trusted",
    ),
    "a closed descriptor": (
        lambda t: t.clone(abs, -1, fds={5: 999}),
        OSError,
        r"invalid fds\[5\]: expected an open descriptor, got 999",
    ),
    "a closed standard output": (
        lambda t: t.clone(abs, -1, stdout=999),
        OSError,
        r"invalid stdout: expected an open descriptor, got 999",
    ),
    "a closed descriptor to pass": (
        lambda t: t.clone(abs, -1, pass_fds=[999]),
        OSError,
        r"invalid pass_fds: expected an open descriptor, got 999",
    ),
    "a pid": (
        lambda t: t.clone(abs, -1, set_tid=5),  # type: ignore[arg-type]
        TypeError,
        r"invalid set_tid: expected a sequence of pids",
    ),
    "a directory that is no cgroup": (
        lambda t: t.clone(abs, -1, cgroup="/tmp"),
        FileNotFoundError,
        r"invalid cgroup: .*cgroup.procs: '/tmp'",
    ),
    "a cgroup that is not there": (
        lambda t: t.clone(abs, -1, cgroup="/no/such"),
        FileNotFoundError,
        r"/no/such",
    ),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("what", CALLS)
def test_a_call_that_cannot_be_is_refused(shared: ramet.Template, what: str) -> None:
    """The error says what is wrong, and the next call runs."""
    call, kind, text = CALLS[what]
    with pytest.raises(kind, match=text):
        call(shared)
    with shared.clone(abs, -1) as child:
        assert child.result(PATIENT_SECONDS) == 1


@pytest.mark.parametrize("timeout", [-1, math.nan, "1", True])
def test_a_timeout_that_is_none_costs_no_result(shared: ramet.Template, timeout: Any) -> None:
    """It is the caller's mistake, and the child runs on."""
    with shared.clone(abs, -1) as child:
        for wait in (child.result, child.exception, child.wait):
            with pytest.raises((TypeError, ValueError), match="invalid timeout"):
                wait(timeout)
        assert child.result(PATIENT_SECONDS) == 1


async def _awaits() -> None:
    pass


TEMPLATES: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "one string": (lambda: ramet.Template("numpy"), TypeError, r"\['numpy'\] is one"),
    "a module": (
        lambda: ramet.Template([os]),  # type: ignore[list-item]
        TypeError,
        r"expected names of modules, got <module",
    ),
    "a function": (
        lambda: ramet.Template(os.getpid),  # type: ignore[arg-type]
        TypeError,
        r"a list of names of modules, got <built-in function getpid>; a function goes to clone\(\)",
    ),
    "hazards of another type": (
        lambda: ramet.Template(allow=5),  # type: ignore[arg-type]
        TypeError,
        r"invalid allow: expected a list of names of hazards, got 5",
    ),
    "a setup that is none": (
        lambda: ramet.Template(setup=5),  # type: ignore[arg-type]
        TypeError,
        r"invalid setup: expected a function, got 5",
    ),
    "a setup that cannot be sent": (
        lambda: ramet.Template(setup=open(os.devnull).read),  # noqa: SIM115
        TypeError,
        r"invalid setup",
    ),
    "an unknown hazard": (
        lambda: ramet.Template(allow=["thread"]),
        ValueError,
        r"invalid allow: expected some of 'threads'.*got 'thread'",
    ),
    "spares below none": (
        lambda: ramet.Template(spares=-1),
        ValueError,
        r"expected 0 or more, got -1",
    ),
    "spares of another type": (
        lambda: ramet.Template(spares=1.5),  # type: ignore[arg-type]
        TypeError,
        r"invalid spares",
    ),
    "a reload": (
        lambda: ramet.Template(reload="always"),  # type: ignore[arg-type]
        ValueError,
        r"expected 'changed' or None, got 'always'",
    ),
    "a deadline of calls": (
        lambda: ramet.Template(timeout=5),  # type: ignore[call-arg]
        TypeError,
        r"its calls take it: template.clone\(fn, timeout=...\), .* ramet.Executor\(timeout=...\)$",
    ),
    "a limit of calls": (
        lambda: ramet.Template(memory="1G"),  # type: ignore[call-arg]
        TypeError,
        r"its calls take it: template.clone\(fn, memory=...\)",
    ),
    "a setup that is to be awaited": (
        lambda: ramet.Template(setup=_awaits),
        TypeError,
        r"invalid setup: .* got a coroutine function, .* asyncio.run\(_awaits\(\)\)$",
    ),
    "a warm-up that is to be awaited": (
        lambda: ramet.Template(warm=_awaits),
        TypeError,
        r"invalid warm: .* got a coroutine function",
    ),
    "an option of executors": (
        lambda: ramet.Template(max_workers=2),  # type: ignore[call-arg]
        TypeError,
        r"'max_workers' here; ramet.Executor has it$",
    ),
    "an unknown option": (lambda: ramet.Template(cdw="/"), TypeError, r"there is no option 'cdw'"),  # type: ignore[call-arg]
    "another program": (
        lambda: ramet.Template(executable="/bin/true"),
        ValueError,
        r"invalid executable for a template",
    ),
    "a pid namespace": (lambda: ramet.Template(flags=F.NEWPID), ValueError, r"NEWPID"),
    "a directory that is not there": (
        lambda: ramet.Template(cwd="/no/such"),
        ramet.SpawnError,
        r"chdir",
    ),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("what", TEMPLATES)
def test_a_template_that_cannot_be_is_refused(what: str) -> None:
    """Before its process is started, or with that ended and reaped."""
    make, kind, text = TEMPLATES[what]
    with pytest.raises(kind, match=text):
        make()


EXECUTORS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no worker": ({"max_workers": 0}, ValueError, r"max_workers must be greater than 0"),
    "workers of another type": ({"max_workers": "2"}, TypeError, r"invalid max_workers"),
    "a timeout": ({"timeout": -1}, ValueError, r"timeout"),
    "memory": ({"memory": "much"}, ValueError, r"memory.*much"),
    "spares": ({"spares": "all"}, TypeError, r"invalid spares"),
    "reuse": ({"reuse": 0}, ValueError, r"reuse must be greater than 0"),
    "tasks of a process": (
        {"max_tasks_per_child": 0},
        ValueError,
        r"max_tasks_per_child must be greater than 0",
    ),
    "a timeout of any length": ({"timeout": 10**400}, ValueError, r"invalid timeout: .* or less"),
    "two counts": (
        {"reuse": 1, "max_tasks_per_child": 2},
        ValueError,
        r"expected the same as reuse",
    ),
    "an initializer": ({"initializer": 1}, TypeError, r"initializer must be a callable"),
    "an initializer that is to be awaited": (
        {"initializer": _awaits},
        TypeError,
        r"invalid initializer: .* got a coroutine function",
    ),
    "arguments that are none": (
        {"initializer": abs, "initargs": 3},
        TypeError,
        r"invalid initargs: expected a tuple of arguments, got 3",
    ),
    "memory of a few bytes": (
        {"memory": 12},
        ValueError,
        r"got 12 bytes; for mebibytes write '12M'",
    ),
    "a template": (
        {"template": "numpy"},
        TypeError,
        r"invalid template: expected a ramet.Template",
    ),
    "progress": ({"progress": 5}, TypeError, r"invalid progress"),
    "a context": ({"mp_context": "spawn"}, ValueError, r"ramet.multiprocessing.context\(\)"),
    "an option": ({"cdw": "/"}, TypeError, r"there is no option 'cdw'"),
    "a module": ({"preload": ["no_such_module"]}, ramet.TemplateError, r"no_such_module"),
}


def test_a_sandbox_of_a_call_is_its_templates() -> None:
    """The error says where it is to be given."""
    with (
        ramet.Template(spares=0) as template,
        pytest.raises(TypeError, match=r"ramet.Template\(sandbox=...\)"),
    ):
        template.clone(abs, -1, sandbox=ramet.Sandbox())  # type: ignore[call-arg]


@pytest.mark.parametrize("what", EXECUTORS)
def test_an_executor_that_cannot_be_is_refused(what: str) -> None:
    """At once, and nothing is left of it."""
    arguments, kind, text = EXECUTORS[what]
    with pytest.raises(kind, match=text):
        ramet.Executor(**arguments)


def test_what_cannot_be_called_is_refused_by_submit() -> None:
    """At once; map() tells wrong numbers of items as ProcessPoolExecutor does."""
    with ramet.Executor(1) as executor:
        with pytest.raises(TypeError, match=r"got int; hand over the function and not what it"):
            executor.submit(5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="chunksize"):
            executor.map(abs, [1], chunksize=0)
        with pytest.raises(ValueError, match="buffersize"):
            executor.map(abs, [1], buffersize=0)
        with pytest.raises(
            TypeError, match=r"expected a callable, got list; .* map\(fn, \[1, 2\]\)"
        ):
            executor.map([1, 2], abs)  # type: ignore[arg-type]
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1


def test_options_of_an_executor_with_a_template_are_those_of_calls(shared: ramet.Template) -> None:
    """One that is wrong there is refused at once, as any other argument."""
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"cdw": "/"}, TypeError, r"there is no option 'cdw'"),
        ({"max_worker": 1}, TypeError, r"did you mean 'max_workers'\?"),
        ({"env": {}}, TypeError, r"'env' for a function, only for a program"),
        ({"nice": "x"}, TypeError, r"invalid nice"),
        ({"user": "no-such-user"}, ramet.UnknownNameError, r"no-such-user"),
    ]
    for options, kind, text in wrong:
        with pytest.raises(kind, match=text):
            ramet.Executor(1, shared, **options)


def test_what_of_a_function_cannot_cross_is_named(shared: ramet.Template) -> None:
    """A variable that it closes over, or a global of its module."""
    poll = select.epoll()

    def uses_a_variable() -> object:
        return poll.fileno()

    with pytest.raises(
        TypeError, match=r"uses_a_variable, of which the variable 'poll' cannot be: "
    ):
        shared.clone(uses_a_variable)
    code = "def uses_a_global():\n    return [poll.fileno() for _ in range(2)]\n"
    there = {"poll": poll, "__name__": "__main__"}
    exec(code, there)
    with pytest.raises(
        TypeError, match=r"function uses_a_global, of which the global 'poll' cannot be: "
    ):
        shared.clone(there["uses_a_global"])  # type: ignore[arg-type]
    poll.close()

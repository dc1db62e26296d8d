"""Python's fork handlers: which a template's clones do without, and that they have all when they fork."""

import gc
import logging
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import ramet

from ..sandbox.taken_away import needs_all


def result(template: ramet.Template, fn: Callable[..., object], *args: object) -> object:
    """Of the function in a clone."""
    return template.clone(fn, *args).result(30)


def in_fork(act: Callable[[], object]) -> str:
    """What it returns in a fork of this process, as text."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, repr(act()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as read:
        said = read.read()
    os.waitpid(pid, 0)
    return said


def with_a_thread(act: Callable[[], object]) -> str:
    """The same, while another thread holds the lock of logging."""
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        handler.acquire()
        held.set()
        over.wait()
        handler.release()

    handler = logging.StreamHandler()
    logging.getLogger("of this call").addHandler(handler)
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        return in_fork(act)
    finally:
        over.set()
        thread.join()


def threads_and_log() -> tuple[int, str]:
    """In the fork: logging would wait for ever for a lock of a thread that is not there."""
    logging.getLogger("of this call").warning("from the fork")
    return len(threading.enumerate()), threading.current_thread().name


def lists_of_handlers() -> list[list[str]]:
    """Their names, as a fork in this process has them afterwards."""
    from ramet._workers.in_template import fork_handlers

    gc.unfreeze()
    lists = fork_handlers._lists_of_handlers()
    assert lists is not None
    return [[getattr(one, "__qualname__", repr(one)) for one in handlers] for handlers in lists]


def lists_after_a_fork() -> list[list[str]]:
    in_fork(int)
    return lists_of_handlers()


def derived_from(template: ramet.Template) -> ramet.Template:
    return template.derive(["json"])


@pytest.mark.parametrize("depth", [0, 1, 2], ids=["itself", "derived", "derived twice"])
def test_a_clone_that_forks_has_all_handlers(depth: int) -> None:
    """Threads of the clone are not in its fork, and no lock that one of them held."""
    with ramet.Template(["logging", "cloudpickle"]) as template:
        derived = template
        for _ in range(depth):
            derived = derived_from(derived)
        assert result(derived, with_a_thread, threads_and_log) == "(1, 'MainThread')"
        assert result(derived, with_a_thread, threads_and_log) == "(1, 'MainThread')"


def itself(template: ramet.Template) -> ramet.Template:
    return template


def derived_by_a_fork(template: ramet.Template) -> ramet.Template:
    """That is, setup forks; this has all handlers again, of which some are left out once more."""
    return template.derive(["json"], setup=lambda: in_fork(int) and None)


@pytest.mark.parametrize(
    ("options", "of"),
    [
        ({}, itself),
        ({}, derived_from),
        ({}, derived_by_a_fork),
        pytest.param({"sandbox": ramet.Sandbox()}, itself, marks=needs_all),
    ],
    ids=["itself", "derived", "derived with a fork", "confined"],
)
def test_a_clone_has_few_handlers_until_it_forks(
    options: dict[str, Any], of: Callable[[ramet.Template], ramet.Template]
) -> None:
    """And then those that its template had, each once."""
    preload = ["logging", "cloudpickle", "random", "threading", __name__]
    with ramet.Template(preload, spares=0, **options) as base:
        template = of(base)
        few = result(template, lists_of_handlers)
        every = result(template, lists_after_a_fork)
    assert isinstance(few, list)
    assert isinstance(every, list)
    needless = {"_after_fork", "_after_at_fork_child_reinit_locks", "Random.seed", "leave_channel"}
    assert needless.isdisjoint(few[2])
    assert needless <= set(every[2])
    assert [len(set(names)) for names in every] == [len(names) for names in every]
    assert "_Shortened._before_fork" in few[0]
    assert "_Shortened._before_fork" not in every[0]


calls: list[str] = []


def register() -> None:
    """Handlers of a user's own."""
    os.register_at_fork(
        before=lambda: calls.append("before"),
        after_in_parent=lambda: calls.append("in parent"),
        after_in_child=lambda: calls.append("in child"),
    )


def heard() -> list[str]:
    return calls[-2:]


def heard_after_own() -> tuple[str, list[str]]:
    """What handlers of the call's own say, in a fork and here."""
    calls.clear()
    os.register_at_fork(
        before=lambda: calls.append("own before"), after_in_child=lambda: calls.append("own")
    )
    return in_fork(lambda: calls), list(calls)


def test_handlers_of_the_users_are_called_in_each_clone() -> None:
    """Those of setup when a clone is made, those of the call when it forks."""
    with ramet.Template(["cloudpickle", __name__], setup=register, spares=0) as template:
        assert result(template, heard) == ["before", "in child"]
        assert result(template, heard) == ["before", "in child"]
        said = result(template, heard_after_own)
    in_fork_of_call = ["own before", "before", "in child", "own"]
    assert said == (repr(in_fork_of_call), ["own before", "before", "in parent"])


def numbers() -> tuple[float, float, int, int]:
    return (
        random.random(),
        random.gauss(0, 1),
        threading.main_thread().native_id or 0,
        threading.get_native_id(),
    )


@pytest.mark.parametrize("spares", [0, 1])
def test_each_clone_has_random_numbers_and_a_thread_of_its_own(spares: int) -> None:
    """Also when the template has left half of a pair of random.gauss() behind."""
    with ramet.Template(
        ["random", __name__], setup=lambda: random.gauss(0, 1), spares=spares
    ) as template:
        first, second, third = (template.clone(numbers).result(30) for _ in range(3))
    for index in range(2):
        assert len({one[index] for one in (first, second, third)}) == 3
    assert all(main == of_thread for _, _, main, of_thread in (first, second, third))


def start_a_thread() -> None:
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def has_shortened() -> bool:
    from ramet._workers.in_template import fork_handlers

    return fork_handlers._shortened is not None


def test_a_template_that_keeps_a_thread_keeps_all_handlers() -> None:
    """For that thread may hold a lock."""
    with ramet.Template(["cloudpickle"], setup=start_a_thread, allow=["threads"]) as template:
        assert result(template, has_shortened) is False
    with ramet.Template(["cloudpickle"]) as template:
        assert result(template, has_shortened) is True


def test_it_keeps_them_when_a_call_comes_by_value() -> None:
    """And has no others then."""
    with ramet.Template([__name__], setup=start_a_thread, allow=["threads"], spares=0) as template:
        before = result(template, lists_of_handlers)
        assert template.clone(lambda: 1).result(30) == 1
        assert result(template, lists_of_handlers) == before


def test_a_copy_of_the_caller_has_few_as_well() -> None:
    """Template.from_here(), in a program of one thread."""
    program = (
        "import ramet\n"
        f"from {__name__} import has_shortened, with_a_thread, threads_and_log\n"
        "with ramet.Template.from_here() as template:\n"
        "    print(template.clone(has_shortened).result(30))\n"
        "    print(template.clone(with_a_thread, threads_and_log).result(30))\n"
        "import threading\n"
        "thread = threading.Thread(target=int)\n"
        "thread.start(); thread.join()\n"
        "with_a_thread(int)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout == "True\n(1, 'MainThread')\n"


def test_what_calls_by_value_bring_is_left_out_as_well() -> None:
    """They need cloudpickle, and with it comes logging, when the template serves already."""

    def names() -> list[str]:  # by value, as this module would bring logging into the call
        import gc

        from ramet._workers.in_template import fork_handlers

        gc.unfreeze()
        lists = fork_handlers._lists_of_handlers()
        return [getattr(one, "__qualname__", repr(one)) for all_ in lists or () for one in all_]

    with ramet.Template(spares=0) as template:
        assert result(template, names) == ["before_fork", "_Shortened._before_fork"]
        assert "logging" in template.clone(lambda: list(sys.modules)).result(30)

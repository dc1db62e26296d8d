"""Requests for clones that a template has met before: the core meets them without Python."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet._workers.executor.tree_template import TreeTemplate

from ... import seccomp
from ...waiting import until

pytestmark = pytest.mark.usefixtures("nothing_left")

IN_TURN = pytest.mark.parametrize("kind", [ramet.Template, TreeTemplate])
FORKS_OF_FIRST = 2  # of the first call's clone, and of the next


def count_in_python() -> None:
    """In the template: its clones can tell how many it has made by itself."""
    from ramet._workers.in_template import template_process

    makes = template_process._Template._make

    def counted(*arguments: Any) -> None:
        os.environ["MADE_IN_PYTHON"] = str(made_in_python() + 1)
        makes(*arguments)

    template_process._Template._make = counted  # type: ignore[method-assign,assignment]


def made_in_python() -> int:
    """In a clone."""
    return int(os.environ.get("MADE_IN_PYTHON", "0"))


def at_the_second_fork(act: Callable[[], object], when: str) -> None:
    """In the template: have this done then. when: as for os.register_at_fork()."""
    forks = []

    def forked() -> None:
        forks.append(1)
        if len(forks) == FORKS_OF_FIRST:
            act()

    os.register_at_fork(**{when: forked})


def answer(template: Any, fn: Callable[..., Any], *args: object, **options: Any) -> Any:
    """Of one call, whose child is gone then."""
    with template.clone(fn, *args, **options) as child:
        return child.result()


def die() -> None:
    """At once."""
    os.kill(os.getpid(), signal.SIGKILL)


def open_files() -> list[str]:
    """What each open descriptor is, without the numbers of what has no name."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}").partition(":[")[0])
        except FileNotFoundError:  # of the directory itself
            continue
    return sorted(found)


@IN_TURN
@pytest.mark.parametrize("spares", [0, 1])
def test_python_runs_for_the_first_alone(kind: Callable[..., Any], spares: int) -> None:
    """Of those that ask for the same; for a spare not for long."""
    with kind([__name__], setup=count_in_python, spares=spares) as template:
        told = [answer(template, made_in_python) for _ in range(12)]
    assert told[0] >= 1
    assert told[-4:] == [told[-1]] * 4
    assert told[-1] <= 1 + 6 * spares


def test_what_cannot_be_met_is_known_once(root: None) -> None:
    """Where a filter hides from the core what it needs, Python meets each such request."""

    def hide_and_count() -> None:
        from ramet._workers.in_template import template_process

        makes_known = template_process._Template._make_known

        def counted(self: Any, *arguments: Any, **options: Any) -> None:
            makes_known(self, *arguments, **options)
            os.environ["KNOWN"] = str(len(self._known))

        template_process._Template._make_known = counted  # type: ignore[method-assign]
        count_in_python()
        seccomp.hide("pidfd_open")

    with TreeTemplate([__name__], setup=hide_and_count, spares=0) as template:
        told = [answer(template, made_in_python) for _ in range(5)]
        assert answer(template, os.getenv, "KNOWN") == "1"
    assert told == [1, 2, 3, 4, 5]


def test_another_flag_is_another_request(root: None) -> None:
    """Each is met by the core from its second on."""
    with ramet.Template([__name__], setup=count_in_python, spares=0) as template:
        told = [
            answer(template, made_in_python, flags=flags)
            for _ in range(3)
            for flags in (0, ramet.CloneFlag.NEWUTS, ramet.CloneFlag.NEWIPC)
        ]
    assert told == [1, 2, 3, 3, 3, 3, 3, 3, 3]


@IN_TURN
def test_a_clone_has_the_same_open_files(kind: Callable[..., Any]) -> None:
    """Whoever has made it."""
    with kind([__name__], spares=0) as template:
        first, *later = [answer(template, open_files) for _ in range(4)]
    assert later == [first] * 3


@IN_TURN
def test_the_template_keeps_nothing_of_them(kind: Callable[..., Any]) -> None:
    """No descriptor for each call."""
    with kind([__name__], spares=0) as template:
        answer(template, made_in_python)
        before = len(os.listdir(f"/proc/{template.pid}/fd"))
        for _ in range(20):
            answer(template, made_in_python)
        # Before, a clone may not yet have been let go of.
        assert len(os.listdir(f"/proc/{template.pid}/fd")) <= before


@IN_TURN
@pytest.mark.parametrize("when", ["before", "after_in_parent"])
def test_a_template_that_dies_meanwhile_leaves_nothing(kind: Callable[..., Any], when: str) -> None:
    """Neither the clone nor the init of its namespace; another template meets the request."""
    with kind([__name__], setup=lambda: at_the_second_fork(die, when), spares=0) as template:
        assert answer(template, abs, -1) == 1
        with pytest.warns(ramet.TemplateRestarted):
            assert answer(template, abs, -2) == 2


@IN_TURN
def test_a_refused_clone_call_is_explained(kind: Callable[..., Any]) -> None:
    """By who can: what was made for it is used, or goes."""

    def refuse() -> None:
        for name in ("clone", "clone3", "fork"):
            seccomp.hide(name, errno.EDQUOT)

    setup = lambda: at_the_second_fork(refuse, "before")  # noqa: E731 - crosses by its value
    with kind([__name__], setup=setup, spares=0) as template:
        assert answer(template, abs, -1) == 1
        with pytest.raises(OSError, match=os.strerror(errno.EDQUOT)) as refused:
            template.clone(abs, -2)
        assert refused.value.errno == errno.EDQUOT


@IN_TURN
def test_no_room_for_descriptors_is_explained(kind: Callable[..., Any]) -> None:
    """The template has as many open as it may."""

    def fill() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))

    setup = lambda: at_the_second_fork(fill, "after_in_parent")  # noqa: E731 - crosses by its value
    with kind([__name__], setup=setup, spares=0) as template:
        assert [answer(template, abs, -n) for n in (1, 2)] == [1, 2]
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            template.clone(abs, -3)


def test_an_init_that_was_killed_is_reaped(root: None) -> None:
    """By the caller: it ended before the clone was made. The template keeps no descriptor."""

    def kill_each_init() -> None:
        from ramet import _core
        from ramet._process.tree import pid_namespace

        join = pid_namespace.join_for_children

        def kill_and_join(init: int, pidfd_of_init: int) -> None:
            os.kill(init, signal.SIGKILL)
            _core.wait_readable(pidfd_of_init, 30.0)
            join(init, pidfd_of_init)

        pid_namespace.join_for_children = kill_and_join

    def refused() -> None:
        with pytest.raises(ramet.CloneError, match=os.strerror(errno.ESRCH)):
            template.clone(abs, -1)

    with TreeTemplate([__name__], setup=kill_each_init, spares=0) as template:
        refused()
        before = len(os.listdir(f"/proc/{template.pid}/fd"))
        for _ in range(3):
            refused()
        # It says so before it closes its own.
        until(lambda: len(os.listdir(f"/proc/{template.pid}/fd")) <= before)


def test_handlers_of_the_templates_own_run(tmp_path: Path) -> None:
    """At the latest between two such requests."""
    seen = tmp_path / "seen"

    def handle() -> None:
        signal.signal(signal.SIGUSR1, lambda *_: seen.touch())

    with ramet.Template([__name__], setup=handle, spares=0) as template:
        for number in range(3):
            assert answer(template, abs, -number) == number
        os.kill(template.pid, signal.SIGUSR1)
        for number in range(2):
            assert answer(template, abs, -number) == number
        assert seen.exists()

"""What a template tells its caller of the clones that it has made, and what it cannot tell any more."""

import errno
import json
import os
import signal
import threading
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

import ramet
from ramet import CloneFlag as F
from ramet._workers.executor.tree_template import TreeTemplate
from ramet._workers.template.link import Link, RefusedError

from ...constants import SECONDS

pytestmark = pytest.mark.usefixtures("nothing_left")

NOBODY = 65534


def dies_before_it_tells() -> None:
    """In the template: it is killed between a clone call and its answer."""
    from ramet._workers.in_template import template_process

    def dies(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    template_process._Template._tell = dies  # type: ignore[method-assign,assignment]


def dies_after_the_init() -> None:
    """In the template: it is killed when the call's pid namespace is made, and no clone is in it."""
    from ramet._workers.in_template.pid_namespaces import PidNamespaces

    makes = PidNamespaces.new

    def dies(*arguments: Any, needed: bool) -> None:
        makes(*arguments, needed=needed)
        os.kill(os.getpid(), signal.SIGKILL)

    PidNamespaces.new = dies  # type: ignore[method-assign,assignment]


@pytest.mark.parametrize(
    ("kind", "setup"),
    [
        (ramet.Template, dies_before_it_tells),
        (TreeTemplate, dies_before_it_tells),
        (TreeTemplate, dies_after_the_init),
    ],
)
def test_what_nobody_was_told_of_is_ended(
    kind: Callable[..., Any], setup: Callable[[], None]
) -> None:
    """A clone, and the init of its namespace; and a template that ends each time is one error."""
    with (
        warnings.catch_warnings(action="ignore", category=ramet.TemplateRestarted),
        kind(["cloudpickle"], setup=setup, spares=0) as template,
        pytest.raises(ramet.TemplateError, match="3 times in a row"),
    ):
        template.clone(abs, -1)


def test_a_template_with_fewer_rights_cannot_name_another_process(root: None) -> None:
    """Neither for its caller to kill nor to trust; what it has cloned is ended."""

    def lies() -> None:
        from ramet._workers.in_template import template_process

        tell = template_process._Template._tell

        def told(self: Any, _: int, *others: Any) -> None:
            tell(self, 1, *others)

        template_process._Template._tell = told  # type: ignore[method-assign,assignment]
        os.setresuid(NOBODY, NOBODY, NOBODY)

    with (
        ramet.Template(["cloudpickle"], setup=lies, spares=0) as template,
        pytest.raises(ramet.TemplateError, match="expected children of this process"),
    ):
        template.clone(abs, -1)


def test_a_template_with_fewer_rights_serves(root: None) -> None:
    """Its calls have its rights, and send data."""

    def drops() -> None:
        os.setresuid(NOBODY, NOBODY, NOBODY)

    with (
        ramet.Template(["cloudpickle"], setup=drops, spares=1) as template,
        template.clone(os.getresuid) as child,
    ):
        assert child.result() == (NOBODY, NOBODY, NOBODY)


def test_rights_are_those_of_the_child_where_proc_has_other_pids(root: None) -> None:
    """In a pid namespace below that of /proc a pid is another process there: no pickle of it is loaded."""

    def in_namespace() -> list[str]:
        import fractions

        def drops() -> object:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            return fractions.Fraction(1, 3)

        told = []
        with ramet.Template(["cloudpickle", "fractions"], spares=0) as template:
            for fn in (fractions.Fraction, drops):
                with template.clone(fn) as child:
                    told.append(repr(child.exception() or child.result()))
        return told

    with TreeTemplate(["cloudpickle"]) as template, template.clone(in_namespace) as child:
        trusted, refused = child.result()
    assert trusted == "Fraction(0, 1)"
    assert "less trusted" in refused


def test_a_timeout_is_kept_beside_another_thread_that_waits() -> None:
    """That one may wait for ever."""
    with ramet.Template() as template, template.clone(signal.pause) as child:
        is_there = threading.Event()

        def waits() -> None:
            is_there.set()
            with pytest.raises(ramet.ChildDied):
                child.result()

        thread = threading.Thread(target=waits)
        thread.start()
        assert is_there.wait(SECONDS)
        for _ in range(20):
            with pytest.raises(ramet.TimeoutExpired):
                child.result(timeout=0.01)
        child.kill()
        thread.join()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "no room"), [errno.ENOSPC, "no room", 0]),
        (ValueError("no number"), [errno.EINVAL, "no number", 0]),
    ],
)
def test_a_refusal_says_its_number_once(
    error: Exception, told: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller's error, which is made of both, would say it again."""
    from ramet._workers.in_template import template_process

    sent: list[bytes] = []
    monkeypatch.setattr(template_process, "send", lambda _, __, parts, ___: sent.extend(parts))
    template_process._Template._refuse(cast(Any, SimpleNamespace(_control=None)), error, None)
    assert list(map(json.loads, sent)) == [told]


@pytest.mark.parametrize("flags", [0, F.NEWNET])
def test_a_template_in_a_sandbox_says_what_there_is_instead(
    flags: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its filter refuses the flag that all clones of templates have, which no caller has given."""

    def refused(*_: object) -> None:
        raise RefusedError(errno.EPERM, "as a filter says")

    monkeypatch.setattr(Link, "clone", refused)
    with ramet.Template(spares=0) as template, pytest.raises(ramet.CloneError) as caught:
        template.clone(os.getpid, flags=flags)
    notes = "".join(getattr(caught.value, "__notes__", []))
    assert ("use ramet.run(), ramet.clone() or" in notes) is (flags == 0)

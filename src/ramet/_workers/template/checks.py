"""Checks of what a template is asked to do and to have, before its process is started."""

from collections.abc import Callable, Iterable

from ..crossing.template_messages import Loading
from ..in_template.fork_hazards import HAZARDS

_IS_COROUTINE_FUNCTION = 0x80  # inspect.CO_COROUTINE, which takes time to import


def checked_loading(
    preload: Iterable[str],
    setup: Callable[[], object] | None,
    warm: Callable[[], object] | None,
    allow: Iterable[str],
) -> Loading:
    """What a template is to do, if it is that. Raises TypeError and ValueError."""
    if isinstance(preload, str):
        raise TypeError(
            f"invalid preload: expected a list of names of modules, got one string; [{preload!r}] is one"
        )
    if not isinstance(preload, Iterable):
        how = "; a function goes to clone() or to setup=" if callable(preload) else ""
        raise TypeError(
            f"invalid preload: expected a list of names of modules, got {preload!r}{how}"
        )
    names = list(preload)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"invalid preload: expected names of modules, got {name!r}")
    for what, fn in (("setup", setup), ("warm", warm)):
        if fn is not None and not callable(fn):
            raise TypeError(f"invalid {what}: expected a function, got {fn!r}")
        refuse_coroutine_function(what, fn)
    if not isinstance(allow, Iterable):
        raise TypeError(f"invalid allow: expected a list of names of hazards, got {allow!r}")
    allowed = [allow] if isinstance(allow, str) else list(allow)
    for name in allowed:
        if name not in HAZARDS:
            raise ValueError(
                f"invalid allow: expected some of {', '.join(map(repr, HAZARDS))}, got {name!r}"
            )
    return Loading(names, setup, warm, allowed)


def refuse_coroutine_function(what: str, fn: object) -> None:
    """Raise TypeError for one: a call of it runs nothing of what it does, and nobody would see that."""
    if getattr(getattr(fn, "__code__", None), "co_flags", 0) & _IS_COROUTINE_FUNCTION:
        name = getattr(fn, "__name__", what)
        raise TypeError(
            f"invalid {what}: expected a function, got a coroutine function, of which a call runs nothing; "
            f"take a function that calls asyncio.run({name}())"
        )


def refuse_foreign(options: Iterable[str], *, of_context: bool) -> None:
    """Raise TypeError for a limit of calls: the process of a template, or of a context, takes none."""
    from ..._preflight import hints  # no template's process needs them

    of = hints.no_option_of_contexts if of_context else hints.no_option_of_templates
    for error in filter(None, map(of, options)):
        raise error


def require_spares(spares: object) -> None:
    """Raise TypeError or ValueError for what is no number of spares."""
    if isinstance(spares, bool) or not isinstance(spares, int):
        raise TypeError(f"invalid spares: expected a number of processes, got {spares!r}")
    if spares < 0:
        raise ValueError(f"invalid spares: expected 0 or more, got {spares}")


def require_reload(reload: object) -> None:
    """Raise ValueError for what is no answer to changed source files."""
    if reload not in {None, "changed"}:
        raise ValueError(f"invalid reload: expected 'changed' or None, got {reload!r}")

"""Writes docs/reference/api and docs/reference/errors.md from the docstrings of the public names.

A docstring's own form is kept: its paragraphs, in which `name: text` is a parameter or a field, and the
lines that begin with Returns, Raises, Needs and Source. `make pages` runs it; a test compares what it would
write with what is there.
"""

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
NOTICE = "<!-- Made by build-aux/api_pages.py from the docstrings in src/ramet: change those. -->"


class Chapter(NamedTuple):
    """A page: its file, title, lead, and names, each a module and what is public in it."""

    file: str
    title: str
    lead: str
    names: tuple[str, ...]


CHAPTERS = (
    Chapter(
        "functions",
        "Functions in new tasks",
        "A Python function in a process that shares with its caller what the flags name.",
        ("ramet:clone vfork fork in_namespace wait", "ramet:FunctionOptions"),
    ),
    Chapter(
        "programs",
        "Programs",
        "As in `subprocess`, with [all options](../options.md).",
        (
            "ramet:run call check_call check_output getoutput getstatusoutput",
            "ramet:Popen Command Options",
        ),
    ),
    Chapter(
        "child",
        "Children, and how they end",
        "The handle of a child, its exit status, and those that it left.",
        ("ramet:Child ExitStatus Losses", "ramet:Subreaper set_subreaper is_subreaper"),
    ),
    Chapter(
        "workers",
        "Templates and executors",
        "A process that has loaded what calls need, and the calls that run in its clones.",
        ("ramet:Template Executor", "ramet._workers.executor.call_future:CallFuture"),
    ),
    Chapter(
        "sandbox",
        "Sandboxes",
        "What a child may see, call and use, and what is told of it.",
        (
            "ramet:Sandbox",
            "ramet._sandbox.planning.plan:Plan",
            "ramet._sandbox.planning.row:Row",
            "ramet._sandbox.supervision:SandboxReport",
            "ramet._sandbox.overlay.changes:Changes",
            "ramet._sandbox.overlay.change_finding:Change",
        ),
    ),
    Chapter(
        "law",
        "Flags and the law",
        "What the kernel will answer: the flags, a request, and the rules. `ramet.law` runs on any system.",
        (
            "ramet:explain predict CloneFlag",
            "ramet.law:Explanation Outcome Request Caller Cgroup Rule Share",
            "ramet.law:evaluate certainly_broken possibly_broken make_request parse_version kernel_version",
            "ramet.conformance:check_kernel Report",
        ),
    ),
    Chapter(
        "observe",
        "Looking at tasks",
        "What living tasks share, what of a child's memory is its own; a trace of clone calls and ends.",
        (
            "ramet:relation Relation",
            "ramet.observe:tree Tree Task",
            "ramet.observe:memory ChildMemory Memory MappingMemory TypeMemory",
            "ramet.observe:trace",
            "ramet.observe.tracing:Trace Begun Made Exec ExecRefused Refused Moved Adopted End Left Cost",
            "ramet.observe.tracing:Call to_dict",
        ),
    ),
    Chapter(
        "lowlevel",
        "The kernel's own terms",
        "clone() and clone3() with the parameters of the manual page.",
        (
            "ramet.lowlevel:clone clone3 CloneArgs Stack TidWord kcmp KcmpType",
            "ramet:recovery_status",
        ),
    ),
    Chapter(
        "aio",
        "asyncio and trio",
        "The same under an event loop. It needs the extra `aio`.",
        ("ramet.aio:run open_process spawn Process Executor",),
    ),
    Chapter(
        "others",
        "multiprocessing, joblib, dask",
        "For programs that use these.",
        (
            "ramet.multiprocessing:context set_start_method CloneContext",
            "ramet.joblib:RametBackend",
            "ramet.dask:ExecutorPlugin",
        ),
    ),
)
ERRORS = Chapter(
    "errors",
    "Errors and warnings",
    "What is raised, and what it knows. All are in `ramet.errors`; those that you may want to catch "
    "are in `ramet`, too. What is raised when is said [by each call](api/README.md).",
    ("ramet.errors:*",),
)
# What a docstring does not tell.
LEFT_OUT = {
    "ramet.errors": {"BrokenRule", "died", "spawn_error", "still_running", "UnknownFlagError"}
}
TERMS = ("Returns", "Raises", "Needs:", "Source:")
_NAMES = r"`\w+`(?:(?:, | and )`\w+`)*|\w+(?:, \w+)*"
_PARAMETER = re.compile(rf"(?:^|(?<=[.;:] ))({_NAMES}): ")
_WIDEST = 92


def pages() -> dict[str, str]:
    """The text of every page, by its place below docs/reference."""
    told = {f"api/{one.file}.md": page(one) for one in CHAPTERS}
    told["api/README.md"] = index()
    told["errors.md"] = page(ERRORS).replace("../../", "../")
    return told


def index() -> str:
    lines = []
    for chapter in CHAPTERS:
        listed = ", ".join(f"`{name}`" for _, name, _ in things(chapter))
        lines.append(f"| [{chapter.title}]({chapter.file}.md) | {listed} |")
    lead = (
        "All public names, with their docstrings: `help(ramet.clone)` shows the same. What is "
        "`ramet.NAME` here is imported from `ramet`; the others say their module."
    )
    return (
        "\n\n".join(["# The API", NOTICE, lead, "| page | names |\n|---|---|\n" + "\n".join(lines)])
        + "\n"
    )


def page(chapter: Chapter) -> str:
    parts = [f"# {chapter.title}", NOTICE, chapter.lead]
    for module, name, thing in things(chapter):
        parts += section(public_name(module, name), thing)
    return "\n\n".join(parts) + "\n"


def things(chapter: Chapter) -> Iterator[tuple[str, str, Any]]:
    for entry in chapter.names:
        place, _, words = entry.partition(":")
        module = import_module(place)
        for name in module.__all__ if words == "*" else words.split():
            if name not in LEFT_OUT.get(place, ()):
                yield place, name, getattr(module, name)


def public_name(module: str, name: str) -> str:
    return name if "._" in module or module == "ramet.errors" else f"{module}.{name}"


def section(name: str, thing: Any) -> Iterator[str]:
    yield f"## {name}"
    if isinstance(thing, type):
        yield from of_class(name.rpartition(".")[2], thing)
        return
    yield as_code(name, thing)
    yield from described(inspect.getdoc(thing) or "", parameters_of(thing))


def of_class(name: str, kind: type) -> Iterator[str]:
    bases = [base.__name__ for base in kind.__mro__[1:] if base.__module__ == "builtins"]
    if issubclass(kind, BaseException):
        ours = [base.__name__ for base in kind.__bases__ if base.__module__ != "builtins"]
        yield f"Derived from {', '.join(f'`{base}`' for base in [*ours, *bases[:1]])}."
    elif is_called(kind):
        yield as_code(name, kind)
    yield from described(
        inspect.getdoc(kind) or "", set(getattr(kind, "__annotations__", ())) | parameters_of(kind)
    )
    for member in members(kind):
        thing = inspect.getattr_static(kind, member)
        plain = getattr(kind, member)
        yield f"### {name}.{member}"
        if isinstance(thing, property) or not callable(plain):
            yield from described(inspect.getdoc(thing) or "", set())
        else:
            yield as_code(f"{name}.{member}", plain)
            yield from described(inspect.getdoc(plain) or "", parameters_of(plain))


def is_called(kind: type) -> bool:
    """Whether a reader makes one of it: no flag, row or table of options."""
    made = {"__init__", "__new__"} & vars(kind).keys() or hasattr(kind, "__dataclass_fields__")
    return bool(made) and not issubclass(kind, int | tuple) and not hasattr(kind, "__total__")


_MEMBERS = (property, classmethod, staticmethod, functools.cached_property)


def members(kind: type) -> Iterator[str]:
    """The public methods and properties of the class and of its bases in ramet, if they are explained."""
    seen: set[str] = set()
    for base in kind.__mro__:
        if not base.__module__.startswith("ramet") or issubclass(base, BaseException):
            continue
        for name, thing in vars(base).items():
            known = isinstance(thing, _MEMBERS) or inspect.isfunction(thing)
            if known and (not name.startswith("_") or name == "__await__") and name not in seen:
                seen.add(name)
                told = thing if isinstance(thing, property) else getattr(base, name)
                if inspect.getdoc(told):
                    yield name


def parameters_of(thing: Callable[..., Any]) -> set[str]:
    try:
        return set(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        return set()


def as_code(name: str, thing: Callable[..., Any]) -> str:
    """The call, with its defaults; types are in the docstring's words."""
    try:
        parameters = [*inspect.signature(thing).parameters.values()]
    except (TypeError, ValueError):
        return f"```\n{name}(...)\n```"
    if parameters and parameters[0].name in {"self", "cls"}:
        del parameters[0]
    words, keyword_only = [], False
    for one in parameters:
        if one.kind is one.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            if not any(other.kind is other.VAR_POSITIONAL for other in parameters):
                words.append("*")
        words.append(spelled(one))
    line = f"{name}({', '.join(words)})"
    if len(line) > _WIDEST:
        line = f"{name}(\n" + "".join(f"    {word},\n" for word in words) + ")"
    return f"```\n{line}\n```"


def spelled(one: inspect.Parameter) -> str:
    star = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
    if one.default is one.empty or one.default is ...:
        return star + one.name
    default = one.default
    if isinstance(default, int) and not isinstance(default, bool):
        return f"{one.name}={int(default)}"
    simple = default is None or isinstance(default, bool | float | str | tuple)
    return f"{one.name}={default!r}" if simple else f"{one.name}=..."


def described(text: str, names: set[str]) -> Iterator[str]:
    """The paragraphs of a docstring."""
    for paragraph in re.split(r"\n{2,}", text):
        if paragraph.startswith(">>> "):
            yield "\n".join(f"    {line}" for line in paragraph.splitlines())
            continue
        if re.match(r"\s*[*-] ", paragraph):
            yield marked(paragraph)
            continue
        for part in terms(paragraph):
            yield from with_parameters(marked(" ".join(part.split())), names)


def terms(paragraph: str) -> list[str]:
    """The paragraph, cut before each line that begins with a term."""
    parts = [""]
    for line in paragraph.splitlines():
        if line.startswith(TERMS) and parts[-1]:
            parts.append("")
        parts[-1] += f"{line}\n"
    return parts


def with_parameters(text: str, names: set[str]) -> Iterator[str]:
    """The text, with a list where it tells of parameters or fields."""
    term = next((term for term in TERMS if text.startswith(term)), "")
    if term:
        text = f"**{term.strip(':')}** {text.removeprefix(term).strip()}"
    starts = [
        found
        for found in _PARAMETER.finditer(text)
        if "`" in found[1] or set(found[1].split(", ")) <= names
    ]
    if not starts or text[: starts[0].start()].endswith("; "):  # a sentence that goes on
        yield text
        return
    if before := text[: starts[0].start()].strip():
        yield before
    ends = [*(one.start() for one in starts[1:]), len(text)]
    items = zip(starts, ends, strict=True)
    yield "\n".join(f"- {named(one[1])}: {text[one.end() : end].strip(' ;')}" for one, end in items)


def named(names: str) -> str:
    words = re.findall(r"\w+", names.replace(" and ", ", "))
    return ", ".join(f"`{word}`" for word in words)


def marked(text: str) -> str:
    """As Markdown has it: one backtick for code, and a page of docs/ by a link."""
    text = re.sub(r"docs/((?:\w+/)*(\w+\.md))", r"[\2](../../\1)", text.replace("``", "`"))
    parts = text.split("`")
    parts[::2] = [re.sub(r"\*(?=\w|$)", r"\\*", part) for part in parts[::2]]
    return "`".join(parts)


def main() -> int:
    (FOLDER / "api").mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

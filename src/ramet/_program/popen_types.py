"""The options of Popen, run() and the like for type checkers; not imported at run time.

Four of them decide between str and bytes output, as in subprocess: hence five sets of those four, and one
for callers that cannot know. Each is combined with Popen's other options, and with run()'s.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Required, TypeAlias, TypedDict

from .._setup.checks import Text
from .._setup.options import Options

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Argv: TypeAlias = Text | Sequence[Text]


class ByText(TypedDict, total=False):
    """text=True: str."""

    text: Required[Literal[True]]
    encoding: str | None
    errors: str | None
    universal_newlines: Literal[True] | None


class ByEncoding(TypedDict, total=False):
    """An encoding: str."""

    text: bool | None
    encoding: Required[str]
    errors: str | None
    universal_newlines: bool | None


class ByErrors(TypedDict, total=False):
    """A way to treat errors of encoding: str."""

    text: bool | None
    encoding: str | None
    errors: Required[str]
    universal_newlines: bool | None


class ByNewlines(TypedDict, total=False):
    """universal_newlines=True: str."""

    text: Literal[True] | None
    encoding: str | None
    errors: str | None
    universal_newlines: Required[Literal[True]]


class InBytes(TypedDict, total=False):
    """None of them: bytes."""

    text: Literal[False] | None
    encoding: None
    errors: None
    universal_newlines: Literal[False] | None


class InEither(TypedDict, total=False):
    """Any of them."""

    text: bool | None
    encoding: str | None
    errors: str | None
    universal_newlines: bool | None


class PopenOptions(Options, total=False):
    """Popen's options but those of text."""

    bufsize: int
    shell: bool
    preexec_fn: Callable[[], object] | None
    startupinfo: None
    creationflags: Literal[0]
    pipesize: int


class CallOptions(InEither, PopenOptions, total=False):
    """call()'s, for which text or not is all the same."""

    timeout: float | None
    kill_after: float | None
    kill_tree: bool


class RunOptions(PopenOptions, total=False):
    """run()'s but those of text."""

    timeout: float | None
    kill_after: float | None
    kill_tree: bool
    capture_output: bool
    check: bool


class PopenByText(ByText, PopenOptions):
    """Popen(text=True)."""


class PopenByEncoding(ByEncoding, PopenOptions):
    """Popen(encoding=...)."""


class PopenByErrors(ByErrors, PopenOptions):
    """Popen(errors=...)."""


class PopenByNewlines(ByNewlines, PopenOptions):
    """Popen(universal_newlines=True)."""


class PopenInBytes(InBytes, PopenOptions):
    """Popen() without options of text."""


class PopenInEither(InEither, PopenOptions):
    """Popen(text=...), what is not known."""


class RunByText(ByText, RunOptions, total=False):
    """run(text=True)."""

    input: str | None


class RunByEncoding(ByEncoding, RunOptions, total=False):
    """run(encoding=...)."""

    input: str | None


class RunByErrors(ByErrors, RunOptions, total=False):
    """run(errors=...)."""

    input: str | None


class RunByNewlines(ByNewlines, RunOptions, total=False):
    """run(universal_newlines=True)."""

    input: str | None


class RunInBytes(InBytes, RunOptions, total=False):
    """run() without options of text."""

    input: "ReadableBuffer | None"


class RunInEither(InEither, RunOptions, total=False):
    """run(text=...), what is not known."""

    input: "str | ReadableBuffer | None"

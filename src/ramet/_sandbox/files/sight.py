"""Whether a confined program sees a path of the caller's, and what is told when it does not."""

import os
from collections.abc import Iterable
from typing import NamedTuple

from ..._setup.checks import Text
from ..description import Sandbox, is_below
from ..view import TMP, View, has_own_tmp
from .interpreters import interpreter

_OF_WINDOWS = r"the lines of the script end in CR LF, as on Windows: sed -i 's/\r$//' mends it"
_OF_ITS_OWN = ("/dev", "/proc")  # whatever the root is


def as_seen_from_here(sandbox: Sandbox, path: Text) -> Text:
    """A relative path from the caller's own directory, where the child sees files of this machine."""
    is_of_image = sandbox.root not in (None, "/")
    if is_of_image or not path or os.path.isabs(path):
        return path
    try:
        return os.path.abspath(path)
    except FileNotFoundError as error:
        why = "the working directory, from which a relative cwd is taken, has been removed"
        raise FileNotFoundError(error.errno, why, path) from None


class Sight(NamedTuple):
    """What the child of a sandbox sees; without a root of its own it sees all names, and may read less."""

    sandbox: Sandbox
    view: View
    has_own_root: bool

    def includes(self, path: str) -> bool:
        """Whether it sees the file that the caller has at a path, after all links."""
        real = os.path.realpath(path)
        if any(is_below(real, one.path) for one in self.view.hidden):
            return False
        return any(is_below(real, one.path) for one in self.view.shown) or self._is_of_root(real)

    def _is_of_root(self, path: str) -> bool:
        """Whether it sees all files of this machine, and this is none that it has for its own."""
        if self.sandbox.root != "/":
            return False
        private = (TMP, *_OF_ITS_OWN) if has_own_tmp(self.sandbox, self.view) else _OF_ITS_OWN
        return not (self.has_own_root and any(is_below(path, one) for one in private))

    def why_not_executed(self, paths: Iterable[str], begins: str) -> str:
        """The likely reason why none of the paths can be executed; begins: where relative ones begin."""
        for path in filter(None, paths):
            whole = os.path.join(begins, path)
            if self.sandbox.root in (None, "/") and os.path.exists(whole):
                return self.why_unseen(whole) or self._why_no_interpreter(whole)
            if "/" in path and not os.path.isabs(path) and os.path.exists(path):
                here = os.path.abspath(path)
                return f"the program begins in {begins!r}: {self.why_unseen(here) or f'name it {here!r}'}"
        return ""

    def why_unseen(self, path: str) -> str:
        """Words for one that the caller sees and the child does not; empty for one that it sees."""
        real, named = os.path.realpath(path), os.path.normpath(path)
        if not os.path.exists(path) or (self.includes(path) and self._shows(named)):
            return ""
        leads = "" if real == named else f", which is {real!r}"
        hidden = (one for one in self.sandbox.hidden if is_below(real, os.path.realpath(one)))
        covering = next(hidden, None)
        if covering is not None:
            return f"the sandbox does not see {path!r}{leads}: hidden=[{covering!r}] covers it"
        wanted = dict.fromkeys(_to_show(one) for one in (named, real) if not self._shows(one))
        if not wanted:
            return f"the sandbox hides {path!r}{leads}"
        return f"the sandbox does not see {path!r}{leads}: read={[*wanted]!r} shows it"

    def _shows(self, path: str) -> bool:
        """Whether there is something at the path itself, be it a link."""
        known = [*(one.path for one in self.view.shown), *(link for link, _ in self.view.links)]
        return any(is_below(path, one) for one in known) or self._is_of_root(path)

    def _why_no_interpreter(self, program: str) -> str:
        needed = interpreter(program)
        if needed is None:
            return ""
        if not os.path.exists(needed.path):
            missing = f"{needed.which}, {needed.path!r}, does not exist"
            is_of_windows = needed.path.endswith("\r")
            return f"{missing}; {_OF_WINDOWS}" if is_of_windows else missing
        unseen = self.why_unseen(needed.path)
        return unseen and f"it is {needed.of}, and {unseen}"


def _to_show(path: str) -> str:
    """What is to be shown for a program to run: beside a directory bin there are its libraries."""
    directory = os.path.dirname(path) if not os.path.isdir(path) else path
    parent = os.path.dirname(directory)
    if os.path.basename(directory) in ("bin", "sbin") and parent != "/":
        return parent
    return path

"""A plugin that crashes without ending its host, though it works on the host's own objects."""

import ctypes
import resource

import ramet
from ramet import CloneFlag as F


def good(document: list[str]) -> int:
    """Change the host's document."""
    document.append("a line by the plugin")
    return len(document)


def bad(document: list[str]) -> int:
    """Follow a wild pointer."""
    document.append("a line before the crash")
    ctypes.string_at(8)
    return len(document)


def main() -> None:
    """Run both on one document."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    document = ["a line by the host"]
    for plugin in (good, bad, good):
        try:
            lines = ramet.clone(plugin, document, flags=F.VM).result(20)
            print(f"{plugin.__name__}: {lines} lines")
        except ramet.ChildDied as died:
            print(f"{plugin.__name__}: {died.status}")
    print(f"the host goes on with {len(document)} lines")


if __name__ == "__main__":
    main()

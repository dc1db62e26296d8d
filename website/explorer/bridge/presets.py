"""The requests that the explorer offers to start from: those that the law knows by name, and two more."""

from typing import Any

from ramet.flags import CloneFlag
from ramet.law.reading import RECIPES

_SIGCHLD = 17

# `bwrap --unshare-all` (bubblewrap.c): a sandbox as plain users make it.
_BUBBLEWRAP = CloneFlag.NEWUSER
for _name in ("NEWNS", "NEWPID", "NEWNET", "NEWUTS", "NEWIPC", "NEWCGROUP"):
    _BUBBLEWRAP |= CloneFlag[_name]

PRESETS: list[dict[str, Any]] = [
    *(
        {
            "id": name,
            "flags": hex(known.flags),
            "signal": str(known.exit_signal),
            "call": known.call,
            **({"caller": "root"} if name == "docker" else {}),  # as Docker's daemon is
        }
        for name, known in RECIPES.items()
    ),
    {
        "id": "sandbox",
        "flags": hex(_BUBBLEWRAP.value),
        "signal": str(_SIGCHLD),
        "call": "clone",
        "caller": "user",
    },
    {"id": "thread", "flags": hex(CloneFlag.THREAD.value), "signal": "auto", "call": "auto"},
]

"""UNTRACED: a debugger that asks for clone events gets none of this one."""

import ramet
from ramet import CloneFlag as F
from ramet.tour.debugger import Event, debug


def make(flags: int) -> None:
    ramet.clone(int, flags=flags).wait()


print([event.name for event in debug(lambda: make(0), [Event.FORK]).events])  # ['FORK']
print(debug(lambda: make(F.UNTRACED), [Event.FORK]).events)  # []

"""K2: fork()'s child has the parent's own stack pointer."""

import os

import ramet
from ramet.tour.debugger import Event, debug


def fork() -> None:
    pid = ramet.fork() or os._exit(0)
    os.waitpid(pid, 0)


stops = debug(fork, [Event.FORK]).stops  # of both, as a debugger sees them
caller = next(stop for stop in stops if stop.event)
child = next(stop for stop in stops if stop.pid != caller.pid)
print(child.pid == caller.pid)  # False
print(child.stack_pointer == caller.stack_pointer)  # True

"""P3: the integer that fn returns is the child's exit code."""

import os
import signal

from ramet import lowlevel


def exit_code(number: int) -> int:
    stack = lowlevel.Stack(256 * 1024)
    pid = lowlevel.clone(int, number, signal.SIGCHLD, stack)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


print(exit_code(42))  # 42
print(exit_code(256 + 42))  # 42: eight bits of it reach the waiter

"""K4: vfork() is clone() with SIGCHLD, VM and VFORK."""

import os

import ramet

words = ["one"]
child = ramet.vfork(words.append, "two")
print(words)  # ['one', 'two']
print(child.flags)  # CLONE_VM|CLONE_VFORK
print(child.pid == os.getpid(), child.exit_status)  # False exited with 0

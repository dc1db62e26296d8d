"""K1: fork() is clone() with SIGCHLD and every clone flag clear."""

import os

import ramet

reader, writer = os.pipe()
pid = ramet.fork() or os._exit(len(os.read(reader, 1)))
shares = ramet.relation(os.getpid(), pid).shares
print([what for what in ("vm", "fs", "files", "sighand") if shares[what]])  # []
child = ramet.clone(os.read, reader, 1)  # no flags, and SIGCHLD when nothing is said
print(ramet.relation(os.getpid(), child).shares == shares)  # True
print(os.write(writer, b"xx"))  # 2
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))  # 1
print(child.result())  # b'x'

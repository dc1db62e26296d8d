"""FS: shares root directory, working directory and umask."""

import os

import ramet
from ramet import CloneFlag as F

here = os.getcwd()
os.chdir("/")
ramet.clone(os.chdir, "/proc").result()
print(os.getcwd())  # /
ramet.clone(os.chdir, "/proc", flags=F.FS).result()
print(os.getcwd())  # /proc
os.chdir(here)

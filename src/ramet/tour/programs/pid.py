"""PID: gave the child the caller's own pid, until Linux 2.5.16."""

import ramet
from ramet import CloneFlag as F

try:
    ramet.clone(int, flags=F.PID)
except ramet.CloneError as error:
    print(error)  # EINVAL: rule ramet-pid: CLONE_PID is gone...

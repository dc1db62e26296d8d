"""INTO_CGROUP: the child starts in the given cgroup."""

import ramet
from ramet.tour.cgroup import fresh_cgroup


def own_cgroup() -> str:
    with open("/proc/self/cgroup") as lines:
        return lines.read().split("0::")[1].strip()


with fresh_cgroup() as (folder, path):
    print(ramet.clone(own_cgroup).result() == path)  # False
    print(ramet.clone(own_cgroup, cgroup=folder).result() == path)  # True

"""A machine whose answers are given, for plans that are not this machine's."""

import errno
from collections.abc import Mapping
from typing import Any

from ramet._kernel.names import CAPABILITIES
from ramet._sandbox.description import Sandbox
from ramet._sandbox.planning.circumstances import Circumstances
from ramet._sandbox.planning.machine import Machine, Refused
from ramet._sandbox.planning.questions import Answer

KINDS = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
GRANTED = Answer()
NO = Answer(errno.EPERM, "clone")
NOT_MAPPED = Answer(errno.EINVAL, "mount_setattr")  # a file system that cannot


class GivenMachine(Machine):
    """Its answers are attributes; idmapped: the paths with mapped ids; by_others: what others may use.

    to_subordinate: what is refused to a subordinate id.
    """

    def __init__(self, **answers: Any) -> None:
        self.idmapped = answers.pop("idmapped", None)
        self.by_others: Answer = answers.pop("by_others", GRANTED)
        self.to_subordinate: Refused | None = answers.pop("to_subordinate", None)
        self.network: Answer = answers.pop("network", GRANTED)
        self.__dict__.update(answers)

    def idmap(self, path: str) -> Answer:
        return GRANTED if self.idmapped is None or path in self.idmapped else NOT_MAPPED

    def as_another(self, path: str, mode: int, *, mounted: bool) -> Answer:  # noqa: ARG002
        return self.by_others

    def as_subordinate(self, uses: Mapping[str, int], *, mounted: bool) -> Refused | None:  # noqa: ARG002
        return self.to_subordinate

    def joins_network(self, path: str) -> Answer:  # noqa: ARG002
        return self.network


def described(**wishes: Any) -> Sandbox:
    """A description, by values of any type that it takes."""
    return Sandbox(**wishes)


def given(
    *, uid: int = 0, refused: dict[str, Answer] | None = None, around: Any = None, **answers: Any
) -> Machine:
    """A machine that grants all but what is given; refused: kinds of namespaces."""
    capabilities = frozenset(CAPABILITIES) if uid == 0 else frozenset()
    circumstances = Circumstances(**{"uid": uid, "capabilities": capabilities, **(around or {})})
    namespaces = dict.fromkeys(KINDS, GRANTED) | (refused or {})
    names = ("mounts", "proc_of_its_own", "overlay", "landlock_answer", "seccomp", "no_new_privs")
    return GivenMachine(
        **{
            **dict.fromkeys(names, GRANTED),
            "proc": True,
            "landlock_abi": 7,
            "may_copy_mounts": True,
            "namespaces": namespaces,
            "user_namespace": namespaces["user"],
            "circumstances": circumstances,
            **answers,
        }
    )

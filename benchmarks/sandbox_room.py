"""What a sandbox does on this machine, written down for the floors in C and for bubblewrap."""

import resource
import struct
from pathlib import Path
from typing import NamedTuple

import ramet
from ramet._kernel.names import NAMESPACES
from ramet._sandbox.files.landlock import rules
from ramet._sandbox.of_program import OfProgram

_NEEDED = frozenset({"user", "mnt", "pid"})


class Room(NamedTuple):
    """``description`` and ``filter``: files, as sandbox_floor.c reads them; see there."""

    description: str
    filter: str
    confinement: OfProgram

    @property
    def descriptors(self) -> tuple[int, int]:
        """Of the user namespace and the mount namespace in which a launch begins."""
        return self.confinement.ground.user, self.confinement.ground.mount

    def bwrap(self, program: str) -> list[str]:
        """The same by bubblewrap, which has neither Landlock's rules nor a filter."""
        words = ["bwrap", "--unshare-all"]
        view = self.confinement.ground.view
        for one in view.shown:
            words += ["--ro-bind", one.path, one.path]
        for path, target in view.links:
            words += ["--symlink", target, path]
        return [*words, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", program]


def room(sandbox: ramet.Sandbox, folder: Path, name: str) -> Room:
    """Write down a sandbox. Raises SandboxError and ValueError where this machine cannot have it whole."""
    confinement = OfProgram(sandbox)
    made = confinement.filter_program
    if (
        not confinement.plan.namespaces >= _NEEDED
        or not confinement.plan.landlock_abi
        or made is None
    ):
        raise ValueError("this machine has no namespaces, no Landlock or no seccomp for it")
    below_tmp = [one.path for one in confinement.ground.view.shown if one.path.startswith("/tmp/")]
    if below_tmp:  # each launch mounts it in its own /tmp, which the floor does not
        raise ValueError(f"{below_tmp[0]} is below /tmp, where the floor in C shows nothing")
    description, program = folder / f"{name}.room", folder / f"{name}.filter"
    description.write_text(
        "\n".join([*_around(confinement), *_root(confinement), *_rules(confinement)]) + "\n"
    )
    program.write_bytes(made.program)
    return Room(str(description), str(program), confinement)


def _around(confinement: OfProgram) -> list[str]:
    plan, identity = confinement.plan, confinement.identity
    new = sum(NAMESPACES[kind] for kind in plan.namespaces - {"user", "pid"})
    lines = [f"flags {new}"]
    if "uts" in plan.namespaces:
        lines.append(f"hostname {confinement.sandbox.hostname}")
    if not identity.is_callers:
        lines.append(f"id {identity.inner_uid}")
    if plan.machine.session_keyring.granted:
        lines.append("keyring own")
    for name, (soft, hard) in confinement.amounts.rlimits.items():
        lines.append(f"limit {getattr(resource, f'RLIMIT_{name}')} {soft} {hard}")
    return lines + [f"map {name} {text.decode().strip()}" for name, text in identity.maps().items()]


def _root(confinement: OfProgram) -> list[str]:
    view = confinement.ground.view
    made = dict.fromkeys(["/tmp", "/proc", "/dev", *view.directories()])
    made |= dict.fromkeys(one.path for one in view.shown if one.is_directory)
    return [
        *(f"dir {path}" for path in sorted(made, key=lambda path: path.count("/"))),
        *(f"file {one.path}" for one in view.shown if not one.is_directory),
        *(f"link {target} {path}" for path, target in view.links),
        *(f"tree {one.path}" for one in view.shown),
    ]


def _rules(confinement: OfProgram) -> list[str]:
    abi = confinement.plan.landlock_abi
    found = rules(confinement.sandbox, confinement.ground.view, abi, has_own_root=True)
    rights = struct.unpack(f"={len(found.paths)}Q", found.rights)
    return [
        f"rule {right} {path.decode()}" for right, path in zip(rights, found.paths, strict=True)
    ]

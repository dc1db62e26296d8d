"""The tests in a guest: what is run there, and what it leaves as results."""

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from .machine import End, Guest, run

TOUR, LAW, SANDBOX, JUNIT, OUTPUT = (
    "tour.json",
    "law.json",
    "sandbox.json",
    "junit.xml",
    "output.txt",
)
_TREE = "tree"
# Emulation is ten to twenty times slower than the machine: deadlines of tests are as much longer.
_DEADLINES = (
    *("-p", "pytest_timeout", "-o", "timeout=1200", "-o", "faulthandler_timeout=1500"),
    "--slower=10",
)
_NOT_COPIED = (".git", ".venv*", "build", "__pycache__", "*.so", ".*_cache", ".hypothesis")
_PLAIN_USER = "setpriv --reuid 65534 --regid 65534 --clear-groups"

_SCRIPT = """\
exec >/run/guest/{output} 2>&1 </dev/null
place={environment} # which may be below /tmp
[ -e $place ] || {{ mkdir -p $place && mount --bind /run/root$place $place; }}
mkdir /tmp/tree /tmp/changed /tmp/work /tmp/home
chmod 1777 /tmp/changed /tmp/home
layers=lowerdir=/run/guest/{tree},upperdir=/tmp/changed,workdir=/tmp/work
mount -t overlay -o $layers overlay /tmp/tree || exit
cd /tmp/tree || exit
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp/home LC_ALL=C.UTF-8
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 # pytest rewrites all of them, and may not keep what comes of it
as_asked="{user} {python}"
tell() {{ $as_asked -m ramet "$@" >/tmp/told; cp /tmp/told "/run/guest/$file"; }}
file={tour} tell tour --json
file={sandbox} tell sandbox --check --json --require best {amounts}
[ {with_law} = no ] || file={law} tell law check --json
uname -srm
$as_asked -VV
$as_asked -m pytest -p no:cacheprovider --junit-xml=/tmp/{junit} {arguments}
code=$?
cp /tmp/{junit} /run/guest/
exit $code
"""
_AMOUNTS = "--memory 512M --processes 32 --cpus 1 --cpu-time 5"


def copy_sources(tree: Path, to: Path) -> None:
    """Copy a tree without what was built in it; what has been there before is gone."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(tree, to, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_COPIED))


@dataclass(frozen=True)
class Suite:
    """Which tests are run, with which Python, as whom.

    tree: the directory of the sources. python: the command of a Python in the guest's root directory that
    has ramet and what its tests need. arguments: pytest's. law: whether all of the law is compared with the
    kernel.
    """

    tree: Path
    python: Path
    arguments: tuple[str, ...] = ("tests/kernel",)
    as_root: bool = True
    law: bool = False

    def run_in(self, guest: Guest, results: Path, *, seconds: float) -> End:
        """Boot the guest and run them; the directory of results has what they leave, and nothing else.

        They are run in a copy of the tree, which may change meanwhile.
        """
        for name in (TOUR, SANDBOX, JUNIT, OUTPUT, LAW):
            (results / name).unlink(missing_ok=True)
        copy = results / _TREE
        copy_sources(self.tree, copy)
        return run(guest, self._script(), results, seconds=seconds)

    def _script(self) -> str:
        return _SCRIPT.format(
            tree=_TREE,
            python=shlex.quote(str(self.python)),
            environment=shlex.quote(str(self.python.parents[1])),
            user="" if self.as_root else _PLAIN_USER,
            arguments=shlex.join([*_DEADLINES, *self.arguments]),
            amounts=_AMOUNTS,
            with_law="yes" if self.law else "no",
            output=OUTPUT, tour=TOUR, law=LAW, sandbox=SANDBOX, junit=JUNIT,
        )  # fmt: skip

"""A request for namespaces alone, as a command of a shell."""

from ramet.flags import CloneFlag
from ramet.law import Request

from .words import SIGCHLD

# Flag, the option of unshare(1), and the name in `ramet run --new`.
_NAMESPACES: tuple[tuple[str, str, str | None], ...] = (
    ("NEWUSER", "--user", None),
    ("NEWNS", "--mount", "mnt"),
    ("NEWUTS", "--uts", "uts"),
    ("NEWIPC", "--ipc", "ipc"),
    ("NEWNET", "--net", "net"),
    ("NEWPID", "--pid", "pid"),
    ("NEWCGROUP", "--cgroup", "cgroup"),
    ("NEWTIME", "--time", None),
)


def _namespaces(request: Request) -> list[tuple[str, str, str | None]] | None:
    """The rows of the namespaces that are asked for; None where other flags are, too."""
    if request.call == "setns" or (request.exit_signal not in {0, SIGCHLD}):
        return None
    rows = [row for row in _NAMESPACES if request.flags & CloneFlag[row[0]].value]
    if not rows or sum(CloneFlag[row[0]].value for row in rows) != request.flags:
        return None
    return rows


def unshare_command(request: Request) -> str | None:
    """The command of util-linux; None where it cannot say the request."""
    rows = _namespaces(request)
    if rows is None:
        return None
    options = [row[1] for row in rows]
    if "--user" in options:
        options.insert(1, "--map-root-user")
    if "--pid" in options:
        options.insert(options.index("--pid") + 1, "--fork")
    return f"unshare {' '.join(options)} COMMAND"


def ramet_run(request: Request) -> str | None:
    """The command of Ramet; None where it cannot say the request."""
    rows = _namespaces(request)
    if rows is None or any(row[0] == "NEWTIME" for row in rows):
        return None
    new = ",".join(row[2] for row in rows if row[2])
    root = " --map-root" if any(row[0] == "NEWUSER" for row in rows) else ""
    return f"ramet run{root}{f' --new {new}' if new else ''} -- COMMAND"

"""What the tour says of the machine that it ran on."""

import os
import platform

from .probes import proc_status


def describe() -> dict[str, str]:
    """The kernel, the libraries, and what this user may do.

    Source: uname(2), capabilities(7).
    """
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip() or "unknown",
        "python": platform.python_version(),
        "user": _user(),
        "privileges": _privileges(),
    }


def _user() -> str:
    import pwd

    uid = os.geteuid()
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return str(uid)


def _privileges() -> str:
    """Of the capabilities that this kernel knows, how many are in effect."""
    try:
        with open("/proc/sys/kernel/cap_last_cap") as file:
            known = int(file.read()) + 1
    except OSError:
        return "unknown"
    held = int(proc_status(os.getpid(), "CapEff"), 16).bit_count()
    if held == known:
        return "all capabilities"
    return f"{held} of {known} capabilities" if held else "no capabilities"

"""The groups of a child that becomes another user: those of a login, or those that it keeps."""

import os
from collections.abc import Mapping
from typing import Any

from ..errors import KeptGroupsWarning


def warn_of_kept_groups(options: Mapping[str, Any]) -> None:
    """Warn where the child of root becomes another user and stays in root's groups."""
    user = options.get("user")
    stays = user is None or user in (0, "root")
    if stays or options.get("init_groups") or os.geteuid() != 0:
        return
    kept = []
    if options.get("group") is None:
        kept.append(f"group {os.getegid()} (group= changes it)")
    if options.get("extra_groups") is None and (more := os.getgroups()):
        kept.append(f"groups {more} (extra_groups=[] leaves them)")
    if kept:
        from .._preflight.hints import warn_at_caller  # only a mistake needs it

        warn_at_caller(
            f"the child becomes user {user} and keeps this process's {' and '.join(kept)}: "
            "init_groups=True gives it the groups of that user",
            KeptGroupsWarning,
        )


def login_groups(user: str | int | None) -> dict[str, Any]:
    """The user's group and groups, as at a login: group and extra_groups.

    Raises ValueError without a user, and for one that is not in the user database.
    """
    import pwd

    if user is None:
        raise ValueError("invalid init_groups: it needs user, whose groups the child gets")
    try:
        known = pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    except KeyError:
        raise ValueError(
            f"invalid init_groups: nothing is known of user {user}; give group and extra_groups"
        ) from None
    groups = os.getgrouplist(known.pw_name, known.pw_gid)
    return {"group": known.pw_gid, "extra_groups": groups}

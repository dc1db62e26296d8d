"""The groups of a child that becomes another user: those of a login, or those that it keeps."""

import os
from collections.abc import Mapping
from typing import Any


def warn_of_kept_groups(options: Mapping[str, Any]) -> None:
    """Warn where the child of root becomes another user and stays in root's groups."""
    user = options.get("user")
    stays = user is None or user in (0, "root")
    if stays or options.get("init_groups") or os.geteuid() != 0:
        return
    own = os.getegid() if options.get("group") is None else None
    more = os.getgroups() if options.get("extra_groups") is None else ()
    if own is not None or more:
        from .._preflight import hints  # only a mistake needs them

        hints.warn_of_kept_groups(user, own, more)


def login_groups(user: str | int | None) -> dict[str, Any]:
    """The user's group and groups, as at a login: group and extra_groups.

    Raises ValueError without a user, and for one that is not in the user database.
    """
    import pwd

    if user is None:
        raise ValueError(
            "invalid init_groups: it needs user, whose groups the child gets; give user"
        )
    try:
        known = pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    except KeyError:
        raise ValueError(
            f"invalid init_groups: nothing is known of user {user}; give group and extra_groups"
        ) from None
    return {
        "group": known.pw_gid,
        "extra_groups": os.getgrouplist(known.pw_name, known.pw_gid),
    }

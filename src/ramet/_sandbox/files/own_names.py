"""The names of a sandbox's own user, group and host: /etc/passwd, /etc/group and /etc/hosts of its root.

Programs look up who they are, and give up where no line says it: ssh, initdb, Python's getpass. The
machine's files have none for a user that nobody is, and tell who else there is.

Source: passwd(5), group(5), hosts(5).
"""

import os

from ..description import Sandbox, has_own_network, hostname_of, is_below
from ..view import View, home_of

_NAME, _SHELL = "sandbox", "/bin/sh"
# In the child's user namespace whoever is not in it is nobody: overflowuid, proc_sys_kernel(5).
_ROOT, _NOBODY = 0, 65534
_OTHER_USERS = {_ROOT: ("root", "/root"), _NOBODY: ("nobody", "/nonexistent")}
_OTHER_GROUPS = {_ROOT: "root", _NOBODY: "nogroup"}


def with_own_names(view: View, sandbox: Sandbox, uid: int, gid: int) -> View:
    """The view with these files made, in the place of the machine's, where the description names none.

    uid, gid: as whom the child sees itself.
    """
    if sandbox.root is not None or not sandbox.system:
        return view
    texts = {"/etc/passwd": _passwd(uid, gid, _home(view, sandbox)), "/etc/group": _group(gid)}
    if has_own_network(sandbox):
        texts["/etc/hosts"] = _hosts(str(hostname_of(sandbox)))
    real = {path: _real(path, view) for path in texts}
    own = {path: text for path, text in texts.items() if _is_own(path, real[path], view)}
    replaced = {real[path] for path in own}
    return view._replace(
        shown=[one for one in view.shown if one.path not in replaced],
        links=[(path, to) for path, to in view.links if path not in own],
        made={path: os.fsencode(text) for path, text in own.items()},
    )


def text_of_passwd(view: View, sandbox: Sandbox, uid: int, gid: int) -> bytes:
    """The text of /etc/passwd in such a view."""
    return os.fsencode(_passwd(uid, gid, _home(view, sandbox)))


def _home(view: View, sandbox: Sandbox) -> str:
    return home_of(sandbox, view, has_own_root=True)


def _real(path: str, view: View) -> str:
    return os.path.realpath(path) if any(is_below(path, link) for link, _ in view.links) else path


def _is_own(path: str, real: str, view: View) -> bool:
    """Not where the description shows or hides what the machine has there, or a link leads there."""
    if any(path != link and is_below(path, link) for link, _ in view.links):
        return False
    described = [one.path for one in view.shown if one.named] + [one.path for one in view.hidden]
    return not any(is_below(one, above) for one in (path, real) for above in described)


def _passwd(uid: int, gid: int, home: str) -> str:
    users = dict(_OTHER_USERS)
    name = users.get(uid, (_NAME, ""))[0]
    users[uid] = name, "/" if ":" in home or "\n" in home else home
    groups = {_ROOT: _ROOT, _NOBODY: _NOBODY, uid: gid}
    return "".join(
        f"{name}:x:{one}:{groups[one]}:{name}:{home}:{_SHELL}\n"
        for one, (name, home) in sorted(users.items())
    )


def _group(gid: int) -> str:
    groups = {gid: _NAME} | _OTHER_GROUPS
    return "".join(f"{name}:x:{one}:\n" for one, name in sorted(groups.items()))


def _hosts(hostname: str) -> str:
    lines = ["127.0.0.1 localhost", "::1 ip6-localhost ip6-loopback"]
    if hostname.isprintable() and " " not in hostname:
        lines.append(f"127.0.1.1 {hostname}")
    return "\n".join(lines) + "\n"

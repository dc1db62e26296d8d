"""What this machine grants this caller of all that a sandbox is made of: asked of the kernel, each once."""

import errno
import functools
import os
from collections.abc import Iterable, Mapping
from struct import pack
from typing import NamedTuple

from ..._kernel import procfs
from ..._kernel.descriptors import Descriptors
from ..._kernel.names import AT_FDCWD, NAMESPACES, PR_CAPBSET_DROP, PR_SET_DUMPABLE
from ...errors import CloneError, SpawnError
from ..identity import identity
from ..identity.shared_counts import DIRECTORY, WRITTEN
from ..untrusted_files import open_regular
from . import circumstances, questions
from .questions import NO_NEW_PRIVS, AllowAll, Answer, Step, call, own_ids
from .waiting_child import kept_namespaces

NAMESPACE_KINDS = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")

# include/uapi/linux/mount.h and fcntl.h
_OPEN_TREE_CLONE, _AT_EMPTY_PATH = 1, 0x1000
_AT_EACCESS, _AT_RECURSIVE = 0x200, 0x8000
_RESOLVE_NO_SYMLINKS = 4
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 2, 4, 8, 0x4000, 1 << 18
_MNT_DETACH = 2
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_IDMAP = 0x1, 0x100000
_LANDLOCK_CREATE_RULESET_VERSION = 1
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_NEW_LISTENER = 1, 8
_NONE = 0  # a null pointer
_NO_DESCRIPTOR = -1
_STAGE = b"/proc"  # a directory that is there wherever a user namespace can be used
OWN_KEYRING = call("keyctl", 1, _NONE)
_KEPT = 1  # what a descriptor of the caller's is in the child


class Refused(NamedTuple):
    """What a user may not do, with the path that it is about; empty where none is."""

    answer: Answer
    path: str = ""


class Machine:
    """The answers of this machine to one caller; each is asked when it is first needed, and kept.

    A question costs a child of 0.1 to 1 ms, which leaves nothing. What is in an answer may change with the
    caller's rights and filters, and with the settings of the administrator: ``this_machine()`` gives a new
    Machine where the caller has changed, and ``forget()`` forgets all.
    """

    # ---- namespaces

    @functools.cached_property
    def proc(self) -> bool:
        """Whether /proc is that of the caller's pid namespace: children are found there by their pids.

        Their id maps are written there, and the namespaces opened that are kept.
        """
        return procfs.shows_own_pids()

    @functools.cached_property
    def user_namespace(self) -> Answer:
        """A new user namespace with maps, whose root uses a capability.

        AppArmor lets the clone call pass, and denies the capabilities.
        """
        uses_one = ("PRCTL", PR_CAPBSET_DROP, 0, 0, 0, 0)
        return self._kept(questions.of_child([*own_ids(), uses_one], NAMESPACES["user"]))

    @property
    def with_user_namespace(self) -> bool:
        """Whether questions are asked in a user namespace of their own."""
        return self.user_namespace.granted

    @property
    def sandbox_has_user_namespace(self) -> bool:
        """Whether the namespaces of a sandbox are made in a user namespace of their own.

        Where nothing is mounted for it, Landlock's rules are opened by the paths of the caller, with all
        of its rights, which it has outside of such alone.
        """
        own = self.circumstances
        if not self.mounts.granted and own.may_become_another and own.may_mount:
            return False
        return self.user_namespace.granted

    @functools.cached_property
    def namespaces(self) -> dict[str, Answer]:
        """The answer for each kind; without a user namespace those that the caller itself may make."""
        others = {kind: self._namespace(kind) for kind in NAMESPACE_KINDS[1:]}
        return {"user": self.user_namespace, **others}

    def _namespace(self, kind: str) -> Answer:
        """A launch takes unshare(2); the law knows the rules of clone(2) behind a refusal."""
        answer = self._in_namespaces([("UNSHARE", NAMESPACES[kind])])
        if answer.granted or answer.rules:
            return answer
        by_clone = self._in_namespaces([], kind)
        return by_clone if by_clone.rules else answer

    @functools.cached_property
    def lowers_counts(self) -> bool:
        """Whether the root of a new user namespace may lower what its users have: /proc/sys can be written.

        Source: namespaces(7), /proc/sys/user.
        """
        name, limit = f"{DIRECTORY}/{WRITTEN}".encode(), b"1"
        written = ("WRITE", AT_FDCWD, name, limit, len(limit))
        return questions.of_child([*own_ids(), written], NAMESPACES["user"]).granted

    # ---- mounts

    @functools.cached_property
    def mounts(self) -> Answer:
        """A root of its own: a new tmpfs, with a tree in it that is copied and made read-only."""
        return self._kept(
            self._in_namespaces([*_tmpfs_to_work_in(), *_copied_read_only(), *_new_root()], "mnt")
        )

    @functools.cached_property
    def may_copy_mounts(self) -> bool:
        """Whether the caller may copy what is mounted where it is, and not only in a new mount namespace.

        CAP_SYS_ADMIN in a user namespace does not count for mounts of an outer one: mount_namespaces(7).
        """
        if not self.circumstances.may_mount:
            return False
        copied = call("open_tree", AT_FDCWD, _STAGE, _OPEN_TREE_CLONE | _AT_RECURSIVE)
        return questions.of_child([copied]).granted

    @functools.cached_property
    def proc_of_its_own(self) -> Answer:
        """A /proc of a new pid namespace; the kernel refuses it where parts of the caller's are covered."""
        options = b"hidepid=ptraceable"
        flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
        mounted = call("mount", b"proc", _STAGE, b"proc", flags, options)
        return self._in_namespaces([mounted], "mnt", "pid")

    @functools.cached_property
    def terminals(self) -> Answer:
        """Pseudo-terminals of its own: devpts, newinstance."""
        flags = _MS_NOSUID | _MS_NOEXEC
        mounted = call("mount", b"devpts", _STAGE, b"devpts", flags, b"newinstance")
        return self._in_namespaces([mounted], "mnt")

    @functools.cached_property
    def overlay(self) -> Answer:
        """A directory with a layer for what is written, in a user namespace where there is one."""
        return self._in_namespaces([*_tmpfs_to_work_in(), *_overlay_of_directories()], "mnt")

    @functools.cached_property
    def _with_idmaps(self) -> set[tuple[int, int]]:
        """Mounts whose files can be: the device of the file system, and the mount's number."""
        return set()

    def idmap(self, path: str) -> Answer:
        """Whether the files below a path can be shown as another user's: it depends on its mount.

        Source: mount_setattr(2) MOUNT_ATTR_IDMAP.
        """
        mount = _mount_of(path)
        if mount in self._with_idmaps:
            return questions.GRANTED
        answer = self._asked_for_idmap(path)
        if answer.granted and mount is not None:
            self._with_idmaps.add(mount)
        return answer

    def forget_mounts(self) -> None:
        """Another may have the number of one that was there: to be called where a mount has failed."""
        self._with_idmaps.clear()

    def _asked_for_idmap(self, path: str) -> Answer:
        try:
            namespace = questions.new_user_namespace()
        except CloneError as error:
            return questions.answer_of(error)
        except OSError as error:
            return Answer(error.errno or errno.EIO, "write uid_map")
        try:
            return questions.of_child(_id_mapped(os.fsencode(path)), keeps=namespace)
        finally:
            os.close(namespace)

    def joins_network(self, path: str) -> Answer:
        """Whether the network namespace of a path can be entered: setns(2)."""
        try:
            namespace = open_regular(path)
        except OSError as error:
            return Answer(error.errno or errno.EIO, "open")
        try:
            return questions.of_child([("SETNS", _KEPT, NAMESPACES["net"])], keeps=namespace)
        finally:
            os.close(namespace)

    def as_another(self, path: str, mode: int, *, mounted: bool) -> Answer:
        """Whether a user without any rights of its own may use a path so; mode: of os.access().

        mounted: the path is mounted for it, and it need not search the directories on the way.
        """
        last = self.circumstances.last_id
        named = os.fsencode(path)
        flags = _AT_EACCESS | (_AT_EMPTY_PATH if mounted else 0)
        return questions.of_child(
            [
                call("openat", AT_FDCWD, named, os.O_PATH | os.O_CLOEXEC, 0),
                ("SETGROUPS", 0, _NONE),
                ("SETGID", last, last, last),
                ("SETUID", last, last, last),
                call("faccessat2", 0, b"" if mounted else named, mode, flags),
            ]
        )

    def as_subordinate(self, uses: Mapping[str, int], *, mounted: bool) -> "Refused | None":
        """What keeps a subordinate id of the caller's from being mapped, and from using these paths.

        None where nothing does. uses: by path, a mode of os.access(). mounted: as in as_another().
        """
        user, kept = identity.identity("subordinate id"), Descriptors()

        def keep(path: str) -> None:
            kept.open(os.open, path, os.O_RDONLY | os.O_CLOEXEC)

        def asked(paths: Mapping[str, int]) -> Answer:
            (namespace,) = kept
            return _used_in(namespace, (user.inner_uid, user.inner_gid), paths, mounted=mounted)

        try:
            kept_namespaces(NAMESPACES["user"], ["user"], user.write_maps, lambda _: None, keep)
            if asked(uses).granted:
                return None
            each = (Refused(asked({path: mode}), path) for path, mode in uses.items())
            return next((one for one in each if not one.answer.granted), None)
        except SpawnError as error:  # newuidmap and newgidmap refuse it
            return Refused(Answer(error.errno or errno.EIO, error.step))
        except CloneError as error:
            return Refused(questions.answer_of(error))
        finally:
            kept.close()

    @functools.cached_property
    def user_for_each(self) -> Answer:
        """Whether a child can have a user id that no other process has, and a task of that user kill it.

        The task may not signal the caller: if it may, it has kept a right of the caller's.
        """
        user = identity.fresh()
        if user is None or not self.circumstances.may_become_another:
            return Answer(errno.EPERM, "setresuid")
        asked = call("kill", os.getpid(), 0)
        answer = questions.of_child([*questions.as_user(user.outer_uid, user.outer_gid), asked])
        if (answer.errno, answer.call) == (errno.EPERM, "kill"):
            return questions.GRANTED
        return Answer(answer.errno or errno.EPERM, answer.call or "kill")

    @property
    def ends_trees_by_cgroup(self) -> bool:
        """Whether nothing better than a cgroup of its own ends all that a child has started."""
        if self.namespaces["pid"].granted:
            return False
        return self.sandbox_has_user_namespace or not self.user_for_each.granted

    # ---- confinement without namespaces

    @functools.cached_property
    def landlock_answer(self) -> Answer:
        """A domain that refuses something. EOPNOTSUPP: it is there and was not enabled at boot."""
        if self._landlock_version < 0:
            return Answer(-self._landlock_version, "landlock_create_ruleset")
        handled = bytearray(pack("=Q", 1))  # LANDLOCK_ACCESS_FS_EXECUTE
        made = call("landlock_create_ruleset", handled, len(handled), 0)
        restricted = call("landlock_restrict_self", 0, 0)
        return questions.of_child([made, _opened_without_links(b"/"), NO_NEW_PRIVS, restricted])

    @functools.cached_property
    def landlock_abi(self) -> int:
        """The version of landlock, 0 for none."""
        return self._landlock_version if self.landlock_answer.granted else 0

    @functools.cached_property
    def _landlock_version(self) -> int:
        return questions.here("landlock_create_ruleset", _NONE, 0, _LANDLOCK_CREATE_RULESET_VERSION)

    @functools.cached_property
    def seccomp(self) -> Answer:
        """A filter of system calls."""
        allowing = AllowAll()
        installed = ("PRCTL", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, allowing.program)
        return questions.of_child([NO_NEW_PRIVS, installed])

    @functools.cached_property
    def seccomp_listener(self) -> Answer:
        """A filter that asks another process what to answer: SECCOMP_RET_USER_NOTIF."""
        allowing = AllowAll()
        made = (_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_NEW_LISTENER, allowing.program)
        return questions.of_child([NO_NEW_PRIVS, call("seccomp", *made)])

    @functools.cached_property
    def session_keyring(self) -> Answer:
        """A keyring of the session's own: keyctl(2) KEYCTL_JOIN_SESSION_KEYRING."""
        return questions.of_child([OWN_KEYRING])

    @functools.cached_property
    def no_new_privs(self) -> Answer:
        """That no program gains rights by its file: prctl(PR_SET_NO_NEW_PRIVS)."""
        return questions.of_child([NO_NEW_PRIVS])

    # ---- what is around the caller

    @functools.cached_property
    def circumstances(self) -> "circumstances.Circumstances":
        """Who the caller is, and what may be the reason of a refusal."""
        return circumstances.of_this_thread()

    # ----

    def _kept(self, answer: Answer) -> Answer:
        """Of a namespace that the caller keeps: it has to find the child in /proc, and others enter it."""
        if not answer.granted:
            return answer
        return self._entering if self.proc else Answer(errno.ESRCH, "open /proc")

    @functools.cached_property
    def _entering(self) -> Answer:
        """Whether a filter lets setns(2) pass: what it is given here is no descriptor."""
        answer = questions.of_child([call("setns", _NO_DESCRIPTOR, 0)])
        return questions.GRANTED if answer.errno == errno.EBADF else answer

    def _in_namespaces(self, steps: Iterable[Step], *kinds: str) -> Answer:
        """Whether the steps can be done in such namespaces, in a user namespace where there is one.

        Without one the mounts are made private: else what is mounted there is mounted here as well.
        """
        flags = sum(NAMESPACES[kind] for kind in kinds)
        if self.with_user_namespace:
            return questions.of_child([*own_ids(), *steps], flags | NAMESPACES["user"])
        if not self.circumstances.may_mount:
            return self.user_namespace
        return questions.of_child([*([_private()] if "mnt" in kinds else []), *steps], flags)


def this_machine() -> Machine:
    """The answers of this machine to the calling thread, kept until its process or rights are others."""
    caller = os.getpid(), os.geteuid(), os.getegid()
    machine = _of_caller(*caller)
    if machine.circumstances.dumpable or not circumstances.is_dumpable():
        return machine
    forget()  # what was refused for that reason may be granted by now
    return _of_caller(*caller)


def forget() -> None:
    """Ask anew from now on: after a change of the administrator's, or of a filter of the caller's."""
    _of_caller.cache_clear()


@functools.lru_cache(maxsize=8)
def _of_caller(_pid: int, _uid: int, _gid: int) -> Machine:
    return Machine()


# ---- the steps of the questions; the descriptors are counted from 0


def _used_in(
    namespace: int, ids: tuple[int, int], uses: Mapping[str, int], *, mounted: bool
) -> Answer:
    """Whether the paths, which the caller opens where they are mounted, can be used by that user there."""
    opened: list[Step] = []
    asked: list[Step] = []
    flags = _AT_EACCESS | (_AT_EMPTY_PATH if mounted else 0)
    for number, (path, mode) in enumerate(uses.items()):
        named = os.fsencode(path)
        if mounted:
            opened.append(call("openat", AT_FDCWD, named, os.O_PATH | os.O_CLOEXEC, 0))
        # The numbers follow each other from 0, but for the one that is kept.
        place = number + (number >= _KEPT) if mounted else AT_FDCWD
        asked.append(call("faccessat2", place, b"" if mounted else named, mode, flags))
    uid, gid = ids
    return questions.of_child(
        [
            *opened,
            ("SETNS", _KEPT, NAMESPACES["user"]),
            *questions.as_user(uid, gid),
            ("PRCTL", PR_SET_DUMPABLE, 1, 0, 0, 0),  # the caller's files in /proc are its own again
            *asked,
        ],
        keeps=namespace,
    )


def _private() -> Step:
    return call("mount", _NONE, b"/", _NONE, _MS_REC | _MS_PRIVATE)


def _tmpfs_to_work_in() -> list[Step]:
    flags = _MS_NOSUID | _MS_NODEV
    return [call("mount", b"tmpfs", _STAGE, b"tmpfs", flags, b"size=1m"), ("CHDIR", _STAGE)]


def _copied_read_only() -> list[Step]:
    attributes = _attributes(_MOUNT_ATTR_RDONLY)
    return [
        call("mkdirat", AT_FDCWD, b"tree", 0o700),
        _opened_without_links(b"tree"),
        call("open_tree", 0, b"", _OPEN_TREE_CLONE | _AT_RECURSIVE | _AT_EMPTY_PATH),
        call("mount_setattr", 1, b"", _AT_EMPTY_PATH, attributes, len(attributes)),
        call("move_mount", 1, b"", AT_FDCWD, b"tree", _MOVE_MOUNT_F_EMPTY_PATH),
    ]


def _opened_without_links(path: bytes) -> Step:
    how = bytearray(pack("=3Q", os.O_PATH, 0, _RESOLVE_NO_SYMLINKS))
    return call("openat2", AT_FDCWD, path, how, len(how))


def _attributes(added: int, namespace: int = 0) -> bytearray:
    """A struct mount_attr of the kernel's."""
    return bytearray(pack("=QQQQ", added, 0, 0, namespace))


def _new_root() -> list[Step]:
    return [call("pivot_root", b".", b"."), call("umount2", b".", _MNT_DETACH)]


def _overlay_of_directories() -> list[Step]:
    layers = b"lowerdir=lower,upperdir=upper,workdir=work,userxattr"
    return [
        *(call("mkdirat", AT_FDCWD, name, 0o700) for name in (b"lower", b"upper", b"work")),
        call("mount", b"overlay", b"lower", b"overlay", 0, layers),
    ]


def _mount_of(path: str) -> tuple[int, int] | None:
    """Which one it is on, as long as that is there; None where it cannot be told."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.fstat(opened).st_dev, procfs.number_of_mount(opened)
    except OSError:
        return None
    finally:
        os.close(opened)


def _id_mapped(path: bytes) -> list[Step]:
    attributes = _attributes(_MOUNT_ATTR_IDMAP, namespace=_KEPT)
    return [
        call("open_tree", AT_FDCWD, path, _OPEN_TREE_CLONE | _AT_RECURSIVE),
        call("mount_setattr", 0, b"", _AT_EMPTY_PATH, attributes, len(attributes)),
    ]

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ramet
from ramet import CloneError
from ramet import CloneFlag as F
from ramet.lowlevel import CloneArgs, Stack, clone, clone3

pytestmark = pytest.mark.kernel

FORBIDDEN = F.NEWUSER | F.FS

# In a program of its own, which has asked the law nothing yet. What a first call in shared memory imports
# is there: without a descriptor it could not be read either.
FULL_TABLE = """
import errno, os, resource, ramet
from ramet import CloneFlag as F
command = ramet.Command(["/bin/true"])
ramet.vfork(int).wait()
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, limit))
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
verbs = [
    command.spawn,
    lambda: ramet.clone(int, flags=F.VM),
    lambda: ramet.clone(int, flags=F.VM | F.NEWUSER | F.FS),
]
told = []
for verb in verbs:
    try:
        verb()
    except ramet.CloneError as error:
        told.append(errno.errorcode[error.errno])
told.append(ramet.clone(int, 7).result())  # a copy needs no descriptor of ours
while held:
    os.close(held.pop())
assert command.spawn().wait().success
print(*told)
"""

VERBS: dict[str, Callable[[F], object]] = {
    "clone": lambda flags: ramet.clone(int, flags=flags),
    "fork": lambda flags: ramet.fork(flags=flags),
    "vfork": lambda flags: ramet.vfork(int, flags=flags),
    "run": lambda flags: ramet.run(["true"], flags=flags),
    "Popen": lambda flags: ramet.Popen(["true"], flags=flags),
    "lowlevel.clone": lambda flags: clone(lambda _: 0, None, flags | 17, Stack(256 * 1024)),
    "lowlevel.clone3": lambda flags: clone3(CloneArgs(flags=flags, exit_signal=17), lambda _: 0),
}


def test_a_full_table_is_told_though_the_law_cannot_be_read() -> None:
    """Where no descriptor is free to read the law with, the kernel judges, and its errno is told."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_TABLE], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("EMFILE EMFILE EINVAL 7\n", "", 0)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_names_the_rule(verb: str, nothing_left: object) -> None:
    """A forbidden combination is refused by every verb, with the rule and its words."""
    with pytest.raises(CloneError) as caught:
        VERBS[verb](FORBIDDEN)
    assert caught.value.errno == errno.EINVAL
    assert [rule.id for rule in caught.value.rules] == ["D2"]
    assert "CLONE_NEWUSER excludes CLONE_FS, since" in str(caught.value)
    assert not caught.value.unexpected


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_names_a_missing_privilege(verb: str, nothing_left: object) -> None:
    """What only a privileged caller may is refused by the rule about privileges."""
    if os.geteuid() == 0:
        pytest.skip("root may make namespaces")
    with pytest.raises(CloneError) as caught:
        VERBS[verb](F.NEWUTS)
    assert caught.value.errno == errno.EPERM
    assert [rule.id for rule in caught.value.rules] == ["J1"]


@pytest.fixture
def full_table() -> Iterator[None]:
    """No descriptor can be opened any more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    held = [os.dup(0) for _ in range(highest)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1, hard))
    while True:
        try:
            held.append(os.dup(0))
        except OSError:
            break
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for descriptor in held:
        os.close(descriptor)


def test_a_full_table_of_descriptors_is_told(full_table: None) -> None:
    """EMFILE comes with the rule about pidfds, although no descriptor is left to look it up."""
    with pytest.raises(CloneError) as caught:
        clone3(CloneArgs(flags=F.PIDFD | F.CLEAR_SIGHAND, exit_signal=17), lambda _: 0)
    assert caught.value.errno == errno.EMFILE
    assert "rule M1" in str(caught.value)


@pytest.mark.parametrize("path", ["/dev/null", "/"])
def test_a_wrong_cgroup_is_told(path: str) -> None:
    """A descriptor of something else is refused by the rule that says what it must be."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with pytest.raises(CloneError) as caught:
            ramet.clone(int, cgroup=descriptor)
    finally:
        os.close(descriptor)
    assert caught.value.errno == errno.EBADF
    assert [rule.id for rule in caught.value.rules] == ["N1"]


def test_a_removed_cgroup_is_told(cgroup: Path) -> None:
    """A cgroup that was removed after it had been opened is told as such."""
    gone = cgroup / "gone"
    gone.mkdir()
    descriptor = os.open(gone, os.O_RDONLY)
    gone.rmdir()
    try:
        with pytest.raises(CloneError) as caught:
            ramet.clone(int, cgroup=descriptor)
    finally:
        os.close(descriptor)
    assert (caught.value.errno, caught.value.rules[0].id) == (errno.ENOENT, "N2")


def test_a_pid_in_use_is_told_as_possible(root: None) -> None:
    """What the law cannot see, such as a taken pid, is named as what may be behind the refusal."""
    with pytest.raises(CloneError) as caught:
        ramet.clone(int, set_tid=[os.getpid()])
    assert caught.value.errno == errno.EEXIST
    assert [rule.id for rule in (*caught.value.rules, *caught.value.possible_rules)] == ["L4"]
    assert "the chosen pid is in use" in str(caught.value)

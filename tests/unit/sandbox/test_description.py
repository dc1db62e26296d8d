"""Sandbox: what each field takes and keeps, what contradicts, and the presets."""

import copy
import dataclasses
import inspect
import os
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ramet import Sandbox

FIELDS = {
    *("read", "write", "system", "root", "hidden", "overlay", "tmp", "proc", "network", "syscalls"),
    *("forbidden", "environment", "hostname", "memory", "swap", "processes", "cpu_time", "cpus"),
    *("open_files", "file_size", "output", "timeout", "require", "warm"),
}


def test_the_fields() -> None:
    """Those that the issue names, each by keyword alone."""
    assert {field.name for field in dataclasses.fields(Sandbox)} == FIELDS
    with pytest.raises(TypeError, match="a Sandbox takes keywords"):
        Sandbox(["/etc"])  # type: ignore[call-arg] # which is what is tested


def test_without_wishes_it_shows_the_system_and_nothing_else() -> None:
    """The defaults: programs, a small /tmp, /proc, no network, the usual variables, no amounts."""
    plain = Sandbox()
    assert (plain.read, plain.write, plain.hidden, plain.root) == ((), (), (), None)
    assert (plain.system, plain.overlay, plain.proc) == (True, False, True)
    assert (plain.tmp, plain.network, plain.syscalls) == (67108864, "none", "default")
    assert (plain.forbidden, plain.hostname, plain.require) == ("refuse", None, "all")
    assert plain.environment == ("LANG", "LC_ALL", "LC_CTYPE", "PATH", "TERM", "TZ")
    amounts = ("memory", "swap", "processes", "cpu_time", "cpus", "open_files", "file_size")
    assert {getattr(plain, name) for name in (*amounts, "output", "timeout")} == {None}
    assert plain.warm == 0


# ---- what is kept


@pytest.mark.parametrize(
    ("field", "given", "kept"),
    [
        ("read", ["/etc", Path("/usr/lib")], ("/etc", "/usr/lib")),
        ("read", ["/etc", "/etc", "/etc/"], ("/etc",)),
        ("read", iter(["/etc"]), ("/etc",)),
        ("write", ("/var/../var/tmp",), ("/var/tmp",)),
        ("hidden", {"/etc/shadow"}, ("/etc/shadow",)),
        ("root", "/", "/"),
        ("root", Path("/srv/image"), "/srv/image"),
        ("tmp", "1.5k", 1536),
        ("tmp", 4096, 4096),
        ("tmp", None, None),
        ("system", False, False),
        ("network", "host", "host"),
        ("network", Path("/run/netns/one"), "/run/netns/one"),
        ("network", {"connect": [443, 80]}, {"connect": (443, 80)}),
        ("network", {"bind": range(8080, 8082)}, {"bind": (8080, 8081)}),
        ("network", {}, {}),
        ("syscalls", "strict", "strict"),
        ("syscalls", Path("/etc/calls.json"), "/etc/calls.json"),
        ("syscalls", None, None),
        ("forbidden", "kill", "kill"),
        ("environment", ["HOME", "A"], ("HOME", "A")),
        ("environment", [], ()),
        ("hostname", "x" * 64, "x" * 64),
        ("memory", "512M", 536870912),
        ("memory", "1GiB", 1073741824),
        ("processes", 1, 1),
        ("cpu_time", 2, 2.0),
        ("cpus", 0.5, 0.5),
        ("open_files", 5, 5),
        ("file_size", "1M", 1048576),
        ("output", 1, 1),
        ("timeout", 0.1, 0.1),
        ("require", "best", "best"),
        ("warm", 0, 0),
        ("warm", 4, 4),
    ],
)
def test_what_is_kept(field: str, given: Any, kept: object) -> None:
    """Paths are whole, sizes are bytes, lists are tuples."""
    assert getattr(Sandbox(**{field: given}), field) == kept


def test_a_path_is_whole_from_its_making(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that is relative is so to the directory in which the description was made."""
    monkeypatch.chdir(tmp_path)
    made = Sandbox(read=["in"], write=["."], root=".", syscalls="./calls.json")
    monkeypatch.chdir("/")
    here = str(tmp_path)
    assert (made.read, made.write, made.root) == ((f"{here}/in",), (here,), here)
    assert made.syscalls == f"{here}/calls.json"


def test_swap_may_be_none_at_all() -> None:
    """0 bytes of swap is an amount, and 0 bytes of memory is none."""
    assert Sandbox(memory="1M", swap=0).swap == 0
    with pytest.raises(ValueError, match="invalid memory: expected bytes"):
        Sandbox(memory=0)


# ---- what is refused


@pytest.mark.parametrize(
    ("field", "given", "error", "said"),
    [
        ("read", "/etc", TypeError, "invalid read: expected a list of paths, got one, '/etc'"),
        ("write", b"/etc", TypeError, "invalid write: expected a list of paths, got one"),
        ("hidden", Path("/etc"), TypeError, "invalid hidden: expected a list of paths, got one"),
        ("read", 5, TypeError, "invalid read: expected a list of paths, got 5"),
        ("read", [5], TypeError, "invalid read: expected a path as str or os.PathLike, got 5"),
        ("read", [b"/etc"], TypeError, "invalid read: expected a path as str or os.PathLike, got"),
        ("read", [""], ValueError, "invalid read: expected a path, got ''"),
        ("write", ["/a\0b"], ValueError, "invalid write: expected a path, got '/a\\x00b'"),
        ("root", "", ValueError, "invalid root: expected a path, got ''"),
        ("root", 1, TypeError, "invalid root: expected a path as str or os.PathLike, got 1"),
        ("system", 1, TypeError, "invalid system: expected True or False, got 1"),
        ("overlay", None, TypeError, "invalid overlay: expected True or False, got None"),
        ("proc", "no", TypeError, "invalid proc: expected True or False, got 'no'"),
        ("tmp", "much", ValueError, "invalid tmp: expected bytes as an int above 0, or text"),
        ("memory", -1, ValueError, "invalid memory: expected bytes as an int above 0"),
        ("memory", 12, ValueError, "invalid memory: expected 65536 bytes or more, as a process"),
        ("memory", True, TypeError, "invalid memory: expected bytes as an int above 0"),
        ("file_size", 1.5, TypeError, "invalid file_size: expected bytes as an int above 0"),
        ("output", "0", ValueError, "invalid output: expected bytes as an int above 0"),
        (
            "processes",
            0,
            ValueError,
            "invalid processes: expected 1 or more, 2147483647 at most, got 0",
        ),
        ("processes", 1.0, TypeError, "invalid processes: expected a whole number, got 1.0"),
        ("open_files", True, TypeError, "invalid open_files: expected a whole number, got True"),
        (
            "open_files",
            1 << 31,
            ValueError,
            "invalid open_files: expected 5 or more, 2147483647 at most, got 21",
        ),
        ("warm", -1, ValueError, "invalid warm: expected 0 or more, 2147483647 at most, got -1"),
        ("cpu_time", 0, ValueError, "invalid cpu_time: expected a number above 0, got 0"),
        ("cpus", float("nan"), ValueError, "invalid cpus: expected a number above 0, got nan"),
        ("timeout", float("inf"), ValueError, "invalid timeout: expected a number above 0, got"),
        pytest.param(
            *(
                "timeout",
                10**400,
                ValueError,
                "invalid timeout: expected 1.7976931348623157e+308 at",
            ),
            id="beyond a float",
        ),
        ("timeout", "5", TypeError, "invalid timeout: expected a number above 0, got '5'"),
        ("forbidden", "log", ValueError, "invalid forbidden: expected 'refuse' or 'kill', got"),
        ("require", None, ValueError, "invalid require: expected 'all' or 'best', got None"),
        (
            "syscalls",
            5,
            TypeError,
            "invalid syscalls: expected a path as str or os.PathLike, got 5",
        ),
        ("network", None, TypeError, "invalid network: expected 'none', 'loopback', 'host', the"),
        ("network", "intranet", ValueError, "invalid network: expected 'none', 'loopback', 'host'"),
        ("network", {"listen": [1]}, ValueError, "invalid network: expected 'connect' or 'bind'"),
        ("network", {"bind": [65536]}, ValueError, "invalid network: expected ports from 0 to 655"),
        ("network", {"bind": ["80"]}, ValueError, "invalid network: expected ports from 0 to 6553"),
        ("network", {"bind": 80}, TypeError, "invalid network: expected a list of ports, got 80"),
        ("environment", "HOME", TypeError, "invalid environment: expected a list of names, got on"),
        (
            "environment",
            ["A=1"],
            ValueError,
            "invalid environment: expected names of variables, got 'A=1'; values are given by env= of run",
        ),
        ("environment", [1], ValueError, "invalid environment: expected names of variables, got 1"),
        (
            "environment",
            {"A": "1"},
            TypeError,
            "invalid environment: expected a list of names, got a mapping, {'A': '1'}; values are given by",
        ),
        (
            "write",
            {"/w": "rw"},
            TypeError,
            "invalid write: expected a list of paths, got a mapping",
        ),
        (
            "network",
            {"bind": "80"},
            TypeError,
            "invalid network: expected a list of ports, got one",
        ),
        (
            "network",
            {"bind": {80: 1}},
            TypeError,
            "invalid network: expected a list of ports, got a",
        ),
        ("environment", 1, TypeError, "invalid environment: expected a list of names, got 1"),
        (
            "open_files",
            4,
            ValueError,
            "invalid open_files: expected 5 or more, 2147483647 at most, got 4; three are there",
        ),
        ("hostname", "", ValueError, "invalid hostname: expected a name of 1 to 64 bytes, got ''"),
        ("hostname", "a\0b", ValueError, "invalid hostname: expected a name without NUL, got"),
        ("hostname", "ä" * 33, ValueError, "invalid hostname: expected a name of 1 to 64 bytes"),
    ],
)
def test_a_value_that_is_none(field: str, given: Any, error: type[Exception], said: str) -> None:
    """The message names the field, what it takes and what it got."""
    with pytest.raises(error) as told:
        Sandbox(**{field: given})
    assert str(told.value).startswith(said)


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"read": ["/a"], "write": ["/a"]}, "invalid write with read: '/a' is in both"),
        ({"write": ["/a/b"], "hidden": ["/a"]}, "invalid write with hidden: '/a/b' is below '/a'"),
        ({"write": ["/a"], "hidden": ["/a"]}, "invalid write with hidden: '/a' is below '/a'"),
        ({"read": ["/a"], "hidden": ["/a"]}, "invalid read with hidden: '/a' is in both"),
        ({"write": ["/"]}, "invalid write: '/' is none that a sandbox may write; name what"),
        (
            {"read": ["/etc", "/"]},
            "invalid read: '/' cannot be shown in an empty root directory; root='/' sh",
        ),
        ({"hidden": ["/etc", "/"]}, "invalid hidden: '/' is all that there is; name what is below"),
        (
            {"write": ["/proc/"]},
            "invalid write: '/proc' is none that a sandbox may write; leave it",
        ),
        ({"write": ["/dev"]}, "invalid write: '/dev' is none that a sandbox may write; leave it"),
        ({"overlay": True}, "invalid overlay without write: there is nothing that is written"),
        ({"swap": 1}, "invalid swap without memory: it is what may be used beyond that"),
        ({"forbidden": "kill", "syscalls": None}, "invalid forbidden without syscalls: no call is"),
    ],
)
def test_wishes_that_contradict_each_other(wishes: dict[str, Any], said: str) -> None:
    """Refused when the description is made, naming both."""
    with pytest.raises(ValueError, match="invalid ") as told:
        Sandbox(**wishes)
    assert str(told.value).startswith(said)


def test_a_judges_arguments_the_other_way_round() -> None:
    """They are told by name, before anything is computed of them."""
    with pytest.raises(TypeError, match=r"invalid seconds: expected a number above 0, got '256M'"):
        Sandbox.judge(1, "256M")  # type: ignore[arg-type] # which is what is tested


def test_what_does_not_contradict() -> None:
    """A directory that may be written below one that may be read; one that is hidden below either."""
    Sandbox(read=["/a"], write=["/a/b"], hidden=["/a/c", "/a/b/d", "/ab"])
    Sandbox(write=["/dev/shm/x"])


# ---- a value


@pytest.mark.parametrize(
    "wishes",
    [
        {},
        {"read": ["/etc"], "network": {"connect": [443], "bind": []}, "memory": "1G"},
        {"root": "/", "environment": ["A"], "syscalls": None, "timeout": 3},
    ],
)
def test_it_is_a_value(wishes: dict[str, Any]) -> None:
    """Equal wishes are equal, with one hash; it can be copied and pickled, and not be changed."""
    one, other = Sandbox(**wishes), Sandbox(**wishes)
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == one
    assert copy.deepcopy(one) == one
    assert hash(pickle.loads(pickle.dumps(one))) == hash(one)
    assert one != Sandbox(**{**wishes, "hostname": "other"})
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.memory = 5  # type: ignore[misc] # which is what is tested
    assert one.network is not wishes.get("network")


def test_it_does_not_follow_what_it_was_made_of() -> None:
    """A list that was given may be changed later."""
    paths, ports = ["/etc"], [443]
    made = Sandbox(read=paths, network={"connect": ports})
    paths.append("/root")
    ports.append(80)
    assert (made.read, made.network) == (("/etc",), {"connect": (443,)})


def test_replace() -> None:
    """The same with other wishes, which are checked as well."""
    one = Sandbox(read=["/etc"], memory="1M")
    assert one.replace(memory="2M") == Sandbox(read=["/etc"], memory="2M")
    assert one.replace() == one
    assert one.replace(read=[*one.read, "/usr"]).read == ("/etc", "/usr")
    with pytest.raises(TypeError, match=r"a Sandbox has no color, mem; did you mean 'memory'\?$"):
        one.replace(mem="2M", color="red")
    with pytest.raises(ValueError, match="invalid write with read"):
        one.replace(write=["/etc"])


@pytest.mark.parametrize(
    ("slip", "word"),
    [
        *[("memroy", "memory"), ("netwrok", "network"), ("timout", "timeout"), ("mem", "memory")],
        *[("env", "environment"), ("net", "network"), ("pids", "processes"), ("rw", "write")],
        *[
            ("mounts", "write"),
            ("ro_bind", "read"),
            ("seccomp", "syscalls"),
            ("nofile", "open_files"),
        ],
        *[("time_limit", "timeout"), ("threads", "processes"), ("pids_limit", "processes")],
        *[("mem_limit", "memory"), ("cpu_seconds", "cpu_time"), ("shm_size", "tmp")],
    ],
)
def test_a_wish_that_is_none(slip: str, word: str) -> None:
    """A slip is told by the wish that was meant, by whatever way it came."""
    told = rf"invalid wish: a Sandbox has no {slip}; did you mean '{word}'\?$"
    for make in Sandbox, Sandbox.strict, Sandbox().replace:
        with pytest.raises(TypeError, match=told):
            make(**{slip: 1})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a Sandbox has no color$"):
        Sandbox(color="red")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"no cwd; .* ramet.run\(argv, cwd=..., sandbox="):
        Sandbox(cwd="/")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"no workdir; .* ramet.run\(argv, cwd=..., sandbox="):
        Sandbox(workdir="/")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("caps", "what runs in it has no capability"),
        ("uid", "it decides as which user its programs run"),
        ("gpus", "it has null, zero, .* no other device"),
        ("disk", "tmp= is the size .* file_size= "),
        ("namespaces", "it has its own, and network= says which network it has"),
        ("proxy", "network= says what it may reach"),
    ],
)
def test_what_a_sandbox_decides(name: str, told: str) -> None:
    """What others let one choose is told as what it is here, and not as the wish whose name is near."""
    with pytest.raises(TypeError, match=rf"^invalid wish: a Sandbox has no {name}; {told}[^?]*$"):
        Sandbox(**{name: 1})  # type: ignore[arg-type]


def test_wishes_are_keywords() -> None:
    """One by place is refused with what to write, and help() shows the keywords."""
    with pytest.raises(
        TypeError, match=r"takes keywords, as Sandbox\(memory='1G'.*, got '2G' by place"
    ):
        Sandbox("2G")  # type: ignore[call-arg]
    assert "memory" in inspect.signature(Sandbox).parameters


@pytest.mark.parametrize(
    ("given", "hint"),
    [("strct", "did you mean 'strict'?"), ("x.json", "a file of this directory is './x.json'")],
)
def test_a_word_is_no_path(given: str, hint: str) -> None:
    """A slip in a word for system calls is not taken for a file, which has a slash."""
    with pytest.raises(ValueError, match="None or a path with a slash, got") as told:
        Sandbox(syscalls=given)
    assert str(told.value).endswith(f"got {given!r}; {hint}")


def test_a_path_object_needs_no_slash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is a path whatever it is called."""
    monkeypatch.chdir(tmp_path)
    assert Sandbox(syscalls=Path("strct")).syscalls == str(tmp_path / "strct")


def test_its_repr_makes_it_again() -> None:
    """What is printed is an expression."""
    one = Sandbox(read=["/etc"], network={"connect": [443]}, memory="1M")
    assert eval(repr(one), {"Sandbox": Sandbox}) == one


def test_making_it_asks_nothing_of_the_machine(tmp_path: Path) -> None:
    """A path need not be there yet."""
    before = os.listdir("/proc/self/fd")
    Sandbox(read=[tmp_path / "missing"], write=[tmp_path / "none"], network="/run/netns/none")
    assert os.listdir("/proc/self/fd") == before


# ---- presets


def test_strict() -> None:
    """No writing, few calls, small amounts."""
    made = Sandbox.strict()
    assert (made.syscalls, made.write, made.network) == ("strict", (), "none")
    assert (made.memory, made.processes, made.open_files) == (536870912, 32, 128)
    assert (made.file_size, made.output) == (67108864, 67108864)


def test_build() -> None:
    """The programs of the machine, one directory to write, no network."""
    made = Sandbox.build("/var/tmp")
    assert (made.root, made.write, made.network) == (None, ("/var/tmp",), "none")
    assert (made.tmp, made.processes, made.memory) == (2147483648, 4096, None)


def test_agent() -> None:
    """One directory to write, ten minutes, amounts."""
    made = Sandbox.agent(Path("/var/tmp"))
    assert (made.root, made.write, made.network) == (None, ("/var/tmp",), "none")
    assert (made.memory, made.processes, made.timeout) == (4294967296, 512, 600.0)
    assert (made.tmp, made.output) == (1073741824, 67108864)


def test_judge() -> None:
    """So much memory without swap, so many seconds of a processor, a little more than twice as long."""
    made = Sandbox.judge("64M", 2)
    assert (made.memory, made.swap, made.cpu_time, made.timeout) == (67108864, None, 2.0, 5.0)
    assert (made.syscalls, made.processes, made.open_files) == ("strict", 16, 64)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("strict", ()), ("build", ("/var/tmp",)), ("agent", ("/var/tmp",)), ("judge", ("64M", 2))],
)
def test_a_preset_can_be_changed(name: str, arguments: tuple[Any, ...]) -> None:
    """By any wish, which is checked as ever."""
    made = partial(getattr(Sandbox, name), *arguments)
    assert made(processes=9, hostname="twig").hostname == "twig"
    assert made(processes=9).processes == 9
    with pytest.raises(TypeError, match="a Sandbox has no mem"):
        made(mem="1M")


# ---- what is read of it


def test_each_field_is_told_in_the_docstring() -> None:
    """A reader of help() finds each."""
    text = inspect.getdoc(Sandbox) or ""
    assert {name for name in FIELDS if f"``{name}``" not in text} == set()


@pytest.mark.parametrize("name", ["replace", "plan", "strict", "build", "agent", "judge"])
def test_each_method_has_a_docstring(name: str) -> None:
    """One sentence at least."""
    assert (getattr(Sandbox, name).__doc__ or "").strip().endswith((".", "```"))

import os
from pathlib import Path

import pytest

from ramet._kernel import user_ids
from ramet._setup.cache_key import cache_key

FIRST = "one:x:1001:\ntwo:x:1002:\n"
SECOND = "one:x:2001:\ntwo:x:1002:\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of our own in the place of the system's, with the look-up that libc makes of them."""
    for name, text in (("_SWITCH", "group: files\n"), ("_PASSWD", ""), ("_GROUP", FIRST)):
        file = tmp_path / name
        file.write_text(text)
        monkeypatch.setattr(user_ids, name, str(file))
    monkeypatch.setattr(user_ids, "_known", {})
    monkeypatch.setattr(user_ids, "_LEAST_AGE_NS", -(1 << 62))  # they were written just now
    return tmp_path


@pytest.fixture
def looked_up(files: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were looked up."""
    asked: list[str] = []

    def look_up(name: str) -> int:
        asked.append(name)
        lines = (line.split(":") for line in (files / "_GROUP").read_text().splitlines())
        return {line[0]: int(line[2]) for line in lines}[name]

    monkeypatch.setattr(user_ids, "_gid", look_up)
    return asked


def gid(name: str) -> int:
    return user_ids.gid(name, user_ids.file_versions())


def test_a_name_is_looked_up_once(looked_up: list[str]) -> None:
    """While the files stay as they are, a name is not looked up again."""
    assert [gid(name) for name in ("one", "two", "one", "two")] == [1001, 1002, 1001, 1002]
    assert looked_up == ["one", "two"]


@pytest.mark.parametrize("by", ["another file", "the same file"])
def test_a_name_may_change_its_meaning(by: str, files: Path, looked_up: list[str]) -> None:
    """A change of the file is seen at once, however it was made, also when its size stays."""
    assert gid("one") == 1001
    if by == "another file":
        (files / "new").write_text(SECOND)
        os.replace(files / "new", files / "_GROUP")
    else:
        file = files / "_GROUP"
        before = file.stat().st_ctime_ns
        while file.stat().st_ctime_ns == before:  # for a file that is not as young as this one
            file.write_text(SECOND)
    assert [gid("one"), gid("one")] == [2001, 2001]
    assert looked_up == ["one", "one"]


def test_a_name_may_go(files: Path, looked_up: list[str]) -> None:
    """What is no longer there is not known from before."""
    assert gid("one") == 1001
    (files / "_GROUP").write_text("two:x:1002:\n")
    with pytest.raises(KeyError):
        gid("one")


@pytest.mark.parametrize(
    "switch", ["group: sss files\n", "group: [NOTFOUND=return] files\n", "passwd: files\n", ""]
)
def test_other_sources_are_asked_each_time(switch: str, files: Path, looked_up: list[str]) -> None:
    """Of what libc does not look for in files first nobody tells when it changes."""
    (files / "_SWITCH").write_text(switch)
    assert [gid("one"), gid("one")] == [1001, 1001]
    assert looked_up == ["one", "one"]


def test_what_is_not_in_the_file_is_asked_each_time(
    looked_up: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that another source knows is its to tell."""

    def look_up(name: str) -> int:
        looked_up.append(name)
        return 77

    monkeypatch.setattr(user_ids, "_gid", look_up)
    assert [gid("elsewhere"), gid("one"), gid("elsewhere"), gid("one")] == [77] * 4
    assert looked_up == ["elsewhere", "one"] * 2


def test_a_file_just_written_is_not_trusted(
    looked_up: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change within the clock's grain would not show."""
    monkeypatch.setattr(user_ids, "_LEAST_AGE_NS", 1 << 62)
    assert [gid("one"), gid("one")] == [1001, 1001]
    assert looked_up == ["one", "one"]


def test_a_missing_file_is_no_error(files: Path, looked_up: list[str]) -> None:
    """Without one of them libc is asked each time."""
    (files / "_SWITCH").unlink()
    assert [gid("one"), gid("one")] == [1001, 1001]
    assert looked_up == ["one", "one"]


SAME = [
    ({"nice": 1}, {"nice": 1}, True),
    ({"rlimits": {"CORE": 0}}, {"rlimits": {"CORE": 0}}, True),
    ({"rlimits": {"CORE": 0}}, {"rlimits": {"CORE": 1}}, False),
    ({"rlimits": {"CORE": (0, 1)}}, {"rlimits": {"CORE": (1, 1)}}, False),
    ({"signal_mask": ["HUP"]}, {"signal_mask": ["HUP"]}, True),
    ({"signal_mask": ["HUP"]}, {"signal_mask": ["INT"]}, False),
    ({"cpu_affinity": {0}}, {"cpu_affinity": {0}}, True),
    ({"nice": 1}, {"umask": 1}, False),
    ({"nice": 1, "umask": 2}, {"nice": 2, "umask": 1}, False),
    ({"scheduler": "IDLE"}, {"scheduler": ("IDLE",)}, False),
    ({"user": 0}, {"user": "root"}, True),
]


@pytest.mark.parametrize(("one", "other", "same"), SAME)
def test_options_are_known_by_their_contents(
    one: dict[str, object], other: dict[str, object], same: bool
) -> None:
    """Equal options have equal keys, and others have not."""
    assert cache_key(one) is not None
    assert (cache_key(one) == cache_key(other)) is same


@pytest.mark.parametrize(
    "said",
    [
        {"nice": 1.0},
        {"rlimits": {4.0: 0}},
        {"cwd": Path("/")},
        {"cwd": b"/"},
        {"stdin": open},
        {"pass_fds": range(3, 5)},
        {"user": "no such user"},
        {"aslr": False},
        {"cgroup": "/sys/fs/cgroup"},
        {"namespaces": {}},
        {"uid_map": [(0, 0, 1)]},
        {"no_such_option": 1},
    ],
)
def test_what_may_mean_another_thing_has_no_key(said: dict[str, object]) -> None:
    """What a later look may find otherwise, or is wrong, is worked out each time."""
    assert cache_key(said) is None

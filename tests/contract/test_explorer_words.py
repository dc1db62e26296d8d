import json
import re
from pathlib import Path
from typing import Any

from ramet.flags import FACTS
from ramet.law import RULES, SHARES

EXPLORER = Path(__file__).parents[2] / "website" / "explorer"


def catalogue(name: str) -> dict[str, Any]:
    """A file of words."""
    found: dict[str, Any] = json.loads((EXPLORER / "languages" / name).read_text())
    return found


def test_every_rule_is_told_in_chinese() -> None:
    """Each sentence of each rule has a Chinese one, with a remedy; none is left of a rule that is gone."""
    written = {
        (rule, row["en"])
        for rule, rows in catalogue("rules.zh.json").items()
        for row in rows
        if row["sentence"] and row["remedy"]
    }
    assert written == {(rule.id, rule.sentence) for rule in RULES}


def test_every_flag_is_told_in_chinese() -> None:
    """Each flag says in Chinese what it does, what holds without it, and its note if it has one."""
    told = catalogue("flags.zh.json")
    assert set(told) == {row.name.removeprefix("CLONE_") for row in FACTS}
    for row in FACTS:
        words = told[row.name.removeprefix("CLONE_")]
        assert set(words) == {"set", "clear"} | ({"note"} if row.note else set())


def test_every_thing_that_is_shared_has_a_chinese_name() -> None:
    """Each thing of the law, and what a child has instead, is in the Chinese catalogue."""
    words = catalogue("strings.zh.json")
    for row in SHARES:
        assert f"what.{row.key}" in words
        for apart in {row.apart, *(row.instead[1:] if row.instead else ())}:
            assert f"apart.{apart}" in words


def test_both_catalogues_have_the_same_words() -> None:
    """What one language says the other says, too, with the same places for values."""
    english, chinese = catalogue("strings.en.json"), catalogue("strings.zh.json")
    of_law = ("what.", "apart.", "drawn.", "step.")  # English has these from the law itself
    assert {key for key in chinese if not key.startswith(of_law)} == set(english)
    for key, words in english.items():
        assert sorted(re.findall(r"\{\w+\}", words)) == sorted(
            re.findall(r"\{\w+\}", chinese[key])
        ), key


def test_the_page_asks_for_words_that_are_there() -> None:
    """Each key that is written out in the page is in the catalogue."""
    english = catalogue("strings.en.json")
    files = [*EXPLORER.glob("*.js"), *EXPLORER.glob("play/*.js"), EXPLORER / "index.html"]
    asked = re.compile(r"""\bt\("([^"]+)"|data-t(?:-label)?="([^"]+)\"""")
    for file in files:
        for key in map("".join, asked.findall(file.read_text())):
            assert key in english or key.startswith("drawn."), (file.name, key)


def test_scenes_use_words_that_are_there() -> None:
    """Each word that a scene takes from the catalogue is in it."""
    english = catalogue("strings.en.json")
    for file in EXPLORER.glob("play/scenes/*.json"):
        for word in re.findall(r'"@([\w-]+)"', file.read_text()):
            assert f"word.{word}" in english, (file.name, word)

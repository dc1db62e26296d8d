import importlib.util
import json
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import ramet
from ramet import law
from ramet.flags import FACTS

from ..constants import PATIENT_SECONDS

TREE = Path(__file__).parents[2]
REFERENCE = TREE / "docs" / "reference"
PAGES = REFERENCE / "flags"


def generator(name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, TREE / "build-aux" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_what_the_rows_say() -> None:
    """No page has drifted from its rows: `make pages` writes them anew."""
    written = {file.name: file.read_text() for file in PAGES.glob("*.md")}
    assert written == in_another_process(TREE / "build-aux", "flag_pages", "pages()")


@pytest.mark.parametrize("name", [row.name for row in FACTS])
def test_every_flag_has_one_section(name: str) -> None:
    """Each flag is told on one page, in each language, under its own heading."""
    heading = f"## {name.removeprefix('CLONE_')}"
    found = [file.name for file in PAGES.glob("*.md") if heading in file.read_text().splitlines()]
    english, chinese = sorted(found, key=len)
    assert chinese == english.replace(".md", ".zh.md")


def test_every_rule_is_told() -> None:
    """Each rule stands on some page."""
    text = "".join(file.read_text() for file in PAGES.glob("*.md"))
    assert [rule.id for rule in law.RULES if f"**{rule.id}**" not in text] == []


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("options.md", "option_page"),
        ("sandbox_escapes.md", "escape_page"),
    ],
)
def test_a_page_is_what_its_rows_say(place: str, name: str) -> None:
    """Nor has one of these."""
    assert (REFERENCE / place).read_text() == generator(name).page()


def test_the_page_of_the_rules_is_what_the_rows_say() -> None:
    """Nor has that of the rules, in either language."""
    told = in_another_process(TREE / "build-aux", "rule_page", "pages()")
    assert sorted(told) == ["rules.md", "rules.zh.md"]
    assert {place: (REFERENCE / place).read_text() for place in told} == told


@pytest.mark.parametrize("page", ["rules.md", "rules.zh.md"])
def test_every_rule_has_its_place(page: str) -> None:
    """Each rule has a heading of its own on the page of the rules, to which the flags' pages link."""
    headings = re.findall(r"^### (.+)$", (REFERENCE / page).read_text(), re.MULTILINE)
    assert {rule.id for rule in law.RULES} <= set(headings)
    assert len(set(headings)) == len(headings)


def test_each_chinese_phrase_is_that_of_an_english_one() -> None:
    """Each phrase with a Chinese form stands on an English page: none is left of one that is gone."""
    english = [
        file for file in [*PAGES.glob("*.md"), REFERENCE / "rules.md"] if ".zh" not in file.name
    ]
    text = "".join(file.read_text() for file in english)
    phrases = json.loads((TREE / "build-aux" / "pages.zh.json").read_text())
    assert len(phrases) > 50
    patterns = {
        phrase: ".*".join(map(re.escape, re.split(r"\{[^}]*\}", phrase))) for phrase in phrases
    }
    assert [phrase for phrase, pattern in patterns.items() if not re.search(pattern, text)] == []


def test_the_pages_of_the_api_are_what_the_docstrings_say() -> None:
    """No page of the API, nor that of the errors, has drifted from its docstrings."""
    told = in_another_process(TREE / "build-aux", "api_pages", "pages()")
    assert {place: (REFERENCE / place).read_text() for place in told} == told


def test_the_api_has_every_public_name() -> None:
    """Each public name that has a docstring of its own is on some page of the API."""
    text = "".join(file.read_text() for file in REFERENCE.glob("**/*.md"))
    headings = set(re.findall(r"^## (?:ramet\.)?(\w+)$", text, re.MULTILINE))
    others = {"law", "lowlevel", "observe"} | {
        name for name in ramet.__all__ if getattr(ramet, name).__class__ is int
    }
    named = set(ramet.__all__) - others - set(dir(subprocess))
    assert sorted(named - headings) == []


def test_the_page_of_the_commands_has_every_option() -> None:
    """Each command and each of its options is on the page; the wording is click's own."""
    text = (REFERENCE / "commands.md").read_text()
    module = generator("command_page")
    missing = []
    for words, command in commands(module.ramet, ("ramet",)):
        if f"## {' '.join(words)}\n" not in text:
            missing.append(" ".join(words))
        for one in command.params:
            missing += [name for name in one.opts if name.startswith("--") and name not in text]
    assert missing == []


def commands(
    command: click.Command, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """It and the commands below it, with the words that call them."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*words, name))


def in_another_process(folder: Path, name: str, expression: str) -> dict[str, str]:
    """What a generator says, where what it imports changes nothing for other tests (distributed does)."""
    code = f"import json; from {name} import *; print(json.dumps({expression}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENT_SECONDS,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_the_plots_are_what_was_measured() -> None:
    """Each picture of measured.md is drawn from the one file that a run has written."""
    drawn = in_another_process(TREE, "benchmarks.plots", "pictures()")
    folder = TREE / "docs" / "explanation" / "pictures"
    assert {file.name: file.read_text() for file in folder.glob("measured_*.svg")} == drawn

"""The languages in which a page is made of rows.

A phrase of such a page stands in English where it is used, and in Chinese in pages.zh.json. What the rows
themselves say is in Chinese in the catalogues of the explorer.
"""

import json
import re
from pathlib import Path
from typing import Any

from ramet.flags import Facts
from ramet.law import Rule
from ramet.law.library import LIBRARY_RULES
from ramet.law.sharing import Share

HERE = Path(__file__).parent
CATALOGUES = HERE.parent / "website" / "explorer" / "languages"


class English:
    """The rows as they are."""

    suffix = ".md"
    comma = ", "

    def __init__(self) -> None:
        # Titles and first sentences of groups of flags, where they are not those of the group itself.
        self.groups: dict[str, tuple[str, str]] = {}

    def say(self, phrase: str, **values: object) -> str:
        """A phrase, with each {name} in it replaced by a value."""
        return phrase.format(**values)

    def heading(self, text: str) -> str:
        """One of the second level."""
        return f"## {self.say(text)}"

    def of_flag(self, facts: Facts) -> tuple[str, str, str | None]:
        """What it does when it is set, when it is clear, and a note."""
        return facts.shared_when_set, facts.when_clear, facts.note

    def of_rule(self, rule: Rule) -> tuple[str, str]:
        """Why the kernel has it, and what to do."""
        return rule.sentence, rule.remedy

    def name(self, text: str) -> str:
        """Of a function, a file or a call."""
        return text

    def of_share(self, row: Share, apart: str) -> tuple[str, str]:
        """A thing that tasks share, and what a child has that does not share it."""
        return row.what, apart


class Chinese(English):
    """The rows in the words of the catalogues."""

    suffix = ".zh.md"
    comma = "、"

    def __init__(self) -> None:
        super().__init__()
        self.phrases = read(HERE / "pages.zh.json")
        self.strings = read(CATALOGUES / "strings.zh.json")
        titles = [key for key in self.strings if f"{key}.lead" in self.strings]
        self.groups = {
            title.removeprefix("group."): (self.strings[title], self.strings[f"{title}.lead"])
            for title in titles
        }
        self.flags = read(CATALOGUES / "flags.zh.json")
        self.rules = {
            (rule, row["en"]): row
            for rule, rows in read(CATALOGUES / "rules.zh.json").items()
            for row in rows
        }

    def say(self, phrase: str, **values: object) -> str:
        """As in English; a phrase that is not in the file is an error."""
        if phrase not in self.phrases:
            raise SystemExit(f"build-aux/pages.zh.json: there is no Chinese for {phrase!r}")
        return super().say(self.phrases[phrase], **values)

    def heading(self, text: str) -> str:
        """With the place of the English heading, so that a link leads to both."""
        place = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        return f'<a id="{place}"></a>\n\n{super().heading(text)}'

    def of_flag(self, facts: Facts) -> tuple[str, str, str | None]:
        """As the explorer has it."""
        words = self.flags[facts.name.removeprefix("CLONE_")]
        return words["set"], words["clear"], words.get("note")

    def of_rule(self, rule: Rule) -> tuple[str, str]:
        """As the explorer has it, which has the kernel's rules only."""
        if rule in LIBRARY_RULES.values():
            return self.say(rule.sentence), self.say(rule.remedy)
        row = self.rules[rule.id, rule.sentence]
        return row["sentence"], row["remedy"]

    def name(self, text: str) -> str:
        """As in English, but for those few that are words."""
        found: str = self.phrases.get(text, text)
        return found

    def of_share(self, row: Share, apart: str) -> tuple[str, str]:
        """As the explorer has it."""
        return self.strings[f"what.{row.key}"], self.strings[f"apart.{apart}"]


def read(file: Path) -> dict[str, Any]:
    """A file of words."""
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


LANGUAGES = (English(), Chinese())

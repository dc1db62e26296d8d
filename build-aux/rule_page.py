"""Writes docs/reference/rules.md from the rows of the law, in each language.

`make pages` runs it; a test compares what it would write with what is there.
"""

import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import groupby
from pathlib import Path

from page_language import LANGUAGES, English

from ramet.law import RULES, Rule
from ramet.law.library import LIBRARY_RULES

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
NOTICE = "<!-- Made by build-aux/rule_page.py from the rows in src/ramet/law: change those. -->"
LEAD = (
    "When the kernel refuses a new task, it answers with an errno. Behind it is one of these checks, in "
    "the kernel's own order: the first broken rule is the one that it reports. A `CloneError` has them in "
    "`rules`, and `ramet explain` says which of them a request breaks. A rule with several causes has a "
    "line for each. [Every flag](flags/README.md) has the rules that name it."
)
LIBRARY_LEAD = (
    "Requests that no kernel refuses, and that cannot be made all the same: the library answers."
)
# In the kernel's order, as ramet.law.rows has them.
STAGES = (
    "above_bit_63",
    "clone3_arguments",
    "clone_flags",
    "unshare",
    "limits",
    "namespaces",
    "pids",
    "cgroups",
    "ignored",
    "setns",
)


def pages() -> dict[str, str]:
    """The text of the page in each language, by file name."""
    return {f"rules{language.suffix}": page(language) for language in LANGUAGES}


def page(language: English) -> str:
    say = language.say
    parts = [f"# {say('The rules of the kernel')}", say(NOTICE), say(LEAD)]
    for stage in STAGES:
        module = import_module(f"ramet.law.rows.{stage}")
        title, _, lead = (module.__doc__ or "").partition("\n\n")
        parts.append(language.heading(title.rstrip(".")))
        if lead:
            parts.append(say(" ".join(lead.split())))
        parts += told(module.ROWS, language)
    parts += [language.heading("What the library refuses"), say(LIBRARY_LEAD)]
    parts += told(tuple(LIBRARY_RULES.values()), language)
    return "\n\n".join(parts) + "\n"


def told(rows: tuple[Rule, ...], language: English) -> Iterator[str]:
    for name, group in groupby(rows, key=lambda row: row.id):
        yield f"### {name}"
        yield "\n".join(line(row, language) for row in group)


def line(row: Rule, language: English) -> str:
    say = language.say
    sentence, remedy = language.of_rule(row)
    place = say(
        "`{function}`, {source}; ",
        function=row.kernel_function,
        source=language.name(row.source),
    )
    span = "Linux {since} until {until}" if row.until else "since Linux {since}"
    return say(
        "- {answer} in {calls}: {sentence}. **Remedy**: {remedy}. ({place}{span}{seen})",
        answer=f"`{row.errno}`" if row.errno else say("granted, and ignored,"),
        calls=language.comma.join(f"{call}()" for call in sorted(row.calls)),
        sentence=sentence,
        remedy=remedy,
        place="" if row.kernel_function == "none" else place,
        span=say(span, since=row.since, until=row.until),
        seen="" if row.verified else say("; read, not yet seen on a kernel"),
    )


def main() -> int:
    missing = {row.id for row in RULES} - {
        row.id for stage in STAGES for row in import_module(f"ramet.law.rows.{stage}").ROWS
    }
    if missing:
        print(f"rules.md: no stage has the rules {', '.join(sorted(missing))}", file=sys.stderr)
        return 1
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

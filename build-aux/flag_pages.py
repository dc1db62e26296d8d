"""Writes docs/reference/flags from the rows of ramet.flags and ramet.law, in each language.

`make pages` runs it; a test compares what it would write with what is there.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from page_language import LANGUAGES, English

from ramet.flags import FACTS, CloneFlag, Facts
from ramet.law import RULES, SHARES, Rule

FOLDER = Path(__file__).parents[1] / "docs" / "reference" / "flags"

# File, title, first sentence, and the flags, without CLONE_.
GROUPS = (
    (
        "sharing",
        "What a child shares",
        "Set, the child has the same thing as its caller; clear, a thing of its own.",
        "VM FS FILES SIGHAND CLEAR_SIGHAND SYSVSEM IO",
    ),
    (
        "kinship",
        "Parent, pids and signals",
        "Its parent, its ids, and what its end sends.",
        "CSIGNAL THREAD PARENT PIDFD AUTOREAP PIDFD_AUTOKILL",
    ),
    (
        "namespaces",
        "Namespaces",
        "Set, the child has a new namespace; clear, its caller's.",
        "NEWNS EMPTY_MNTNS NEWUTS NEWIPC NEWUSER NEWPID NEWNET NEWCGROUP NEWTIME",
    ),
    (
        "words",
        "Addresses and registers",
        "What the kernel writes to memory and registers.",
        "SETTLS PARENT_SETTID CHILD_SETTID CHILD_CLEARTID",
    ),
    (
        "start",
        "How a child starts",
        "Whether the caller waits, what traces the child, and its cgroup and rights.",
        "VFORK PTRACE UNTRACED INTO_CGROUP NNP",
    ),
    (
        "past",
        "Flags of the past",
        "Flags that Linux dropped. Their bits have no effect today, or are other flags.",
        "DETACHED STOPPED PID",
    ),
)

MOST_SETS = 3
NOTICE = "<!-- Made by build-aux/flag_pages.py from the rows in src/ramet: change those. -->"
ANY_REQUEST = "Rules about fields, limits and moments, for any flags."
LEAD = (
    "Every clone flag that Linux has or had, what it shares, and the rules that name it in the "
    "kernel's order. `ramet explain` says the same of any combination, and `ramet law check` "
    "compares all of it with your kernel."
)


def pages() -> dict[str, str]:
    """The text of every page, by file name."""
    return {
        name + language.suffix: text
        for language in LANGUAGES
        for name, text in pages_in(language).items()
    }


def pages_in(language: English) -> dict[str, str]:
    told = {}
    for file, *words, names in GROUPS:
        title, lead = language.groups.get(file, words)
        told[file] = page(title, lead, names, language)
    told["any_request"] = page_of_other_rules(language)
    told["README"] = index(language)
    return told


def page(title: str, lead: str, names: str, language: English) -> str:
    flags = [CloneFlag[name] for name in names.split()]
    parts = [f"# {title}", language.say(NOTICE), lead]
    for flag in flags:
        parts += section(flag, language)
    return "\n\n".join(parts) + "\n"


def section(flag: CloneFlag, language: English) -> Iterator[str]:
    say = language.say
    facts = facts_of(flag)
    when_set, when_clear, note = language.of_flag(facts)
    calls = language.comma.join(map(language.name, sorted(facts.calls))) or say("none today")
    yield f"## {facts.name.removeprefix('CLONE_')}"
    yield "\n".join(
        [
            say("- Value: `{value:#x}`", value=facts.value),
            say("- Linux: {span}", span=span(facts, language)),
            say("- Calls: {calls}", calls=calls),
            say("- Set: {what}", what=when_set),
            say("- Clear: {what}", what=when_clear),
            *([say("- Note: {note}", note=note)] if note else []),
            *shares_of(flag, language),
            say("- Source: {source}", source=language.name(facts.source)),
        ]
    )
    rules = [rule for rule in RULES if names_flag(rule, flag)]
    if rules:
        yield "\n".join([say("Rules:"), "", *(told(rule, language) for rule in rules)])


def facts_of(flag: CloneFlag) -> Facts:
    return next(row for row in FACTS if CloneFlag.parse(row.name) == flag)


def shares_of(flag: CloneFlag, language: English) -> Iterator[str]:
    say = language.say
    for row in SHARES:
        if row.any_of & flag.value and flag != CloneFlag.CSIGNAL:
            what, apart = language.of_share(row, row.apart_by(flag.value))
            word = say("shared") if row.shared else apart
            seen = say(", as `{probe}` shows", probe=row.probe) if row.probe else ""
            yield say(
                "- Decides `{key}` ({what}): {word} when set{seen}",
                key=row.key,
                what=what,
                word=word,
                seen=seen,
            )


def names_flag(rule: Rule, flag: CloneFlag) -> bool:
    """Whether it is about this flag, and not about all unknown flags."""
    value = facts_of(flag).value if flag == CloneFlag.CSIGNAL else flag.value
    if flag == CloneFlag.CSIGNAL:
        return bool(rule.any_of and not rule.any_of & ~value)
    wide = rule.raw and rule.any_of.bit_count() > MOST_SETS
    return bool((rule.all_of | rule.none_of | (0 if wide else rule.any_of)) & flag.value)


def told(rule: Rule, language: English) -> str:
    say = language.say
    sentence, remedy = language.of_rule(rule)
    where = say(
        "`{function}`, {source}; ",
        function=rule.kernel_function,
        source=language.name(rule.source),
    )
    return say(
        "- [**{rule}**](../rules.md#{place}) {answer} in {calls}: {sentence}. Remedy: {remedy}. "
        "({where}Linux {span}{seen})",
        rule=rule.id,
        place=rule.id.lower(),
        answer=f"`{rule.errno}`" if rule.errno else say("ignored"),
        calls=language.comma.join(f"{call}()" for call in sorted(rule.calls)),
        sentence=sentence,
        remedy=remedy,
        where="" if rule.kernel_function == "none" else where,
        span=span(rule, language),
        seen="" if rule.verified else say("; read, not yet seen on a kernel"),
    )


def span(row: Facts | Rule, language: English) -> str:
    phrase = "{since} until {until}" if row.until else "since {since}"
    return language.say(phrase, since=row.since, until=row.until)


def page_of_other_rules(language: English) -> str:
    say = language.say
    parts = [f"# {say('Any request')}", say(NOTICE), say(ANY_REQUEST)]
    flags = [CloneFlag[name] for group in GROUPS for name in group[3].split()]
    rules = [r for r in RULES if not any(names_flag(r, flag) for flag in flags)]
    return "\n\n".join([*parts, "\n".join(told(rule, language) for rule in rules)]) + "\n"


def index(language: English) -> str:
    say = language.say
    lines = []
    for file, *words, names in GROUPS:
        title, _ = language.groups.get(file, words)
        flags = language.comma.join(names.split())
        lines.append(say("- [{title}]({file}.md): {flags}", title=title, file=file, flags=flags))
    lines.append(say("- [Any request](any_request.md): rules about fields, limits and moments"))
    return "\n\n".join([f"# {say('The flags')}", say(NOTICE), say(LEAD), "\n".join(lines)]) + "\n"


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

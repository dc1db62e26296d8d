"""Writes docs/reference/flags from the rows of ramet.flags and ramet.law.

`make pages` runs it; a test compares what it would write with what is there.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

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


def pages() -> dict[str, str]:
    """The text of every page, by file name."""
    told = {f"{file}.md": page(title, lead, names) for file, title, lead, names in GROUPS}
    told["any_request.md"] = page_of_other_rules()
    told["README.md"] = index()
    return told


def page(title: str, lead: str, names: str) -> str:
    flags = [CloneFlag[name] for name in names.split()]
    parts = [f"# {title}", NOTICE, lead]
    for flag in flags:
        parts += section(flag)
    return "\n\n".join(parts) + "\n"


def section(flag: CloneFlag) -> Iterator[str]:
    facts = facts_of(flag)
    yield f"## {facts.name.removeprefix('CLONE_')}"
    yield "\n".join(
        [
            f"- Value: `{facts.value:#x}`",
            f"- Linux: {span(facts.since, facts.until)}",
            f"- Calls: {', '.join(sorted(facts.calls)) or 'none today'}",
            f"- Set: {facts.shared_when_set}",
            f"- Clear: {facts.when_clear}",
            *([f"- Note: {facts.note}"] if facts.note else []),
            *shares_of(flag),
            f"- Source: {facts.source}",
        ]
    )
    rules = [rule for rule in RULES if names_flag(rule, flag)]
    if rules:
        yield "\n".join(["Rules:", "", *(told(rule) for rule in rules)])


def facts_of(flag: CloneFlag) -> Facts:
    return next(row for row in FACTS if CloneFlag.parse(row.name) == flag)


def shares_of(flag: CloneFlag) -> Iterator[str]:
    for row in SHARES:
        if row.any_of & flag.value and flag != CloneFlag.CSIGNAL:
            word = "shared" if row.shared else row.apart_by(flag.value)
            seen = f", as `{row.probe}` shows" if row.probe else ""
            yield f"- Decides `{row.key}` ({row.what}): {word} when set{seen}"


def names_flag(rule: Rule, flag: CloneFlag) -> bool:
    """Whether it is about this flag, and not about all unknown flags."""
    value = facts_of(flag).value if flag == CloneFlag.CSIGNAL else flag.value
    if flag == CloneFlag.CSIGNAL:
        return bool(rule.any_of and not rule.any_of & ~value)
    wide = rule.raw and rule.any_of.bit_count() > MOST_SETS
    return bool((rule.all_of | rule.none_of | (0 if wide else rule.any_of)) & flag.value)


def told(rule: Rule) -> str:
    calls = ", ".join(f"{call}()" for call in sorted(rule.calls))
    answer = f"`{rule.errno}`" if rule.errno else "ignored"
    seen = "" if rule.verified else "; read, not yet seen on a kernel"
    where = "" if rule.kernel_function == "none" else f" `{rule.kernel_function}`, {rule.source};"
    return (
        f"- [**{rule.id}**](../rules.md#{rule.id.lower()}) {answer} in {calls}: {rule.sentence}. "
        f"Remedy: {rule.remedy}. "
        f"({where.strip()} Linux {span(rule.since, rule.until)}{seen})".replace("( ", "(")
    )


def span(since: str, until: str | None) -> str:
    return f"{since} until {until}" if until else f"since {since}"


def page_of_other_rules() -> str:
    parts = [
        "# Any request",
        NOTICE,
        "Rules about fields, limits and moments, for any flags.",
    ]
    flags = [CloneFlag[name] for group in GROUPS for name in group[3].split()]
    rules = [r for r in RULES if not any(names_flag(r, flag) for flag in flags)]
    return "\n\n".join([*parts, "\n".join(told(rule) for rule in rules)]) + "\n"


def index() -> str:
    lines = [
        f"- [{title}]({file}.md): {', '.join(names.split())}" for file, title, _, names in GROUPS
    ]
    lines.append("- [Any request](any_request.md): rules about fields, limits and moments")
    lead = (
        "Every clone flag that Linux has or had, what it shares, and the rules that name it in the "
        "kernel's order. `ramet explain` says the same of any combination, and `ramet law check` "
        "compares all of it with your kernel."
    )
    return "\n\n".join(["# The flags", NOTICE, lead, "\n".join(lines)]) + "\n"


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

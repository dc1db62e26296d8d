import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
# sleep(1000) hangs until it is killed, sleep(0) lets others run; see tests/waiting.py for the rest.
SHORT = re.compile(
    r"\b(?:time|asyncio|anyio|trio)\.sleep(?!_forever|\((?:0|1000)\)|, (?:args=\()?1000)\b|sleep 0?\.\d"
)


def test_no_test_sleeps_to_wait() -> None:
    """What a test waits for is an event: it sleeps for good, or not at all."""
    found = [
        f"{file.relative_to(TESTS)}:{number}: {line.strip()}"
        for file in sorted(TESTS.rglob("*.py"))
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if SHORT.search(line) and file not in {TESTS / "waiting.py", Path(__file__)}
    ]
    assert found == []

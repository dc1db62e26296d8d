import random
import time

import pytest
from bridge.callers import CALLERS
from bridge.presets import PRESETS
from bridge.state import explained

from ramet.flags import CloneFlag
from ramet.law import KERNELS, Outcome
from ramet.law.version import version_text

from .conftest import BUILT, Explorer

_REQUESTS = 100
_SEED = 15
_MOST_BYTES = 20_000_000


def written(state: dict[str, str]) -> str:
    """A state as a part of an address, as the page itself writes it."""
    names = [str(flag.name) for flag in CloneFlag(int(state["flags"], 0))]
    parts = [f"flags={','.join(sorted(names, key=in_page.index))}"]
    for name, ordinary in (
        ("signal", "auto"),
        ("call", "auto"),
        ("caller", "root"),
        ("kernel", None),
    ):
        if state[name] != ordinary:
            parts.append(f"{name}={state[name]}")
    return "&".join([*parts, "lang=en"])


in_page = [flag.name for flag in CloneFlag]


def a_state(some: random.Random) -> dict[str, str]:
    """Few flags or many, any call, caller and kernel."""
    flags = CloneFlag(0)
    for flag in some.sample(list(CloneFlag), some.choice((0, 1, 2, 2, 3, 4, 6))):
        flags |= flag
    return {
        "flags": hex(flags),
        "signal": some.choice(("auto", "auto", "0", "17", "28", "64")),
        "call": some.choice(("auto", "auto", "clone", "clone3", "unshare")),
        "caller": some.choice(list(CALLERS)),
        "kernel": some.choice((*KERNELS, "3.8", "4.6", "5.3", "6.8")),
    }


def shown(explorer: Explorer) -> dict[str, object]:
    """What the page says of the request."""
    told = explorer.page.locator("#verdict h1").text_content() or ""
    return {
        "errno": told.removeprefix("Refused: ") if told.startswith("Refused") else None,
        "broken": explorer.texts(".rules .rule .id"),
        "sentences": explorer.texts(".rules .rule .sentence"),
        "shared": set(
            explorer.page.eval_on_selector_all(
                ".sharing .shared [data-share]", "all => all.map(one => one.dataset.share)"
            )
        ),
        "kernels": explorer.texts(".kernels .spans .mark"),
    }


def expected(outcome: Outcome, kernels: list[str]) -> dict[str, object]:
    """The same from the law in this interpreter."""
    return {
        "errno": outcome.errno,
        "broken": [rule.id for rule in outcome.broken],
        "sentences": [rule.sentence for rule in outcome.broken],
        "shared": {key for key, is_shared in outcome.shares.items() if is_shared},
        "kernels": kernels,
    }


def compare(explorer: Explorer, state: dict[str, str]) -> None:
    """The page's answer to a state must be the law's here."""
    told = explained(state)
    kernels = [span.outcome.errno or "granted" for span in told.spans]
    assert shown(explorer) == expected(told.outcome, kernels), state
    assert f"Linux {version_text(told.outcome.kernel)}" in explorer.texts("#verdict .where")[0]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset["id"])
def test_each_preset_is_answered(explorer: Explorer, preset: dict[str, str]) -> None:
    """A press of its button asks for the preset, and the answer is the law's."""
    explorer.page.click(f"[data-preset={preset['id']}]")
    explorer.answered()
    state = {"caller": "root", "kernel": "7.2", **preset}
    compare(explorer, state)
    pressed = explorer.page.locator(".chip[aria-pressed=true]").all_text_contents()
    assert len(pressed) == 1
    assert explorer.page.locator(".written pre").count() == 1


def test_random_requests_are_answered_as_by_python(
    explorer: Explorer, capsys: pytest.CaptureFixture[str]
) -> None:
    """To a hundred requests the browser's Python gives the answers of this one; the times are printed."""
    some = random.Random(_SEED)
    times = []
    for _ in range(_REQUESTS):
        state = a_state(some)
        explorer.open(written(state))
        compare(explorer, state)
        times.append(int(explorer.page.get_attribute("#verdict", "data-milliseconds") or ""))
    with capsys.disabled():
        median = sorted(times)[_REQUESTS // 2]
        print(f"\n{_REQUESTS} answers: {median} ms at the median, {max(times)} ms at most")


def test_the_first_answer_comes(
    explorer: Explorer, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page that was just opened answers within the deadline; the time is printed."""
    page = explorer.page.context.browser
    assert page is not None
    fresh = Explorer(page.new_page(), address)
    began = time.monotonic()
    fresh.open("flags=THREAD&kernel=7.2&lang=en")
    took = time.monotonic() - began
    fresh.page.close()
    with capsys.disabled():
        print(f"\nthe first answer: {took:.1f} s")
    assert fresh.complaints == []


def test_the_explorer_is_small() -> None:
    """With Pyodide it is less than half of what the whole site may be."""
    assert sum(file.stat().st_size for file in BUILT.rglob("*") if file.is_file()) < _MOST_BYTES

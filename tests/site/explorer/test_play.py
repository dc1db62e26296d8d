import json
import re
from pathlib import Path

import pytest

from .conftest import TREE, Explorer

SCENES = [
    scene
    for name in ("parameters", "wrapper", "fork_and_vfork")
    for scene in json.loads((TREE / "website/explorer/play/scenes" / f"{name}.json").read_text())
]
PAGE = (TREE / "docs/explanation/the_classic_page.md").read_text()
_TOO_WIDE = Path(__file__).with_name("outside_boxes.js").read_text()


def test_every_statement_of_the_page_has_its_scene() -> None:
    """The scenes are P1 to P14 and K1 to K5, those of the page, with its verdicts."""
    stated = re.findall(r"^### ([PK]\d+): ", PAGE, flags=re.MULTILINE)
    assert [scene["id"] for scene in SCENES] == stated
    for scene in SCENES:
        section = re.search(
            rf"^### {scene['id']}: .*?- Today: (\w+)", PAGE, flags=re.MULTILINE | re.DOTALL
        )
        assert section is not None
        assert (scene["verdict"] == "changed") == (section[1] == "changed"), scene["id"]


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_step_of_each_scene_is_drawn(explorer: Explorer, width: int, language: str) -> None:
    """All steps are shown in both languages, on a phone, too; no text leaves its box or crosses another."""
    explorer.page.emulate_media(reduced_motion="reduce")
    explorer.page.set_viewport_size({"width": width, "height": 900})
    bad = []
    for scene in SCENES:
        for number, step in enumerate(scene["steps"]):
            explorer.open(f"play={scene['id']}&step={number}&lang={language}")
            explorer.page.wait_for_selector(f'#play[data-shown="{scene["id"]} {number}"]')
            said = step["say"][language == "zh"]
            explorer.page.wait_for_function(
                "said => document.querySelector('.caption').textContent === said", arg=said
            )
            bad += [
                f"{scene['id']} {number}: {words}" for words in explorer.page.evaluate(_TOO_WIDE)
            ]
    assert "\n".join(bad) == ""


def test_time_is_moved_by_keys_and_by_the_slider(explorer: Explorer) -> None:
    """Arrows go a step, Home and End to the ends, and the slider to any."""
    explorer.open("play=K3&lang=en")
    count = explorer.page.locator(".count")
    explorer.page.locator("body").press("ArrowRight")
    assert count.text_content() == "2 / 7"
    explorer.page.locator("body").press("End")
    assert count.text_content() == "7 / 7"
    assert "play=K3&step=6" in explorer.page.url
    explorer.page.locator("body").press("ArrowLeft")
    explorer.page.locator("body").press("Home")
    assert count.text_content() == "1 / 7"
    explorer.page.locator("#scrub").fill("3")
    assert count.text_content() == "4 / 7"
    assert explorer.page.get_attribute("#scrub", "aria-valuetext") == "Step 4 of 7"


def test_a_scene_plays_to_its_end(explorer: Explorer) -> None:
    """Play goes on step by step until the last, where the button is for playing again."""
    explorer.page.clock.install()
    explorer.open("play=K1&lang=en")
    explorer.page.click("#play-play")
    assert explorer.page.get_attribute("#play-play", "aria-label") == "Pause"
    for _ in range(7):
        explorer.page.clock.run_for(15_000)
    assert explorer.texts(".count") == ["7 / 7"]
    assert explorer.page.get_attribute("#play-play", "aria-label") == "Play"


def test_a_page_is_copied_where_it_is_written(explorer: Explorer) -> None:
    """In K3 the page that is written is copied for the child, and those that are not stay in common."""
    explorer.open("play=K3&step=1&lang=en")
    explorer.page.wait_for_selector('#play[data-shown="K3 1"]')
    assert explorer.page.locator(".card.at-both").count() == 3
    explorer.open("play=K3&step=3&lang=en")
    explorer.page.wait_for_selector('#play[data-shown="K3 3"]')
    assert "at-caller" in (explorer.page.get_attribute("[data-thing=a]", "class") or "")
    assert "at-child" in (explorer.page.get_attribute("[data-thing=a2]", "class") or "")
    assert explorer.page.locator(".card.at-both").count() == 2


def test_the_list_leads_to_each_scene(explorer: Explorer) -> None:
    """A press on a statement shows it, and the back button the one before."""
    explorer.open("play=P1&lang=en")
    explorer.page.click("[data-scene=P14]")
    explorer.page.wait_for_selector('#play[data-shown="P14 0"]')
    assert explorer.page.locator(".statement h1").text_content() == "P14fn and arg on the stack"
    explorer.page.go_back()
    explorer.page.wait_for_selector('#play[data-shown="P1 0"]')

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from .conftest import BUILT, Explorer

# Functions that find what is wrong in the page.
_UNNAMED = Path(__file__).with_name("unnamed.js").read_text()
_CONTRASTS = Path(__file__).with_name("contrasts.js").read_text()
_WITHOUT_CHINESE = Path(__file__).with_name("without_chinese.js").read_text()
_STATES = (
    "flags=THREAD&lang=en",
    "flags=VM,VFORK&lang=zh",
    "flags=NEWNS,FS,NEWPID&caller=user&lang=en",
    "play=K3&step=3",
)


def test_thread_alone_teaches_what_it_needs(explorer: Explorer) -> None:
    """Of CLONE_THREAD alone the page says what it needs, what that needs, and why; a press mends it."""
    explorer.page.check("#flag-THREAD")
    explorer.answered()
    assert explorer.texts(".rules .sentence") == [
        "CLONE_THREAD needs CLONE_SIGHAND, since a thread group has one table of signal handlers"
    ]
    first = explorer.page.locator(".change-list > li").first
    why = first.locator(".why li").all_text_contents()
    assert [reason[-2:] for reason in why] == ["D3", "D4"]
    assert "a handler is an address and must be in memory that both share" in why[1]
    first.locator("button").click()
    explorer.answered()
    assert explorer.texts("#verdict h1") == ["Granted"]
    assert explorer.page.is_checked("#flag-SIGHAND")
    assert explorer.page.is_checked("#flag-VM")
    assert "flags=VM,SIGHAND,THREAD" in explorer.page.url


def test_a_state_is_in_the_address(explorer: Explorer) -> None:
    """What is chosen is in the address, an address brings it back, and the back button undoes a choice."""
    explorer.page.check("#flag-NEWNS")
    explorer.page.select_option("#caller", "user")
    explorer.page.select_option("#kernel", "5.4")
    explorer.page.select_option("#call", "clone")
    explorer.page.select_option("#signal", "28")
    explorer.answered()
    address = explorer.page.url
    assert address.endswith("#flags=NEWNS&signal=28&call=clone&caller=user&kernel=5.4&lang=en")
    explorer.page.go_back()
    explorer.answered()
    assert explorer.page.input_value("#signal") == "auto"
    explorer.open("flags=&kernel=7.2&lang=en")
    explorer.open(address.partition("#")[2])
    chosen = [
        explorer.page.input_value(f"#{name}") for name in ("signal", "call", "caller", "kernel")
    ]
    assert chosen == ["28", "clone", "user", "5.4"]
    assert explorer.page.is_checked("#flag-NEWNS")
    assert explorer.texts("#verdict h1") == ["Refused: EPERM"]


def test_flags_in_an_address_may_be_as_c_has_them(explorer: Explorer) -> None:
    """A link that somebody writes by hand may have prefixes, bars and small letters."""
    explorer.open("flags=CLONE_VM|clone_fs,files&kernel=7.2&lang=en")
    checked = explorer.page.locator("input:checked").evaluate_all("all => all.map(one => one.id)")
    assert len(checked) == 3
    explorer.page.locator("input:checked").first.uncheck()
    assert "flags=FS,FILES" in explorer.page.url


def test_nonsense_in_an_address_is_as_nothing(explorer: Explorer) -> None:
    """Unknown flags, callers, kernels and fields in an address break nothing."""
    explorer.open("flags=VM,NOSUCH&caller=me&kernel=old&call=9&lang=xx&signal=x")
    assert explorer.texts("#verdict h1") == ["Granted"]
    explorer.open("flags=&kernel=7.2&nosuch=1&lang=en")
    assert explorer.texts("#verdict h1") == ["No such request"]


@pytest.mark.parametrize(
    ("text", "verdict", "leads_to"),
    [
        (
            "clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=17, stack=0x7f00, stack_size=4096}, 88) = 7",
            "Granted",
            "flags=VM,VFORK&signal=17&call=clone3&kernel=7.2&stack=32512&stack_size=4096",
        ),
        ("0x10000", "Refused: EINVAL", "flags=THREAD&kernel=7.2"),
        ("unshare(CLONE_NEWNS) = -1 EPERM (…)", "Granted", "flags=NEWNS&signal=0&call=unshare"),
        ("docker", "Granted", "flags=NEWNS,NEWUTS,NEWIPC,NEWPID,NEWNET,NEWCGROUP&signal=17&call=clone"),
        ("fs|files|sigchld", "Granted", "flags=FS,FILES&signal=17&kernel"),
    ],
)  # fmt: skip
def test_a_pasted_text_fills_the_controls(
    explorer: Explorer, text: str, verdict: str, leads_to: str
) -> None:
    """A line of strace, a number, a word or names are read as the law reads them."""
    explorer.page.fill("#paste", text)
    explorer.page.press("#paste", "Enter")
    explorer.page.wait_for_url(lambda url: leads_to in url)
    explorer.answered()
    assert explorer.texts("#verdict h1") == [verdict]


def test_a_text_that_cannot_be_read_is_told(explorer: Explorer) -> None:
    """The law's own error stands below the field, and nothing else changes."""
    explorer.page.fill("#paste", "CLONE_VMM")
    explorer.page.press("#paste", "Enter")
    explorer.page.wait_for_selector("#paste-told.wrong")
    assert "the nearest known name is CLONE_VM" in explorer.texts("#paste-told")[0]
    assert "flags=&" in explorer.page.url


def test_a_field_of_a_pasted_call_can_be_dropped(explorer: Explorer) -> None:
    """A stack without its size is refused, and the button of the field takes it away."""
    explorer.open("flags=VM&call=clone3&signal=0&kernel=7.2&stack=0x7f0000000000&lang=en")
    assert explorer.texts(".rules .id") == ["B5"]
    explorer.page.click("#fields button")
    explorer.answered()
    assert explorer.texts("#verdict h1") == ["Granted"]
    assert explorer.page.is_hidden("#fields")


def test_another_kernel_is_a_press_away(explorer: Explorer) -> None:
    """In the strip of kernels each span leads to a kernel with that answer."""
    explorer.open("flags=NEWUSER,FS&kernel=7.2&lang=en")
    assert explorer.texts("#verdict h1") == ["Refused: EINVAL"]
    explorer.page.locator(".strip .span.granted").first.click()
    explorer.answered()
    assert explorer.texts("#verdict h1") == ["Granted"]
    assert "kernel=2.6" in explorer.page.url


def test_everything_works_by_keyboard(explorer: Explorer) -> None:
    """Tab reaches the flags and the changes, space and enter act, arrows move between tabs."""
    page = explorer.page
    page.focus("#flag-VM")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "flag-FS"
    page.focus("#flag-SIGHAND")
    page.keyboard.press("Space")
    explorer.answered()
    assert explorer.texts("#verdict h1") == ["Refused: EINVAL"]
    assert page.locator("#flag-SIGHAND ~ .more").is_visible()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    page.locator(".apply").first.focus()
    page.keyboard.press("Enter")
    explorer.answered()
    assert explorer.texts("#verdict h1") == ["Granted"]
    page.focus(".written [role=tab][aria-selected=true]")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.kind") == "clone"
    assert "int pid = clone(" in explorer.texts(".written pre")[0]
    assert page.evaluate(_UNNAMED) == []


def test_both_languages_say_the_same(explorer: Explorer) -> None:
    """The button changes every word of the page, and the answer stays the same."""
    explorer.open("flags=THREAD&kernel=7.2&lang=en")
    english = explorer.texts(".rules .id")
    explorer.page.click("#language")
    explorer.answered()
    assert explorer.texts("#verdict h1") == ["拒绝：EINVAL"]  # noqa: RUF001 - Chinese has such a colon
    assert explorer.texts(".rules .sentence") == [
        "CLONE_THREAD 需要 CLONE_SIGHAND，因为一个线程组只有一张信号处理函数表"  # noqa: RUF001 - and comma
    ]
    assert explorer.texts(".rules .id") == english
    assert explorer.page.get_attribute("html", "lang") == "zh-CN"
    explorer.page.click("#language")
    explorer.answered()
    assert explorer.texts("#verdict h1") == ["Refused: EINVAL"]


_CHINESE = (
    "flags=THREAD",
    "flags=VM,VFORK&signal=28",
    "flags=NEWTIME,PARENT&kernel=5.4",
    "flags=NEWNET,IO&caller=user",
    "flags=STOPPED,FS&call=clone",
    "flags=NEWPID&call=unshare",
)


@pytest.mark.parametrize("state", _CHINESE)
def test_no_english_is_left_in_chinese(explorer: Explorer, state: str) -> None:
    """In Chinese no sentence, button or word of the picture is English; what is code or a name stays."""
    explorer.open(f"{state}&lang=zh")
    left = explorer.page.evaluate(_WITHOUT_CHINESE)
    assert left == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", _STATES)
def test_text_can_be_read_in_both_themes(explorer: Explorer, scheme: str, state: str) -> None:
    """Every text has a contrast of 4.5 and more to its ground."""
    explorer.page.emulate_media(
        color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce"
    )
    explorer.open(state)
    assert explorer.page.get_attribute("html", "data-theme") == scheme
    assert explorer.page.evaluate(_CONTRASTS) == []


def test_the_theme_can_be_chosen(explorer: Explorer) -> None:
    """The button goes from the system's theme to light and dark, and back."""
    seen = []
    for _ in range(3):
        explorer.page.click("#theme")
        seen.append(explorer.page.get_attribute("html", "data-theme"))
    explorer.answered()
    assert seen == ["light", "dark", "light"]
    assert explorer.texts("#theme") == ["Auto"]


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("state", _STATES)
def test_no_page_is_wider_than_the_screen(explorer: Explorer, width: int, state: str) -> None:
    """From a phone's width on nothing has to be scrolled sideways, but for a picture in its frame."""
    explorer.page.set_viewport_size({"width": width, "height": 800})
    explorer.open(state)
    assert explorer.page.evaluate("document.documentElement.scrollWidth") <= width


def test_opened_as_a_file_it_says_that_it_needs_a_server(browser: Browser) -> None:
    """A browser loads no module from a file: the page names the command that serves it."""
    page = browser.new_page()
    page.goto((BUILT / "index.html").as_uri())
    assert "make docs-serve" in page.inner_text("#verdict")
    page.close()


def test_what_a_preset_stands_for_is_in_view(explorer: Explorer) -> None:
    """A title shows only under a mouse: of the preset in use it is written as well, and goes with it."""
    explorer.open("flags=NEWUSER&caller=user&lang=en")
    explorer.page.click("[data-preset=docker]")
    explorer.answered()
    assert "runc" in explorer.page.inner_text("#preset-hint")
    assert explorer.page.input_value("#caller") == "root"  # as Docker's daemon is
    explorer.page.check("#flag-NEWUSER")
    explorer.answered()
    assert explorer.page.inner_text("#preset-hint") == ""

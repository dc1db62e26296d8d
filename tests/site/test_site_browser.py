"""The built site as a reader sees it: from a server and from files, on a phone, in the dark."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

SITE = Path(__file__).parents[2] / "build" / "site"
PHONE = {"width": 390, "height": 844}
# It says so meanwhile, in the language of the page.
READY = (
    """!/^(Initializing|正在)/.test(document.querySelector(".md-search-result__meta").innerText)"""
)
PAGES = sorted(
    str(file.relative_to(SITE))
    for file in SITE.rglob("*.html")
    if file.relative_to(SITE).parts[0] not in {"zh", "explorer"}
)


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # its own name
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes elsewhere drops its connections."""


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    """The address of the site, on loopback."""
    if not (SITE / "index.html").exists():
        pytest.fail("build/site is not there: `make site-test` builds it")
    server = _Server(("127.0.0.1", 0), functools.partial(_Handler, directory=str(SITE)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    yield opened
    opened.close()


def search(page: Page, word: str) -> None:
    """Come back when a page with that word in its title is found, and not what half of it finds.

    The links have the words that were asked for: half of one finds the same title, before others.
    """
    page.locator(".md-search__input").click()
    page.wait_for_function(READY)
    page.keyboard.type(word)
    found = page.locator(f'.md-search-result__item a[href*="h={word}"]')
    found.locator("h1", has_text=word).first.wait_for()


@pytest.mark.parametrize("start", ["index.html", "zh/index.html"])
def test_the_search_works_from_a_server(page: Page, root: str, start: str) -> None:
    """A word of a page's title finds the page."""
    page.goto(root + start)
    search(page, "preexec_fn")


def test_the_search_works_from_files(page: Page) -> None:
    """The same without any server."""
    page.goto((SITE / "how_to" / "programs.html").as_uri())
    search(page, "preexec_fn")


@pytest.mark.parametrize("from_file", [False, True], ids=["server", "file"])
@pytest.mark.parametrize(
    "start", ["how_to/templates.html", "zh/how_to/templates.html", "zh/index.html"]
)
def test_the_search_finds_pages_of_its_language(
    page: Page, root: str, start: str, from_file: bool
) -> None:
    """All that is found is in the language of the page that asks, and what is found opens."""
    page.goto((SITE / start).as_uri() if from_file else root + start)
    search(page, "preexec_fn")
    found = page.locator(".md-search-result__item a")
    places = [
        urlsplit(link).path for link in found.evaluate_all("links => links.map(it => it.href)")
    ]
    assert len(places) > 3
    assert {"/zh/" in place for place in places} == {start.startswith("zh/")}
    found.first.click()
    page.wait_for_url("**/how_to/replace_preexec_fn.html*")
    assert ("/zh/" in page.url) == start.startswith("zh/")


def test_nothing_comes_from_another_host(page: Page, root: str) -> None:
    """All that pages load, the search included, is the site's, and the browser complains of nothing."""
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    for place in (
        "index.html",
        "zh/index.html",
        "reference/rules.html",
        "tutorial/one_lecture.html",
    ):
        page.goto(root + place)
        page.wait_for_load_state("networkidle")
    search(page, "deadline")
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}
    assert (hosts, complaints) == ({urlsplit(root).netloc}, [])


def test_no_page_is_wider_than_a_phone(page: Page, root: str) -> None:
    """What is wide scrolls within its own frame."""
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    page.route("**/search/*", lambda route: route.abort())  # each page would read the whole index
    assert len(PAGES) > 60
    wide = []
    for place in PAGES:
        page.goto(root + place)
        page.locator(".md-typeset h1").wait_for(state="attached")
        if page.evaluate("document.scrollingElement.scrollWidth") > PHONE["width"]:
            wide.append(place)
    assert wide == []


def test_pictures_follow_the_colours(page: Page, root: str) -> None:
    """Letters of a picture are dark in the light, and light in the dark."""
    brightness = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
        page.goto(root + "explanation/how_a_process_is_made.html")
        colour = page.locator(".picture text").first.evaluate("it => getComputedStyle(it).fill")
        brightness[scheme] = sum(
            int(float(part)) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]
        )
    assert brightness["light"] < brightness["dark"]
    assert page.locator(".picture svg").count() >= 4

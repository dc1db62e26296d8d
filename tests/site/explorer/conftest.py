"""The explorer as it is built, a server for it, and a page whose every complaint fails a test."""

import functools
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

TREE = Path(__file__).parents[3]
sys.path.insert(0, str(TREE / "website" / "explorer"))  # where its bridge to the law is
BUILT = TREE / "build" / "explorer"
_FIRST_ERROR = 400  # of the states of HTTP
# Python has to start in the browser, perhaps on a machine that does much else.
FIRST_ANSWER_MILLISECONDS = 60_000


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes elsewhere drops its connections."""


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """The address of the explorer, on loopback."""
    if not (BUILT / "index.html").exists():
        pytest.fail(
            "build/explorer is not there: `make site-test` makes it (build-aux/explorer.py)"
        )
    server = _Server(("127.0.0.1", 0), functools.partial(_Handler, directory=str(BUILT)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


class Explorer:
    """The explorer in a page of its own: where it is, and what it has answered."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)
        page.set_default_timeout(FIRST_ANSWER_MILLISECONDS)

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _failed(self, request: Request) -> None:
        self.complaints.append(f"failed: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= _FIRST_ERROR:
            self.complaints.append(f"{response.status} {response.url}")

    def open(self, state: str = "") -> None:
        """Go to a state; in the same page it is asked for without loading anything again."""
        if self.page.url.startswith(self.address):
            self.page.evaluate("state => { location.hash = state }", state)
        else:
            self.page.goto(f"{self.address}index.html#{state}")
        if state.startswith("play="):
            self.page.wait_for_selector("#play[data-shown]")
        else:
            self.answered()

    def answered(self) -> None:
        """Wait for the answer to what the page asks now."""
        self.page.wait_for_function(
            "document.documentElement.dataset.ready && "
            "document.getElementById('verdict').dataset.answered === location.hash"
        )

    def texts(self, selector: str) -> list[str]:
        """The text of each element, as it stands in the document."""
        return [text.strip() for text in self.page.locator(selector).all_text_contents()]


@pytest.fixture(scope="session")
def shared_page(browser: Browser, address: str) -> Iterator[Explorer]:
    """One page for all tests that change only its state: Python starts in it once."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-GB")
    explorer = Explorer(page, address)
    yield explorer
    page.close()


@pytest.fixture
def explorer(shared_page: Explorer) -> Iterator[Explorer]:
    """The explorer, without any flag, in English and light; complaints of the browser fail the test."""
    shared_page.complaints.clear()
    shared_page.page.set_viewport_size({"width": 1280, "height": 900})
    shared_page.page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    shared_page.open("flags=&kernel=7.2&lang=en")
    yield shared_page
    assert shared_page.complaints == []

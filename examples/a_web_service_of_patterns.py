"""A web service that runs each regular expression of its users with a deadline, in a process of its own."""

import json
import re
import threading
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import ramet

PATTERNS = [r"(\w+)@(\w+)", r"(a|a)*b", r"([a-z]+"]
TEXT = "a" * 40 + " me@home"


def search(pattern: str, text: str) -> list[str]:
    """The groups of the first match."""
    found = re.search(pattern, text)
    return list(found.groups()) if found else []


class Service(BaseHTTPRequestHandler):
    """GET /?pattern=...&text=... answers with the groups, or with what was wrong."""

    executor: ramet.Executor

    def do_GET(self) -> None:  # http.server asks for that name
        """Answer one request."""
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        answer: dict[str, Any]
        try:
            groups = self.executor.submit(search, query["pattern"], query["text"]).result()
            answer = {"groups": groups}
        except ramet.DeadlineExceeded:
            answer = {"error": "it takes too long"}
        except re.error as error:
            answer = {"error": str(error)}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def ask(port: int, pattern: str) -> Any:
    """What the service says of a pattern."""
    query = urllib.parse.urlencode({"pattern": pattern, "text": TEXT})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/?{query}") as answer:
        return json.load(answer)


def main() -> None:
    """Ask for a good one, one that never ends, and a wrong one, all at once."""
    with (
        ramet.Executor(2, preload=["re"], timeout=2) as Service.executor,
        ThreadingHTTPServer(("127.0.0.1", 0), Service) as server,
        ThreadPoolExecutor() as users,
    ):
        threading.Thread(target=server.serve_forever).start()
        answers = users.map(lambda pattern: ask(server.server_port, pattern), PATTERNS)
        for pattern, answer in zip(PATTERNS, answers, strict=True):
            print(pattern, answer)
        server.shutdown()


if __name__ == "__main__":
    main()

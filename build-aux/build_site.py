"""Builds the site into build/site, with the explorer in it, and follows every link.

`make docs` runs it. It fails with a warning of mkdocs, with a link that leads nowhere, and with one by
which a page would load something from another host.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "site"
EXPLORER = ROOT / "build-aux" / "explorer.py"
# Attributes by which a browser loads something, and those by which a reader goes on.
LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")}


class Links(HTMLParser):
    """The names of places in a page, what it links to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take what a tag has of them."""
        given = {name: value or "" for name, value in attrs}
        self.names |= {given[name] for name in ("id", "name") if given.get(name)}
        for name, value in given.items():
            if name not in {"href", "src"}:
                continue
            is_icon_or_style = tag != "link" or given.get("rel") not in {"canonical", "alternate"}
            (self.loads if (tag, name) in LOADED and is_icon_or_style else self.links).add(value)


def main() -> int:
    """Build it, check it, and say how large it is."""
    build()
    wrong = list(broken_links(SITE))
    for line in wrong:
        print(line, file=sys.stderr)
    size = sum(file.stat().st_size for file in SITE.rglob("*") if file.is_file())
    pages = len(list(SITE.rglob("*.html")))
    print(f"{SITE.relative_to(ROOT)}: {pages} pages, {size / 1e6:.1f} MB")
    return 1 if wrong else 0


def build() -> None:
    """The pages by mkdocs, and the explorer, if it is there."""
    told = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    mkdocs = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
    ]  # its --quiet takes no warning for one
    done = subprocess.run(
        mkdocs,
        cwd=ROOT,
        env=told,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        if line.strip() and not line.startswith("INFO"):
            print(line, file=sys.stderr)
    if done.returncode:
        raise SystemExit(done.returncode)
    # They are for the root of one host; the site does not know where it will be.
    for name in ("404.html", "sitemap.xml", "sitemap.xml.gz"):
        (SITE / name).unlink()
    if EXPLORER.exists():
        subprocess.run([sys.executable, str(EXPLORER)], cwd=ROOT, check=True)
        shutil.copytree(ROOT / "build" / "explorer", SITE / "explorer", dirs_exist_ok=True)


def broken_links(site: Path) -> Iterator[str]:
    """A line for each link, in a page of the site, to a file or a place in a page that is not there."""
    pages = {file: Links(file.read_text("utf-8")) for file in sorted(site.rglob("*.html"))}
    for file, page in pages.items():
        for link in sorted(page.links | page.loads):
            where = f"{file.relative_to(site)}: {link}"
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loads and parts.scheme != "data":
                    yield f"{where}: is loaded from another host"
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if target.is_dir():
                target /= "index.html"
            if not is_there(target, site):
                yield f"{where}: there is no such file"
            elif parts.fragment and target in pages and not has(pages[target], parts.fragment):
                yield f"{where}: there is no such place in the page"


def is_there(target: Path, site: Path) -> bool:
    """Whether the file is in the site; where the explorer is not built, it is taken for there."""
    if not EXPLORER.exists() and target.is_relative_to(site / "explorer"):
        return True
    return target.is_file() and target.is_relative_to(site)


def has(page: Links, place: str) -> bool:
    """Whether the page has the place; `__` begins those that the theme's script makes.

    One with `=` is no place: it is what the explorer is to show.
    """
    return unquote(place) in page.names or place.startswith("__") or "=" in place


if __name__ == "__main__":
    sys.exit(main())

"""Each language has a search of its own: its readers find its pages, and none in another.

The theme's script loads the index from the base of a page, and leads from there to what it has found. So
the base of a Chinese page is its language's folder, which has the index of the pages below it. A page that
is not translated is in both, each time where its reader is.
"""

import json
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority

BASE = re.compile(r'"base": "\.\./?')


def on_post_page(output: str, config: MkDocsConfig, **_: object) -> str:
    """Have the script of a page in a folder of its language begin there: from ../.. it comes to ./.."""
    if config.plugins["i18n"].is_default_language_build:
        return output
    return BASE.sub('"base": "./', output, count=1)


@event_priority(-150)  # after offline, of whose index this makes several
def on_post_build(config: MkDocsConfig) -> None:
    """Write the index of each language, as data and as the script that a page from a file may load."""
    i18n = config.plugins["i18n"]
    if i18n.building:  # one language, before all are together
        return
    index = json.loads(Path(config.site_dir, "search", "search_index.json").read_text("utf-8"))
    folders = {name: f"{name}/" for name in i18n.build_languages if name != i18n.default_language}
    parts: dict[str, list[dict[str, str]]] = {folder: [] for folder in ("", *folders.values())}
    for entry in index["docs"]:
        folder = folders.get(entry["location"].partition("/")[0], "")
        entry["location"] = entry["location"].removeprefix(folder)
        parts[folder].append(entry)
    for folder, docs in parts.items():
        text = json.dumps({**index, "docs": docs}, separators=(",", ":"))
        place = Path(config.site_dir, folder, "search")
        place.mkdir(exist_ok=True)
        (place / "search_index.json").write_text(text, "utf-8")
        (place / "search_index.js").write_text(f"var __index = {text}", "utf-8")

import re
import xml.etree.ElementTree as ET
from typing import Any, NamedTuple

import pytest

from ramet.flags import CloneFlag
from ramet.law import explain
from ramet.law.explanation import Explanation

SVG = "{http://www.w3.org/2000/svg}"
EVERY_NAMESPACE = "NEWNS|NEWUTS|NEWIPC|NEWUSER|NEWPID|NEWNET|NEWCGROUP|NEWTIME|SIGCHLD"
MANY_RULES = "THREAD|NEWUSER|NEWPID|FS|NEWNS|SIGHAND|CLEAR_SIGHAND|0xf000000000000000"
REQUESTS = [
    *("fork", "vfork", "pthread_create", "posix_spawn", "docker", EVERY_NAMESPACE, MANY_RULES),
    *("VM|VFORK|SIGVTALRM", "unshare(CLONE_NEWPID|CLONE_FS)", "setns(3, CLONE_NEWNET)"),
    str(CloneFlag((1 << 40) - 1)),
    "clone3({flags=CLONE_VM, set_tid=[%s]}, 88)" % ", ".join(map(str, range(1, 60))),
]


def explained(request: str, **options: Any) -> Explanation:
    return explain(request, kernel="6.18", **options)


def boxes(svg: str, kind: str) -> int:
    return len(re.findall(f'<rect class="{kind}"', svg))


def test_there_is_one_box_for_what_is_shared_and_two_for_what_is_not() -> None:
    """What is shared is one box, and what is not is two; the legend has one of each."""
    svg = explained("VM|FS|SIGCHLD").svg()
    ET.fromstring(svg)
    shares = explained("VM|FS|SIGCHLD").outcome.shares
    shown = {key: is_so for key, is_so in shares.items() if not key.endswith("_for_children")}
    assert boxes(svg, "shared") == sum(shown.values()) + 1
    assert boxes(svg, "apart") == 2 * list(shown.values()).count(False) + 1
    assert boxes(svg, "task") == 2


def test_memory_that_is_not_shared_is_shared_until_one_writes() -> None:
    """fork(2): copy-on-write. Descriptors, directories and handlers are copied at the call, memory is not."""
    svg = explained("fork").svg()
    assert boxes(svg, "until") == 2  # and the legend's
    assert ">memory: shared until one of the two writes<" in svg
    assert "memory: a copy" not in svg
    assert len(re.findall('class="arrow tip"', svg)) == 3 + 1
    for copied in ("descriptors", "directories, umask", "signal handlers"):
        assert f">{copied}: a copy<" in svg
    with_vm = explained("vfork").svg()
    assert boxes(with_vm, "until") == 0
    assert "pages shared until" not in with_vm


def test_where_children_go_is_drawn_when_it_is_elsewhere() -> None:
    """unshare(NEWPID) moves only the caller's children, which the drawing shows."""
    assert "pids of children: new" in explained("unshare(CLONE_NEWPID)").svg()
    assert "pids of children" not in explained("NEWPID").svg()


def test_a_refusal_is_drawn_without_a_child() -> None:
    """A refused request has its rules in boxes, and no tasks."""
    svg = explained("CLONE_THREAD|CLONE_NEWUSER").svg()
    ET.fromstring(svg)
    assert boxes(svg, "task") == 0
    assert boxes(svg, "refused") == 2


@pytest.mark.parametrize("name", ["fork", "vfork", "pthread_create", "posix_spawn", "docker"])
def test_the_word_that_was_asked_for_is_the_title(name: str) -> None:
    """Above the flags for which it stands; a request by its flags has no other name."""
    svg = explained(name).svg()
    assert re.search(f'class="title" text-anchor="start">{name}<', svg)
    assert f"<title>{name}: clone" in svg
    flags = explained(str(explained(name).outcome.request.flags)).svg()
    assert f">{name}<" not in flags


def test_all_flags_are_shown() -> None:
    """A long list is broken, never cut."""
    flags = CloneFlag((1 << 38) - 1) & ~CloneFlag(0xFF)
    svg = explained(str(flags)).svg()
    shown = "".join(re.findall(r'class="code"[^>]*>([^<]*)<', svg))
    assert str(flags) in shown


# ---- the two forms


def test_a_form_can_be_fixed() -> None:
    """Without a wish the viewer's preference decides; light and dark ask for none."""
    assert "@media (prefers-color-scheme: dark)" in explained("fork").svg()
    light, dark = (explained("fork").svg(theme) for theme in ("light", "dark"))  # type: ignore[arg-type]
    assert "@media" not in light + dark
    assert light != dark
    with pytest.raises(ValueError, match="invalid theme: expected auto, light or dark, got 'red'"):
        explained("fork").svg("red")  # type: ignore[arg-type]


def test_rules_hold_for_the_picture_alone() -> None:
    """A page may have pictures of each form beside each other: no rule and no name is the page's."""
    for theme in ("auto", "light", "dark"):
        svg = explained("docker").svg(theme)  # type: ignore[arg-type]
        style = svg[svg.index("<style>") + 7 : svg.index("</style>")]
        selectors = re.findall(r"([^{}]+)\{[^{]", style)
        assert selectors
        for selector in ",".join(selectors).split(","):
            assert selector.strip().startswith((f".ramet-{theme} ", "@media")), selector
        assert "id=" not in svg
        assert "url(" not in svg


def luminance(colour: str) -> float:
    """WCAG 2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2, contrast ratio."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


class Place(NamedTuple):
    """What a picture has at a place."""

    kind: str
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Place") -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, other: "Place") -> bool:
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


# DejaVu Sans, measured with a browser: the width of an average letter of each style, and its size.
LETTERS = {"": (8.0, 14), "small": (6.9, 12), "title": (11.6, 17), "red": (9.2, 14), "code": (7.85, 13)}
START = {"start": 0.0, "middle": 0.5}


def placed(svg: str) -> tuple[list[Place], list[Place]]:
    """The rectangles and the texts."""
    root = ET.fromstring(svg)
    rects, texts = [], []
    for rect in root.iter(f"{SVG}rect"):
        x, y, width, height = (float(rect.get(key, "0")) for key in ("x", "y", "width", "height"))
        rects.append(Place(rect.get("class", ""), x, y, x + width, y + height))
    for line in root.iter(f"{SVG}text"):
        letter, size = LETTERS[line.get("class", "")]
        width = letter * len(line.text or "")
        x = float(line.get("x", "0")) - width * START[line.get("text-anchor", "start")]
        y = float(line.get("y", "0"))
        texts.append(Place(line.get("class", ""), x, y - 0.8 * size, x + width, y + 0.2 * size))
    return rects, texts


@pytest.mark.parametrize("request_", REQUESTS, ids=range(len(REQUESTS)))
def test_nothing_overlaps(request_: str) -> None:
    """Each text is in the picture, over no other text, and wholly in a box or wholly outside."""
    rects, texts = placed(explained(request_).svg())
    assert texts
    for number, line in enumerate(texts):
        assert rects[0].holds(line), line
        assert not [other for other in texts[number + 1 :] if other.overlaps(line)], line
        for rect in rects:
            assert rect.holds(line) or not rect.overlaps(line), (rect, line)
    solid = rects[1:]
    for number, rect in enumerate(solid):
        assert not [other for other in solid[number + 1 :] if other.overlaps(rect)], rect


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("request_", ["fork", MANY_RULES], ids=["granted", "refused"])
def test_every_text_can_be_read(request_: str, theme: str) -> None:
    """The contrast of each text to what is behind it is 4.5 at least (WCAG 2.1, 1.4.3)."""
    svg = explained(request_).svg(theme)  # type: ignore[arg-type]
    fills = dict(re.findall(rf"\.ramet-{theme} \.?(\w+) {{ fill: (#\w+);", svg))
    rects, texts = placed(svg)
    for line in texts:
        behind = [rect.kind for rect in rects if rect.holds(line)][-1]
        ink = fills.get(line.kind, fills["text"])
        assert contrast(ink, fills[behind]) >= 4.5, (line, behind)


def test_a_name_cannot_break_the_picture() -> None:
    """Whatever is written in it is escaped, and what XML has no place for is replaced."""
    from ramet.law.svg import document, text

    svg = document("<a>&\x1b", [text(1, 2, "</text>\x00\ud800")], 10)
    assert ET.fromstring(svg)[0].text == "<a>&\ufffd"
    assert ET.fromstring(svg)[-1].text == "</text>\ufffd\ufffd"

"""What is where in an SVG picture, and whether it can be read."""

import xml.etree.ElementTree as ET
from typing import NamedTuple

SVG = "{http://www.w3.org/2000/svg}"


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
LETTERS = {
    "": (8.0, 14),
    "small": (6.9, 12),
    "note": (6.9, 12),
    "title": (11.6, 17),
    "red": (9.2, 14),
    "code": (7.85, 13),
}
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

"""A Chinese picture `picture.zh.svg` is the drawing of `picture.svg` beside it, with other words."""

import re
from pathlib import Path

import pytest

from .test_links import TREE

TRANSLATED = sorted((TREE / "docs").rglob("*.zh.svg"))
# Of <text>, of <title>, and the label.
WORDS = re.compile(r'(?<=>)[^<>]+(?=</t)|(?<=aria-label=")[^"]+')

each_picture = pytest.mark.parametrize(
    "picture", TRANSLATED, ids=lambda picture: str(picture.relative_to(TREE))
)


def original(picture: Path) -> Path:
    return picture.with_name(picture.name.replace(".zh.svg", ".svg"))


def test_there_are_pictures_in_chinese() -> None:
    """Some pictures are there in Chinese: else no test below looks at anything."""
    assert TRANSLATED


@each_picture
def test_only_the_words_differ(picture: Path) -> None:
    """Lines, boxes, their places and the number of texts are those of the English picture."""
    assert WORDS.sub("", picture.read_text()) == WORDS.sub("", original(picture).read_text())


@each_picture
def test_no_sentence_is_left_in_english(picture: Path) -> None:
    """Words of a picture are Chinese, but for names of the kernel's and of Python's."""
    texts = WORDS.findall(picture.read_text())
    assert len(texts) > 5
    assert [text for text in texts if re.search(r"(?:[A-Za-z]+ ){2}[A-Za-z]+", text)] == []

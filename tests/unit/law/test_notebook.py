import re
import xml.etree.ElementTree as ET

import pytest

from ramet.law import Explanation, Outcome, explain, predict
from ramet.law.notebook import picture_and_words, table

from ...flag_values import *

SHOWN = [
    explain("docker", kernel="6.18"),
    explain("CLONE_THREAD|CLONE_NEWUSER", kernel="6.18"),
    explain("unshare(CLONE_NEWNS) = -1 EPERM (Operation not permitted)", kernel="6.18"),
    predict(VM | FS, exit_signal=17, kernel="6.18"),
    predict(THREAD, kernel="2.6.11"),
    predict(1 << 50, kernel="6.18"),
]


@pytest.mark.parametrize("value", SHOWN, ids=range(len(SHOWN)))
def test_a_notebook_shows_a_picture_and_words(value: Explanation | Outcome) -> None:
    """Both forms are whole documents; the words are those of the explanation, open where it is refused."""
    assert ET.fromstring(value._repr_svg_()).tag == "{http://www.w3.org/2000/svg}svg"
    html = value._repr_html_()
    root = ET.fromstring(html)
    assert [child.tag.rpartition("}")[2] for child in root] == ["svg", "details"]
    outcome = value if isinstance(value, Outcome) else value.outcome
    assert ('open=""' in html) != outcome.granted
    words = "".join(root[1].itertext())
    assert ("refused" if outcome.errno else "granted") in words
    if isinstance(value, Explanation):
        assert words.endswith(str(value))


def test_an_outcome_is_shown_as_its_explanation() -> None:
    """The same picture as that of explain() for the same request."""
    outcome = predict(VM | FS, exit_signal=17, kernel="6.18")
    assert outcome._repr_svg_() == explain(VM | FS, exit_signal=17, kernel="6.18").svg()


def test_nothing_in_it_is_taken_for_markup() -> None:
    """Words, names and control characters are shown, and nothing else."""
    evil = "</pre><script>alert(1)</script>\x1b[2J\x00"
    for html in (picture_and_words("<svg/>", evil), table(evil, [(evil, evil)])):
        assert "<script" not in html
        assert ET.fromstring(html) is not None
        assert "\x1b" not in html


def test_it_has_no_colours_of_its_own() -> None:
    """Beside the picture, which has its own ground: the notebook may be light or dark."""
    html = explain("docker", kernel="6.18")._repr_html_()
    outside = re.sub(r"<svg.*</svg>", "", html, flags=re.DOTALL) + table("a", [("b", "c")])
    assert "color" not in outside
    assert "background" not in outside

"""What is said of a call that cannot be pickled."""

import sys

import pytest

from ramet._workers.pickling import pickled_call


def test_how_to_install_cloudpickle_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The note of the cause is in its words already."""
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    for fn, args in ((lambda: 1, ()), (str, (lambda: 1,))):
        with pytest.raises(TypeError) as refused:
            pickled_call(fn, args)
        assert str(refused.value).count("install ramet[workers]") == 1

import gc
from collections import Counter
from typing import Any

from ramet.observe.object_types import _objects


def ids(found: list[object]) -> Counter[int]:
    return Counter(id(one) for some in _objects(found) for one in some)


def test_each_object_is_found_once() -> None:
    """However many refer to it: a text of thousands of lists, and what all code has."""
    text = f"a text that only this test has, at {id(object())}"
    lists: list[Any] = [[text, None] for _ in range(5_000)]
    found = ids(gc.get_objects())
    assert found[id(text)] == found[id(None)] == found[id(lists[0])] == 1
    assert set(found.values()) == {1}


def test_what_the_collector_does_not_know_is_found_through_what_it_knows() -> None:
    """A tuple of texts alone, which needs no collection, and the texts in it."""
    text = f"another text, at {id(object())}"
    inner = (text,)
    holder = [inner]
    for _ in range(3):
        gc.collect()  # which lets go of a tuple that needs none
    assert not gc.is_tracked(inner)
    found = ids([holder])
    assert {id(one): 1 for one in (holder, inner, text)}.items() <= found.items()

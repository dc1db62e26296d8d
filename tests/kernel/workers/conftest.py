"""A template that many tests share: it loads once, and has no spares that come and go."""

from collections.abc import Iterator

import pytest

import ramet


@pytest.fixture(scope="module")
def shared() -> Iterator[ramet.Template]:
    """With numpy, and cloudpickle, by which lambdas come."""
    with ramet.Template(["numpy", "cloudpickle"], spares=0) as template:
        yield template

"""A template that many tests share: it loads once, and has no spares that come and go."""

from collections.abc import Iterator

import pytest

import ramet


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest) -> Iterator[ramet.Template]:
    """With numpy, cloudpickle, by which lambdas come, and the module of the tests.

    A call of a function of that module imports it otherwise, with pytest, each time.
    """
    preload = ["numpy", "cloudpickle", request.module.__name__]
    with ramet.Template(preload, spares=0) as template:
        yield template

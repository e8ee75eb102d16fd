"""A world of real namespaces for each test, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.netns.world import World, new_world, why_not


@pytest.fixture
def world() -> Iterator[World]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with new_world() as made:
        yield made

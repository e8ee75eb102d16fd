"""A world of real namespaces for each test, or the reason why there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.netns.packet_lab import PacketLab, new_packet_lab
from tests.netns.world import World, new_world, why_not


@pytest.fixture
def world() -> Iterator[World]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with new_world() as made:
        yield made


@pytest.fixture(scope="module")
def lab() -> Iterator[PacketLab]:
    """A node of its own for the rules of a module's tests, and packets that are sent through it."""
    reason = why_not() or (None if shutil.which("nft") else "not installed: nft")
    if reason is not None:
        pytest.skip(reason)
    with new_world() as made, new_packet_lab(made) as lab:
        yield lab

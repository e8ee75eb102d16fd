"""One machine for all tests of this folder; and the package's own client, of an API server that has nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fake.plugin import client, fake_api, kubeconfig, pki
from tests.machine.machine import Machine, booted, why_not

__all__ = ["client", "fake_api", "kubeconfig", "machine", "pki"]


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """Boot once: that takes longest."""
    yield from _boot()


@pytest.fixture(scope="module")
def own_machine() -> Iterator[Machine]:
    """Boot one for the tests of a file that leaves modules behind: what holds them is not always over with the test."""
    yield from _boot()


def _boot() -> Iterator[Machine]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with booted() as machine:
        yield machine

"""Connections without an answer where counts are not exact: a finding only if it holds whatever they really are."""

from __future__ import annotations

import pytest

from netinspect.analyze.address_book import build_address_book
from netinspect.analyze.conntrack.unreplied_syn import find_unreplied_syn, list_undecided
from netinspect.models.bounded_counts import BoundedCounts
from netinspect.models.flow_counts import FlowTally, Talk
from tests.unit.flow_world import STATE

BOOK = build_address_book(STATE)
TALK = Talk(("demo", "tools"), b"fd00:96::20", b"80")


def tally(
    waiting: tuple[int, int], established: tuple[int, int] | None, *, folded: tuple[int, int] = (0, 0)
) -> FlowTally:
    """Counts of one talk, each from least to most; and what a talk that is not kept has at most."""

    def counts(bounds: tuple[int, int] | None, most: int) -> BoundedCounts[Talk]:
        if bounds is None:
            return BoundedCounts(most={}, missed={}, folded=most)
        return BoundedCounts(most={TALK: bounds[1]}, missed={TALK: bounds[1] - bounds[0]}, folded=most)

    nothing: BoundedCounts[bytes] = BoundedCounts(most={}, missed={}, folded=0)
    return FlowTally(
        entries=0,
        counted=0,
        pods={},
        services={},
        peers=nothing,
        kinds=BoundedCounts(most={}, missed={}, folded=0),
        waiting=counts(waiting, folded[0]),
        established=counts(established, folded[1]),
    )


@pytest.mark.parametrize(
    ("given", "found", "undecided"),
    [
        (tally((20, 20), None), 1, 0),
        (tally((20, 25), (1, 2)), 1, 0),
        (tally((15, 25), None), 0, 1),
        (tally((15, 19), None), 0, 0),
        (tally((20, 20), None, folded=(0, 2)), 1, 0),
        (tally((20, 20), None, folded=(0, 3)), 0, 1),
        (tally((20, 20), (3, 3)), 0, 0),
        (tally((20, 30), (3, 3)), 0, 1),
        (tally((100, 100), None, folded=(20, 0)), 1, 1),
        (tally((100, 100), None, folded=(19, 0)), 1, 0),
    ],
)
def test_what_is_certain_is_a_finding_and_what_may_be_is_a_gap(
    given: FlowTally, found: int, undecided: int
) -> None:
    """And what cannot be is neither."""
    assert len(find_unreplied_syn("node-a", (given,), BOOK)) == found
    assert len(list(list_undecided("node-a", (given,)))) == undecided


def test_a_gap_says_of_whom_and_why() -> None:
    """With the bounds."""
    (gap,) = list_undecided("node-a", (tally((15, 25), (0, 1)),))
    assert gap.subject == "pod/demo/tools"
    assert "[fd00:96::20]:80" in gap.fact
    assert gap.detail.startswith("15 to 25 entries wait and 0 to 1 are established")
    assert list(list_undecided("node-a", (tally((15, 25), None),), {("demo", "other")})) == []


def test_the_places_asked_most_come_first() -> None:
    """Of both families."""
    other = tally((50, 50), None)
    findings = find_unreplied_syn("node-a", (tally((20, 20), None), other), BOOK)
    assert [finding.message.split()[0] for finding in findings] == ["50", "20"]

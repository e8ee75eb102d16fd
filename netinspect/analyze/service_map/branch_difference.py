"""What two branches of service maps do differently to the same packets."""

from __future__ import annotations

from collections.abc import Iterator

from netinspect.analyze.service_map.source_regions import SourceRegion
from netinspect.models.service_map import Backend, Branch, Outcome

_TOLERANCE = 1e-6
"""iptables keeps a probability in 31 bits and prints it rounded: products of some differ from the exact share."""


def find_differing(expected: Branch, seen: Branch, region: SourceRegion | None) -> tuple[str, ...]:
    """Return the names of what differs for packets of a region; empty where both do the same to them.

    Whether a packet that goes nowhere would be masqueraded is nobody's business, and where all are masqueraded,
    hairpin is. Where only the first branch is undecided, the second can do nothing wrong.

    Args:
        expected: what should happen.
        seen: what happens.
        region: where the packets come from; None for every source.
    """
    if expected.undecided and not seen.undecided:
        return ()
    found = [] if expected.undecided == seen.undecided else ["undecided"]
    if expected.outcome != seen.outcome:
        return ("outcome", *found)
    if expected.outcome is Outcome.BACKENDS:
        found = [*_differing_backends(expected, seen, region), *found]
    return tuple(found)


def _differing_backends(expected: Branch, seen: Branch, region: SourceRegion | None) -> Iterator[str]:
    if not _is_near(expected.lost, seen.lost):
        yield "lost"
    if expected.masquerade != seen.masquerade:
        yield "masquerade"
    if len(expected.backends) == len(seen.backends) and all(map(_is_same, expected.backends, seen.backends)):
        return
    left, right = (sorted(branch.backends, key=_place) for branch in (expected, seen))
    if list(map(_place, left)) != list(map(_place, right)):
        yield "backends"
        return
    pairs = list(zip(left, right, strict=True))
    if not all(_is_near(one.share, other.share) for one, other in pairs):
        yield "shares"
    if any(one.affinity_s != other.affinity_s for one, other in pairs):
        yield "affinity"
    if any(one.weight != other.weight for one, other in pairs):
        yield "weight"
    if any(one.forwarding != other.forwarding for one, other in pairs):
        yield "forwarding"
    if not (expected.masquerade and seen.masquerade) and any(
        _hairpin(one, region) != _hairpin(other, region) for one, other in pairs
    ):
        yield "hairpin"


def _is_same(one: Backend, other: Backend) -> bool:
    """Whether two backends are equal but for their rules, as almost all are."""
    return (
        one.address == other.address
        and one.port == other.port
        and _is_near(one.share, other.share)
        and one.masqueraded_from == other.masqueraded_from
        and one.affinity_s == other.affinity_s
        and one.weight == other.weight
        and one.forwarding == other.forwarding
    )


def _place(backend: Backend) -> tuple[int, int]:
    return int(backend.address), -1 if backend.port is None else backend.port


def _hairpin(backend: Backend, region: SourceRegion | None) -> frozenset[object]:
    sources = backend.masqueraded_from
    return frozenset(each for each in sources if region is None or region.holds(each))


def _is_near(one: float, other: float) -> bool:
    return abs(one - other) <= _TOLERANCE

"""Pods whose connections to some place get no answer at all: fault F22, `conntrack-unreplied-syn`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from netinspect.analyze.address_book import AddressBook
from netinspect.models.address import Address, parse_address, show_endpoint
from netinspect.models.address_owner import OwnerKind, show_owner
from netinspect.models.bounded_counts import Bounds
from netinspect.models.fact import Gap, Reason
from netinspect.models.finding import Evidence, Finding, Severity
from netinspect.models.flow_counts import FlowTally, ObjectName, Talk

ID = "conntrack-unreplied-syn"

LEAST = 20
"""Fewer connections that wait are nothing unusual."""

MOST_ESTABLISHED = 0.1
"""Where a larger part of a pod's connections to a place is established, that place answers."""

_NOT_JUDGED = "whether the pod is a scanner or a health checker, which tries places that need not answer"
_ADVICE = (
    "see where the packets end: a NetworkPolicy or firewall that drops, a backend that is gone, a route; "
    "the entries: kubectl netinspect conntrack list"
)


def find_unreplied_syn(
    node: str, tallies: Iterable[FlowTally], book: AddressBook, clients: Collection[ObjectName] | None = None
) -> tuple[Finding, ...]:
    """Find places that a pod asks over and over without an answer, the most asked first.

    The rule: at least 20 entries SYN_SENT [UNREPLIED] of one pod to one address and port, and of all its entries to it
    less than a tenth established. Where counts are not exact, it has to hold whatever they really are.

    Args:
        node: the node in whose table they are.
        tallies: of both families; what a filter left out of them must not part the connections to one place.
        book: names the places.
        clients: the pods all of whose connections were counted; None for all.
    """
    found = [
        (talk, waiting, tally.established.bounds(talk))
        for tally in tallies
        for talk, waiting in tally.waiting.items()
        if waiting.least >= LEAST and (clients is None or talk.client in clients)
    ]
    found = [each for each in found if _is_unanswered(each[1].least, each[2].most)]
    found.sort(key=lambda each: (-each[1].least, each[0]))
    return tuple(_build_finding(node, *each, book) for each in found)


def list_undecided(
    node: str, tallies: Iterable[FlowTally], clients: Collection[ObjectName] | None = None
) -> Iterator[Gap]:
    """Yield a gap for what could not be judged, as there were more places than are counted one by one.

    Args:
        node: the node in whose table they are.
        tallies: of both families.
        clients: the pods all of whose connections were counted; None for all.
    """
    for tally in tallies:
        if tally.waiting.folded >= LEAST:
            detail = f"they are too many to count one by one: one that is left out has {tally.waiting.folded} at most"
            yield Gap(
                f"node/{node}", "some groups of connections that wait for an answer", Reason.FAILED, detail
            )
        for talk, waiting in tally.waiting.items():
            established = tally.established.bounds(talk)
            may_be = waiting.most >= LEAST and _is_unanswered(waiting.most, established.least)
            must_be = waiting.least >= LEAST and _is_unanswered(waiting.least, established.most)
            if may_be and not must_be and (clients is None or talk.client in clients):
                yield _undecided(talk, waiting, established)


def _is_unanswered(waiting: int, established: int) -> bool:
    return established < MOST_ESTABLISHED * (waiting + established)


def _undecided(talk: Talk, waiting: Bounds, established: Bounds) -> Gap:
    place = show_endpoint(_address(talk), int(talk.dport))
    detail = (
        f"{_range(waiting)} entries wait and {_range(established)} are established: there are more places than "
        "are counted one by one"
    )
    return Gap(
        f"pod/{'/'.join(talk.client)}", f"whether its connections to {place} fail", Reason.FAILED, detail
    )


def _build_finding(node: str, talk: Talk, waiting: Bounds, established: Bounds, book: AddressBook) -> Finding:
    address, port = _address(talk), int(talk.dport)
    owner = book.destination(address, "tcp", port)
    name = "" if owner.kind is OwnerKind.EXTERNAL else f" ({show_owner(owner)})"
    namespace, pod = talk.client
    return Finding(
        id=ID,
        severity=Severity.HIGH,
        subject=f"pod/{namespace}/{pod}",
        node=node,
        message=(
            f"{_range(waiting)} TCP connections of the pod to {show_endpoint(address, port)}{name} wait for a first "
            f"answer, and {_range(established)} are established: what it asks there is not answered"
        ),
        evidence=(
            Evidence(
                source=f"conntrack -L -f ipv{address.version} on node {node}",
                text=(
                    f"{_range(waiting)} entries of the pod: tcp SYN_SENT dst={address} dport={port} [UNREPLIED]; "
                    f"{_range(established)} established or closing"
                ),
            ),
        ),
        advice=f"{_ADVICE} -n {namespace} {pod} --dst {address} --dport {port} --state SYN_SENT",
        not_judged=(_NOT_JUDGED,),
    )


def _address(talk: Talk) -> Address:
    return parse_address(talk.dst.decode())


def _range(bounds: Bounds) -> str:
    return str(bounds.least) if bounds.least == bounds.most else f"{bounds.least} to {bounds.most}"

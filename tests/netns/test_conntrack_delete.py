"""The printed command against the real tool and the real table: it deletes that entry, and no other."""

from __future__ import annotations

import shutil

import pytest

from netinspect.models.conntrack import Flow
from netinspect.parse.conntrack import parse_flows
from netinspect.probes.conntrack_delete import format_delete_command
from tests.netns.world import Netns, World

pytestmark = pytest.mark.netns

ADDRESSES = {
    "ipv6": ("fd00:244:1::5", "fd00:96::a", "fd00:244:2::7"),
    "ipv4": ("10.244.1.5", "10.96.0.10", "10.244.2.7"),
}
STATES = {
    "udp": (),
    "tcp": ("--state", "ESTABLISHED"),
    "sctp": ("--state", "ESTABLISHED", "--orig-vtag", "1", "--reply-vtag", "2"),
}
ZONES = ((), ("-w", "7"), ("-w", "8"))


@pytest.fixture
def table(world: World) -> Netns:
    """A table with an entry for each family, protocol and zone, and more that differ in one thing only."""
    if shutil.which("conntrack") is None:
        pytest.skip("conntrack is not installed")
    for family in ADDRESSES:
        for protocol in STATES:
            for zone in ZONES:
                insert(world.node, family, protocol, zone=zone)
            insert(world.node, family, protocol, sport=4243)
            insert(world.node, family, protocol, dport=54, back_dport=4244)
            # A zone of one direction only: the tuple of the other is in zone 0, where it has to be another's.
            insert(world.node, family, protocol, zone=("--orig-zone", "6"), back_dport=4245)
            insert(world.node, family, protocol, zone=("--reply-zone", "9"), sport=4246, back_dport=4242)
    return world.node


def insert(
    node: Netns,
    family: str,
    protocol: str,
    *,
    sport: int = 4242,
    dport: int = 53,
    back_dport: int | None = None,
    zone: tuple[str, ...] = (),
) -> None:
    src, dst, backend = ADDRESSES[family]
    ports = ("--sport", str(sport), "--dport", str(dport))
    back = ("--reply-port-src", "5353", "--reply-port-dst", str(back_dport or sport))
    node.enter(
        *("conntrack", "-I", "-p", protocol, "-s", src, "-d", dst, "-r", backend, "-q", src),
        *(*ports, *back, "-t", "600", "-u", "SEEN_REPLY,ASSURED", *STATES[protocol], *zone),
    )


def flows(node: Netns) -> dict[int | None, Flow]:
    return {
        each.id: each
        for family in ADDRESSES
        for each in parse_flows(node.enter("conntrack", "-L", "-f", family, "-o", "extended,id"))
    }


def test_each_entrys_command_deletes_that_entry_only(table: Netns) -> None:
    """Of both families, three protocols, with zones and without, however much another one resembles it."""
    left = flows(table)
    assert len(left) == len(ADDRESSES) * len(STATES) * 7
    assert all(flow.is_dnat for flow in left.values())
    for id_, flow in sorted(left.items()):
        table.enter(*format_delete_command(flow).split())
        left.pop(id_)
        assert flows(table).keys() == left.keys(), format_delete_command(flow)


def test_the_entry_that_came_in_its_place_is_not_deleted(table: Netns) -> None:
    """Once the client was led elsewhere, its first tuple is that of a live flow: the old command finds nothing."""
    old = next(
        each
        for each in flows(table).values()
        if (each.family, each.original.sport, each.original.dport, each.reply.dport)
        == ("ipv6", 4242, 53, 4242)
        and not (each.zone or each.original.zone or each.reply.zone)
    )
    command = format_delete_command(old).split()
    table.enter(*command)
    src, dst, _ = ADDRESSES["ipv6"]
    words = [old.protocol, "-s", src, "-d", dst, "-r", "fd00:244:2::9", "-q", src]
    first, back = old.original, old.reply
    ports = (first.sport, first.dport, back.sport, back.dport)
    names = ("--sport", "--dport", "--reply-port-src", "--reply-port-dst")
    for name, port in zip(names, ports, strict=True):
        words += [name, str(port)]
    table.enter("conntrack", "-I", "-p", *words, "-t", "600", "-u", "SEEN_REPLY", *STATES[old.protocol])
    before = flows(table).keys()
    with pytest.raises(RuntimeError, match="0 flow entries have been deleted"):
        table.enter(*command)
    assert flows(table).keys() == before

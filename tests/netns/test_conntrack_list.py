"""Flows of a real table by the real tool: what the node keeps back is never what was wanted."""

from __future__ import annotations

import ipaddress
import os
import shutil
from itertools import product

import pytest

from netinspect.models.address import parse_address
from netinspect.models.command import NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.models.flow_filter import FlowFilter
from netinspect.models.node_flows import NodeFlows
from netinspect.parse.frames import Sinks
from netinspect.probes.plan import Plan
from netinspect.usecases.conntrack_list import read_flows
from tests.netns.world import Netns, World
from tests.unit.probes.shells import Shell, run_plan
from tests.unit.usecases.fake_node import pour

pytestmark = pytest.mark.netns

# Addresses that begin, end, or go on like another; that are written in short; that embed one of the other family.
V4 = ("10.244.1.5", "10.244.1.50", "110.244.1.5", "10.96.0.10", "10.244.2.7")
V6 = ("fd00:244:1::5", "fd00:244:1::50", "fd00::", "fd00:0:0:1::1", "fd00:96::a", "fd00:244:2::7")
ODD = ("::ffff:10.244.1.5", "::10.244.1.5", "0:0:1::1:0:0")
PROTOCOLS = ("tcp", "udp")


class InNetns:
    """A node whose own netns is one of the test's."""

    node = "node-a"
    privilege = Privilege.NETADMIN

    def __init__(self, netns: Netns) -> None:
        self.within = ("nsenter", f"--net=/proc/{netns.pid}/ns/net", "--")

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        return pour(run_plan(Shell(("sh",), os.environ["PATH"]), plan, self.within), sinks or {})


@pytest.fixture
def table(world: World) -> InNetns:
    """A table with flows between all of them, in each place of the tuples."""
    if shutil.which("conntrack") is None:
        pytest.skip("conntrack is not installed")
    for own in (V4, V6, ODD):
        for number, (protocol, src) in enumerate(product(PROTOCOLS, own)):
            insert(
                world.node, protocol, src, own[(number + 1) % len(own)], own[(number + 2) % len(own)], number
            )
    return InNetns(world.node)


def insert(netns: Netns, protocol: str, src: str, dst: str, backend: str, number: int) -> None:
    state = ("--state", "ESTABLISHED") if protocol == "tcp" else ()
    netns.enter(
        *("conntrack", "-I", "-p", protocol, "-s", src, "-d", dst, "-r", backend, "-q", src, "-t", "600"),
        *("--sport", str(1000 + number), "--dport", "53", "--reply-port-src", "5353"),
        *("--reply-port-dst", str(1000 + number), "-u", "SEEN_REPLY,ASSURED", *state),
    )


def ids(table: NodeFlows) -> set[int | None]:
    (listing,) = table.listings
    assert listing.gaps("node-a") == ()
    return {flow.id for flow in listing.flows}


def test_every_address_is_found_wherever_it_stands_and_no_other(table: InNetns) -> None:
    """As many flows as the whole table has with that address; how many there are in all is counted by the tool."""
    whole = read_flows(table, FlowFilter())
    (listing,) = whole.listings
    count = len(PROTOCOLS) * (len(V4) + len(V6) + len(ODD))
    assert (len(listing.flows), listing.entries) == (count, count)
    for text in (*V4, *V6, *ODD):
        address = parse_address(text)
        expected = {
            flow.id
            for flow in listing.flows
            for one in (flow.original, flow.reply)
            if address in (one.src, one.dst)
        }
        found = read_flows(table, FlowFilter(addresses=frozenset((address,))))
        assert ids(found) == expected, text
        assert len(expected) == 3 * len(PROTOCOLS)
        assert found.listings[0].entries == count


def test_source_and_destination_are_those_of_the_original_tuple(table: InNetns) -> None:
    """Single addresses, by which the node narrows, and networks, by which it does not."""
    whole = read_flows(table, FlowFilter()).listings[0].flows
    for text in (*V4, *V6, *ODD, "10.244.0.0/16", "fd00::/16", "0.0.0.0/0"):
        network = ipaddress.ip_network(text)
        for end in ("src", "dst"):
            expected = {flow.id for flow in whole if getattr(flow.original, end) in network}
            wanted = FlowFilter(src=(network,)) if end == "src" else FlowFilter(dst=(network,))
            assert ids(read_flows(table, wanted)) == expected, (text, end)
            assert expected

"""Entries counted while they stream in: the same as one would count by hand, in constant memory."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from netinspect.analyze.address_book import AddressBook, build_address_book
from netinspect.analyze.conntrack.flow_counts import FlowCounter, FlowNames
from netinspect.analyze.conntrack.flow_filter import matches
from netinspect.models.address import Address, parse_address
from netinspect.models.address_owner import OwnerKind
from netinspect.models.bounded_counts import Bounds
from netinspect.models.conntrack import Flow
from netinspect.models.flow_counts import FlowTally, Kind, RoleCount, Talk
from netinspect.models.flow_filter import FlowFilter
from netinspect.models.flow_row import Column, FlowRow
from netinspect.models.link import Link, LinkAddress
from netinspect.parse.conntrack import parse_flow
from netinspect.parse.conntrack_scan import FlowScanner
from tests.unit.flow_world import (
    LINES,
    NEIGHBOUR_V4,
    NODE_PORT_V4,
    OFFLOADED_V6,
    PING_V6,
    STATE,
    TCP_V4,
    TCP_V6,
    UNREPLIED_V6,
)

BOOK = build_address_book(STATE)
TOOLS, WEB_1, WEB_2 = ("demo", "tools"), ("demo", "web-1"), ("demo", "web-2")
WEB = ("demo", "web")


def count(*lines: str, wanted: FlowFilter | None = None, book: AddressBook = BOOK) -> FlowTally:
    counter = FlowCounter(FlowNames(book), wanted)
    scanner = FlowScanner(counter.take)
    scanner.feed("".join(f"{line}\n" for line in lines).encode())
    return counter.tally()


def peers_of(tally: FlowTally) -> dict[bytes, Bounds]:
    return dict(tally.peers.items())


def exactly(number: int) -> Bounds:
    return Bounds(number, number)


def line(
    src: str,
    dst: str,
    reply_src: str = "",
    reply_dst: str = "",
    *,
    state: str = "ESTABLISHED",
    dport: int = 80,
    mark: str = "",
) -> str:
    """A TCP entry; without a reply tuple nothing is translated."""
    family = "ipv6     10" if ":" in src else "ipv4     2"
    return (
        f"{family} tcp      6 99 {state} src={src} dst={dst} sport=4000 dport={dport} {mark}"
        f"src={reply_src or dst} dst={reply_dst or src} sport={dport} dport=4000 mark=0 use=1 id=1"
    )


def test_both_ends_of_a_flow_through_a_service_are_counted() -> None:
    """In both families: the client, the backend, and the Service that was asked for; nobody is a peer."""
    tally = count(TCP_V6, TCP_V4)
    assert tally.pods == {TOOLS: RoleCount(2, 2, 0), WEB_2: RoleCount(2, 0, 2)}
    assert tally.services == {WEB: 2}
    assert peers_of(tally) == {}
    assert (tally.entries, tally.counted) == (2, 2)


def test_a_pod_that_reaches_itself_through_a_service_counts_once() -> None:
    """It is both client and backend of that one entry."""
    tally = count(line("fd00:244:1::5", "fd00:96::20", "fd00:244:1::5", "fd00:99::11"))
    assert tally.pods == {WEB_1: RoleCount(1, 1, 1)}


def test_a_pod_counts_wherever_its_address_stands() -> None:
    """Destination that is redirected elsewhere, and source in place of another."""
    tally = count(
        line("fd00:99::12", "fd00:244:1::5", "fd00:244:2::7"),
        line("fd00:99::12", "fd00:99::11", "", "fd00:244:1::3"),
    )
    assert tally.pods == {
        WEB_1: RoleCount(1, 0, 1),
        WEB_2: RoleCount(1, 0, 1),
        TOOLS: RoleCount(1, 1, 0),
    }


def test_a_node_port_is_its_service_also_at_an_address_of_the_nodes_links() -> None:
    """The API does not know the bridge's address: it comes from the node."""
    at_bridge = NODE_PORT_V4.replace("dst=10.99.0.11", "dst=10.244.1.1", 1)
    assert count(NODE_PORT_V4).services == {WEB: 1}
    assert count(at_bridge).services == {}
    assert peers_of(count(at_bridge)) == {b"10.244.1.1": exactly(1)}
    book = build_address_book(STATE, {"node-a": (bridge("10.244.1.1"),)})
    tally = count(at_bridge, book=book)
    assert tally.services == {WEB: 1}
    assert peers_of(tally) == {}


def bridge(address: str) -> Link:
    entry = LinkAddress(local=parse_address(address), prefixlen=24, scope="global")
    return Link(
        ifindex=3, ifname="cni0", link_type="ether", mtu=1500, operstate="UP", flags=(), addresses=(entry,)
    )


def test_a_service_is_that_of_the_original_destination_by_protocol() -> None:
    """Not that of a backend that speaks as such; and not of another protocol's port."""
    assert count(UNREPLIED_V6).services == {WEB: 1}
    assert count(PING_V6, line("fd00:244:2::7", "fd00:99::12", "fd00:96::20")).services == {}


def test_a_services_address_at_none_of_its_ports_counts_for_no_service() -> None:
    """Another port, another protocol, ICMP; in both families. The address is no peer either."""
    others = (
        line("fd00:244:1::3", "fd00:96::20", dport=9999),
        line("10.244.1.3", "10.96.0.20", dport=9999),
        TCP_V6.replace("tcp      6", "sctp     132"),
        PING_V6.replace("fd00:244:2::7", "fd00:96::20"),
    )
    tally = count(*others)
    assert (tally.counted, tally.services, peers_of(tally)) == (4, {}, {})
    assert count(*others, TCP_V6, TCP_V4).services == {WEB: 2}


def test_peers_are_addresses_that_the_api_does_not_know() -> None:
    """Each once an entry; no node, no hostNetwork pod's, no loopback; of a pod's range only where no pod has it."""
    tally = count(
        OFFLOADED_V6,
        NEIGHBOUR_V4,
        line("2001:db8::9", "2001:db8::9"),
        line("::1", "::1"),
        line("127.0.0.1", "127.0.0.53"),
        line("fd00:99::11", "fd00:99::12"),
    )
    assert peers_of(tally) == {
        b"2001:db8::1": exactly(1),
        b"2001:db8::9": exactly(1),
        b"93.184.216.34": exactly(1),
        b"10.244.1.50": exactly(1),
    }


def test_two_spellings_of_an_address_are_one() -> None:
    """Of a peer, of a pod, and of a place that does not answer."""
    mark = "[UNREPLIED] "
    tally = count(
        line("fd00:244:1::3", "2001:db8::1", state="SYN_SENT", mark=mark),
        line("fd00:244:0001:0::3", "2001:0db8:0::1", state="SYN_SENT", mark=mark),
    )
    assert peers_of(tally) == {b"2001:db8::1": exactly(2)}
    assert tally.pods == {TOOLS: RoleCount(2, 2, 0)}
    assert dict(tally.waiting.items()) == {Talk(TOOLS, b"2001:db8::1", b"80"): exactly(2)}


def test_connections_of_pods_are_parted_by_whether_they_were_answered() -> None:
    """A refusal (CLOSE) is neither; nor is what is no pod's."""
    to = ("fd00:244:1::3", "fd00:96::20")
    tally = count(
        line(*to, state="SYN_SENT", mark="[UNREPLIED] "),
        line(*to, state="SYN_SENT"),
        line(*to, state="CLOSE"),
        *(
            line(*to, state=state)
            for state in ("ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT")
        ),
        line("fd00:99::11", "fd00:96::20", state="SYN_SENT", mark="[UNREPLIED] "),
        line("2001:db8::1", "fd00:96::20", state="SYN_SENT", mark="[UNREPLIED] "),
        UNREPLIED_V6,
    )
    talk = Talk(TOOLS, b"fd00:96::20", b"80")
    assert dict(tally.waiting.items()) == {talk: exactly(1)}
    assert dict(tally.established.items()) == {talk: exactly(5)}


def test_a_filter_decides_what_counts_and_the_table_is_counted_all_the_same() -> None:
    """Shares are of the whole table."""
    tally = count(*LINES, wanted=FlowFilter(protocols=frozenset((58,))))
    assert (tally.entries, tally.counted) == (len(LINES), 1)
    assert tally.pods == {TOOLS: RoleCount(1, 1, 0), WEB_2: RoleCount(1, 0, 1)}
    assert dict(tally.kinds.items()) == {Kind(6, b"icmpv6", b"58", b"", b""): exactly(1)}


ADDRESSES = {
    4: (
        "10.244.1.3",
        "10.244.1.5",
        "10.244.2.7",
        "10.96.0.20",
        "10.99.0.11",
        "10.244.1.50",
        "192.0.2.1",
        "127.0.0.1",
    ),
    6: (
        "fd00:244:1::3",
        "fd00:244:1::5",
        "fd00:244:2::7",
        "fd00:96::20",
        "fd00:99::11",
        "2001:db8::1",
        "::1",
    ),
}


@st.composite
def entries(draw: st.DrawFn) -> str:
    """An entry between a few addresses, so that many are alike."""
    addresses = [draw(st.sampled_from(ADDRESSES[draw(st.shared(st.sampled_from((4, 6)), key="family"))]))]
    version = 6 if ":" in addresses[0] else 4
    addresses += [draw(st.sampled_from(ADDRESSES[version])) for _ in range(3)]
    state, mark = draw(st.sampled_from((("SYN_SENT", "[UNREPLIED] "), ("ESTABLISHED", ""), ("CLOSE", ""))))
    return line(*addresses, state=state, mark=mark, dport=draw(st.sampled_from((80, 30080, 81))))


def by_hand(flows: Iterable[Flow]) -> tuple[dict[object, RoleCount], dict[object, int], dict[bytes, Bounds]]:
    """Count pods, Services and peers flow by flow, with the book alone."""
    every, clients, backends = (Counter[object]() for _ in range(3))
    services: Counter[object] = Counter()
    peers: Counter[bytes] = Counter()
    for flow in flows:
        first, back = flow.original, flow.reply
        asks, asked = _pods(first.src, back.dst), _pods(first.dst, back.src)
        clients.update(asks)
        backends.update(asked)
        every.update(asks | asked)
        assert first.dport is not None
        owner = BOOK.ports.get((first.dst, flow.protocol, first.dport))
        if owner is None and (first.dst in BOOK.nodes or first.dst.is_loopback):
            owner = BOOK.node_ports.get((flow.protocol, first.dport))
        if owner is not None:
            services[owner.namespace, owner.name] += 1
        strangers = (OwnerKind.EXTERNAL, OwnerKind.GONE)
        peers.update(
            {
                str(address).encode()
                for address in (first.src, first.dst, back.src, back.dst)
                if BOOK.owner(address).kind in strangers
            }
        )
    pods = {pod: RoleCount(every[pod], clients[pod], backends[pod]) for pod in every}
    return pods, dict(services), {peer: exactly(number) for peer, number in peers.items()}


def _pods(*addresses: Address) -> set[object]:
    owners = (BOOK.owner(address) for address in addresses)
    return {(owner.namespace, owner.name) for owner in owners if owner.kind is OwnerKind.POD}


@given(st.lists(entries(), max_size=30), st.sampled_from((None, FlowFilter(dport=80))))
def test_counts_are_those_that_one_would_make_by_hand(lines: list[str], wanted: FlowFilter | None) -> None:
    """Pods with their roles, Services and peers, however entries are alike."""
    tally = count(*lines, wanted=wanted)
    flows = [flow for flow in map(parse_flow, lines) if wanted is None or matches(flow, wanted)]
    assert (tally.pods, tally.services, peers_of(tally)) == by_hand(flows)
    assert sum(bounds.least for _, bounds in tally.kinds.items()) == tally.counted == len(flows)


def test_more_peers_than_can_be_kept_are_counted_within_bounds() -> None:
    """The busy one is exact, pods and Services stay exact, and the result says that others are folded."""
    counter = FlowCounter(FlowNames(BOOK), kept=8)
    scanner = FlowScanner(counter.take)
    for number in range(1, 200):
        for peer in ("2001:db8::1", f"2001:db8:1::{number:x}"):
            scanner.feed(f"{line(peer, 'fd00:96::20', 'fd00:244:2::7')}\n".encode())
        tally = counter.tally()
        assert len(tally.peers.most) <= 16
    assert tally.peers.bounds(b"2001:db8::1") == exactly(199)
    assert 0 < tally.peers.folded <= 398 / 9
    assert all(tally.peers.bounds(f"2001:db8:1::{number:x}".encode()).most >= 1 for number in range(1, 200))
    assert tally.pods == {WEB_2: RoleCount(398, 0, 398)}
    assert tally.services == {WEB: 398}


def _make_rows(places: range) -> list[FlowRow]:
    """Entries of which no two are alike, each of another port, nearly each of another peer."""
    rows: list[FlowRow] = []
    scanner = FlowScanner(rows.extend)
    for each in (line("2001:db8::1", "fd00:99::11"), line("198.51.100.1", "10.99.0.11")):
        scanner.feed(f"{each}\n".encode())
    ipv6, ipv4 = map(list, rows)
    made = []
    for place in places:
        row = list(ipv4 if place % 10 else ipv6)
        peer = b"198.%d.%d.%d" % (place >> 16, place >> 8 & 255, place & 255)
        row[Column.SRC] = row[Column.REPLY_DST] = peer if place % 10 else b"2001:db8::%x" % (place % 5000)
        row[Column.DPORT] = row[Column.REPLY_SPORT] = b"%d" % (place & 0xFFFF)
        made.append(tuple(row))
    return made


def _peak_of(size: int) -> int:
    """The most memory that it takes to count so many entries."""
    counter = FlowCounter(FlowNames(BOOK), kept=1024)
    tracemalloc.start()
    try:
        for start in range(0, size, 1000):
            counter.take(_make_rows(range(start, start + 1000)))
        assert counter.tally().entries == size
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_table() -> None:
    """Ten times the entries, of which no two are alike, take no more."""
    assert _peak_of(200_000) < 1.5 * _peak_of(20_000)

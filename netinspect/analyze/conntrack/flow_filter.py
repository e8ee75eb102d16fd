"""Whether a flow is meant. This decides; what a node filters beforehand only narrows what travels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from netinspect.models.address import Address, address_key, parse_address
from netinspect.models.conntrack import Flow
from netinspect.models.flow_filter import FlowFilter, Network
from netinspect.models.flow_row import Column, FlowRow, RowTest

_POSITIONS = (Column.SRC, Column.DST, Column.REPLY_SRC, Column.REPLY_DST)
_MAX_KNOWN = 65536


def matches(flow: Flow, wanted: FlowFilter) -> bool:
    """Whether a flow meets all conditions of a filter.

    What a flow does not have meets no condition on it. A mark that is not printed is 0: events leave that out.
    """
    first, back = flow.original, flow.reply
    if wanted.addresses and not wanted.addresses.intersection((first.src, first.dst, back.src, back.dst)):
        return False
    if wanted.protocols and flow.protocol_number not in wanted.protocols:
        return False
    if wanted.sport is not None and first.sport != wanted.sport:
        return False
    if wanted.dport is not None and first.dport != wanted.dport:
        return False
    return (
        is_within(first.src, wanted.src)
        and is_within(first.dst, wanted.dst)
        and (not wanted.states or not wanted.states.isdisjoint(states_of(flow)))
        and (wanted.zone is None or wanted.zone in _zones(flow))
        and (wanted.mark is None or (flow.mark or 0) & wanted.mark_mask == wanted.mark & wanted.mark_mask)
    )


def build_row_test(wanted: FlowFilter) -> RowTest | None:
    """Build a quick test on a line's columns that turns away no flow for which `matches` holds; None lets all pass.

    Zones are left to `matches`: those of one direction are in no column.
    """
    tests = [
        *_number_tests(wanted),
        *_address_tests(wanted),
        *([_has_state(wanted.states)] if wanted.states else []),
    ]
    if not tests:
        return None
    return lambda row: all(test(row) for test in tests)


def narrowing_addresses(wanted: FlowFilter) -> tuple[Address, ...]:
    """Return addresses of which each flow that is meant has one; none where there is no such condition."""
    hosts = [
        tuple(each.network_address for each in networks)
        for networks in (wanted.src, wanted.dst)
        if networks and all(each.prefixlen == each.max_prefixlen for each in networks)
    ]
    choices = [tuple(sorted(wanted.addresses, key=address_key))] if wanted.addresses else []
    return min([*choices, *hosts], key=len, default=())


def select_flows(flows: Iterable[Flow], wanted: FlowFilter) -> Iterator[Flow]:
    """Yield the flows that are meant, in their order."""
    return (flow for flow in flows if matches(flow, wanted))


def is_within(address: Address, networks: tuple[Network, ...]) -> bool:
    """Whether an address is in one of the networks; no network is no condition."""
    return not networks or any(address.version == each.version and address in each for each in networks)


def states_of(flow: Flow) -> Iterator[str]:
    """Yield all that `--state` knows a flow by."""
    if flow.state is not None:
        yield flow.state
    if flow.unreplied:
        yield "UNREPLIED"
    if flow.assured:
        yield "ASSURED"
    if flow.offload is not None:
        yield flow.offload.value
        yield "OFFLOAD"


def _zones(flow: Flow) -> tuple[int | None, ...]:
    """Return the zones of a flow: a zone of one direction stands in its tuple (`zone-orig=`, `zone-reply=`)."""
    own = (flow.original.zone, flow.reply.zone)
    return own if any(own) else (flow.zone,)


def _number_tests(wanted: FlowFilter) -> list[RowTest]:
    tests: list[RowTest] = []
    if wanted.protocols:
        protocols = wanted.protocols
        tests.append(lambda row: int(row[Column.PROTOCOL_NUMBER]) in protocols)
    for column, port in ((Column.SPORT, wanted.sport), (Column.DPORT, wanted.dport)):
        if port is not None:
            tests.append(_has_number(column, port))
    if wanted.mark is not None:
        mark, mask = wanted.mark & wanted.mark_mask, wanted.mark_mask
        tests.append(lambda row: int(row[Column.MARK] or b"0") & mask == mark)
    return tests


def _address_tests(wanted: FlowFilter) -> list[RowTest]:
    tests: list[RowTest] = []
    if wanted.addresses:
        is_one = _cached(lambda address: address in wanted.addresses)
        tests.append(lambda row: any(is_one(row[column]) for column in _POSITIONS))
    for column, networks in ((Column.SRC, wanted.src), (Column.DST, wanted.dst)):
        if networks:
            tests.append(_is_within(column, networks))
    return tests


def _has_number(column: Column, number: int) -> RowTest:
    return lambda row: bool(row[column]) and int(row[column]) == number


def _has_state(states: frozenset[str]) -> RowTest:
    wanted = {each.encode() for each in states}
    is_unreplied, is_offload = b"UNREPLIED" in wanted, b"OFFLOAD" in wanted

    def test(row: FlowRow) -> bool:
        status = row[Column.STATUS]
        return (
            row[Column.STATE] in wanted
            or status in wanted
            or (is_unreplied and bool(row[Column.UNREPLIED]))
            or (is_offload and status.endswith(b"OFFLOAD"))
        )

    return test


def _is_within(column: Column, networks: tuple[Network, ...]) -> RowTest:
    test = _cached(lambda address: is_within(address, networks))
    return lambda row: test(row[column])


def _cached(test: Callable[[Address], bool]) -> Callable[[bytes], bool]:
    """Test an address as the tool spells it, each once. What is none may be anything: its line will be read in full."""
    known: dict[bytes, bool] = {}

    def cached(text: bytes) -> bool:
        answer = known.get(text)
        if answer is None:
            if len(known) > _MAX_KNOWN:
                known.clear()
            try:
                answer = test(parse_address(text.decode()))
            except ValueError:
                answer = True
            known[text] = answer
        return answer

    return cached

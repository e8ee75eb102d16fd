"""A node's connection tracking table: kept are the flows that are wanted, while the listing streams in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netinspect.collect.facts import read_fact
from netinspect.errors import ParseError
from netinspect.models.command import CommandResult
from netinspect.models.conntrack import Flow
from netinspect.models.fact import Fact, Known, Reason, Unavailable
from netinspect.models.flow_row import RowTest
from netinspect.models.node_flows import FlowListing, NodeFlows, UnreadLines
from netinspect.parse.conntrack import parse_flow
from netinspect.parse.conntrack_scan import read_row
from netinspect.parse.conntrack_shown import parse_entries_shown
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.probes.catalog import LINKS
from netinspect.probes.conntrack import FLOWS_IPV4, FLOWS_IPV6
from netinspect.probes.plan import NODE, Plan
from netinspect.sources.interface import NodeSource

_SOURCE = "conntrack -L"
_MAX_LINE = 4096
_SHOWN_WIDTH = 200


def collect_flows(
    source: NodeSource,
    plan: Plan,
    wanted: Callable[[Flow], bool],
    suffixes: Sequence[str] = ("",),
    *,
    may_want: RowTest | None = None,
) -> NodeFlows:
    """Make one trip to a node and keep the flows that are wanted.

    Args:
        source: the node.
        plan: of `probes.conntrack`: lists flows once for each suffix.
        wanted: decides on a flow. All that do not interest are gone before the next line comes.
        suffixes: of the names of the probes that list flows, one a sample.
        may_want: says of a line's columns whether `wanted` could say yes: most flows are then never built.

    Raises:
        CommandError: the node side did not start.
        ParseError: its stream is broken.
        ClusterError: the connection failed before anything came.
    """
    names = [f"{probe.name}{suffix}" for suffix in suffixes for probe in (FLOWS_IPV4, FLOWS_IPV6)]
    sinks = {name: FlowSelector(wanted, may_want) for name in names}
    answer = source.run(plan, {(NODE, name): sink.feed for name, sink in sinks.items()})
    results = {result.name: result for result in answer.results if result.key == NODE}
    return NodeFlows(
        node=source.node,
        links=read_fact(results.get(LINKS.name), parse_ip_addr),
        listings=tuple(_read_listing(suffix, results, sinks) for suffix in suffixes),
        is_whole=answer.is_whole,
    )


class FlowSelector:
    """Takes a listing in pieces, cut anywhere, and keeps the flows that are wanted.

    Attributes:
        flows: those so far.
        entries: lines so far.
        unread: how many of them are no flow.
        error: the first of these; None while all are flows.
    """

    def __init__(self, wanted: Callable[[Flow], bool], may_want: RowTest | None = None) -> None:
        self._wanted = wanted
        self._may_want = may_want
        self._rest = b""
        self.flows: list[Flow] = []
        self.entries = 0
        self.unread = 0
        self.error: ParseError | None = None

    def feed(self, piece: bytes) -> None:
        """Take the next piece."""
        *lines, rest = (self._rest + piece).split(b"\n")
        # What is longer than any line of the tool is none, whatever it ends with: it must not fill the memory.
        self._rest = rest[: _MAX_LINE + 1]
        for line in lines:
            if line:
                self._take(line)

    def read(self) -> tuple[Flow, ...]:
        """Return the flows of a listing that is whole, without the lines that are none.

        Raises:
            ParseError: no line is a flow, or the last one lacks its end.
        """
        if self._rest:
            last = self._rest[:_SHOWN_WIDTH].decode("utf-8", "backslashreplace")
            raise ParseError("the output ends within a line", source=_SOURCE, line=last)
        if self.error is not None and self.unread == self.entries:
            raise self.error
        return tuple(self.flows)

    def _take(self, line: bytes) -> None:
        self.entries += 1
        if self._may_want is not None:
            row = read_row(line)
            # A line of another form than nearly all have is read in full: it may be no flow at all, which has to show.
            if row is not None and not self._may_want(row):
                return
        try:
            flow = _parse(line)
        except ParseError as error:
            self.unread += 1
            self.error = self.error or error
            return
        if self._wanted(flow):
            self.flows.append(flow)


def _parse(line: bytes) -> Flow:
    if len(line) > _MAX_LINE:
        shown = line[:_SHOWN_WIDTH].decode("utf-8", "backslashreplace")
        raise ParseError("a line without end", source=_SOURCE, line=shown)
    return parse_flow(line.decode("utf-8", "backslashreplace"))


def _read_listing(
    suffix: str, results: dict[str, CommandResult], sinks: dict[str, FlowSelector]
) -> FlowListing:
    ipv4, ipv6 = (f"{probe.name}{suffix}" for probe in (FLOWS_IPV4, FLOWS_IPV6))
    facts = {name: _read_flows(results.get(name), sinks[name]) for name in (ipv4, ipv6)}
    return FlowListing(
        ipv4=facts[ipv4],
        ipv6=facts[ipv6],
        start_s=_start_of(results.get(ipv4)),
        entries=_entries_of(results.get(ipv4), results.get(ipv6)),
        unread=tuple(
            UnreadLines(family=family, count=sinks[name].unread, first=str(sinks[name].error))
            for family, name in (("IPv4", ipv4), ("IPv6", ipv6))
            if sinks[name].unread and isinstance(facts[name], Known)
        ),
    )


def _read_flows(result: CommandResult | None, sink: FlowSelector) -> Fact[tuple[Flow, ...]]:
    outcome = read_fact(result, bytes)
    if isinstance(outcome, Unavailable):
        return outcome
    try:
        return Known(sink.read())
    except ParseError as error:
        return Unavailable(Reason.UNPARSABLE, str(error))


def _entries_of(*results: CommandResult | None) -> int | None:
    """Add up what the tool says to have shown: lines that a filter on the node keeps back are counted there."""
    counts = [None if result is None else parse_entries_shown(result.stderr) for result in results]
    return None if None in counts else sum(count or 0 for count in counts)


def _start_of(result: CommandResult | None) -> float:
    return result.start_s if result is not None else 0.0

"""A node's connection tracking table, counted while the listing streams in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from msgspec.structs import replace

from netinspect.analyze.conntrack.flow_counts import FlowCounter, FlowNames
from netinspect.collect.facts import read_fact
from netinspect.errors import ParseError
from netinspect.models.command import CommandResult
from netinspect.models.fact import Fact, Known, Reason, Unavailable
from netinspect.models.flow_counts import FlowSample, FlowTally, NodeCounts
from netinspect.models.flow_filter import FlowFilter
from netinspect.models.flow_row import FlowRow
from netinspect.models.link import Link
from netinspect.parse.conntrack_limit import parse_sysctls
from netinspect.parse.conntrack_scan import FlowScanner
from netinspect.parse.conntrack_shown import parse_entries_shown
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.probes.catalog import LINKS
from netinspect.probes.conntrack import FLOWS_IPV4, FLOWS_IPV6, LIMITS
from netinspect.probes.conntrack_top import is_whole_table
from netinspect.probes.plan import NODE, Plan
from netinspect.sources.interface import NodeSource

_SOURCE = "conntrack -L"


def collect_flow_counts(
    source: NodeSource,
    plan: Plan,
    name_flows: Callable[[tuple[Link, ...]], FlowNames],
    wanted: FlowFilter | None = None,
    suffixes: Sequence[str] = ("",),
) -> NodeCounts:
    """Make one trip to a node and count the flows that are wanted.

    Args:
        source: the node.
        plan: of `probes.conntrack_top`: the links first, then listings, one for each suffix.
        name_flows: gives names, once the node's own links are known.
        wanted: which flows count; None for all.
        suffixes: of the names of the probes that list flows, one a sample.

    Raises:
        CommandError: the node side did not start.
        ParseError: its stream is broken.
        ClusterError: the connection failed before anything came.
    """
    links: list[bytes] = []
    # The plan asks for the links before it asks for flows, and answers come in the plan's order.
    names = cache(lambda: name_flows(_read_links(b"".join(links))))
    listings = {
        f"{probe.name}{suffix}": _Listing(names, wanted, is_narrowed=not is_whole_table(plan))
        for suffix in suffixes
        for probe in (FLOWS_IPV4, FLOWS_IPV6)
    }
    sinks = {(NODE, name): listing.scanner.feed for name, listing in listings.items()}
    answer = source.run(plan, {(NODE, LINKS.name): links.append, **sinks})
    results = {result.name: result for result in answer.results if result.key == NODE}

    def read(name: str) -> Fact[FlowTally]:
        return listings[name].read(results.get(name))

    return NodeCounts(
        node=source.node,
        links=read_fact(_with_stdout(results.get(LINKS.name), b"".join(links)), parse_ip_addr),
        size=read_fact(results.get(LIMITS.name), parse_sysctls),
        samples=tuple(
            FlowSample(
                ipv4=read(f"{FLOWS_IPV4.name}{suffix}"),
                ipv6=read(f"{FLOWS_IPV6.name}{suffix}"),
                start_s=_start_of(results.get(f"{FLOWS_IPV4.name}{suffix}")),
            )
            for suffix in suffixes
        ),
        is_whole=answer.is_whole,
    )


class _Listing:
    """One listing of one family, on its way."""

    def __init__(
        self, names: Callable[[], FlowNames], wanted: FlowFilter | None, *, is_narrowed: bool
    ) -> None:
        self.scanner = FlowScanner(self._take)
        self._names = names
        self._wanted = wanted
        self._is_narrowed = is_narrowed
        self._counter: FlowCounter | None = None

    def read(self, result: CommandResult | None) -> Fact[FlowTally]:
        """Return what was counted, if the listing turned out to be whole."""
        outcome = read_fact(result, bytes)
        if isinstance(outcome, Unavailable):
            return outcome
        assert result is not None  # read_fact knows nothing of what did not come
        scanner = self.scanner
        if not scanner.close():
            return Unavailable(Reason.UNPARSABLE, f"{_SOURCE}: the output ends within a line")
        shown, lines = parse_entries_shown(result.stderr), scanner.entries + scanner.unread
        if not self._is_narrowed and shown is not None and shown != lines:
            return Unavailable(
                Reason.TRUNCATED, f"{_SOURCE} says to have shown {shown} entries, and {lines} came"
            )
        tally = self._get_counter().tally()
        if not self._is_narrowed:
            shown = lines
        return Known(replace(tally, shown=shown, unread=scanner.unread, unread_lines=scanner.unread_lines))

    def _take(self, rows: list[FlowRow]) -> None:
        self._get_counter().take(rows)

    def _get_counter(self) -> FlowCounter:
        if self._counter is None:
            self._counter = FlowCounter(self._names(), self._wanted)
        return self._counter


def _read_links(stdout: bytes) -> tuple[Link, ...]:
    """Read the links for their names; that they could not be read is said by the fact that comes of them."""
    try:
        return tuple(parse_ip_addr(stdout))
    except ParseError:
        return ()


def _with_stdout(result: CommandResult | None, stdout: bytes) -> CommandResult | None:
    return None if result is None else replace(result, stdout=stdout)


def _start_of(result: CommandResult | None) -> float:
    return result.start_s if result is not None else 0.0

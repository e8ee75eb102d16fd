"""What to ask a node about events of connection tracking.

`conntrack -E` only listens: it opens a netlink socket and changes nothing. Without -f it shows events of both families
(seen with 1.4.7): there is one stream, in the kernel's order.
"""

from __future__ import annotations

from collections.abc import Iterable

from netinspect.models.conntrack import FlowEventType
from netinspect.models.flow_filter import FlowFilter, Network
from netinspect.probes.catalog import LINKS
from netinspect.probes.plan import Plan, Probe

_EVENTS_FILE = "/proc/sys/net/netfilter/nf_conntrack_events"

EVENTS_MODE = Probe("events-mode", ("grep", "-H", "", _EVENTS_FILE))
"""Which flows send events in this netns: 0 none, 1 all, 2 those that begin while somebody listens."""

WATCH_PLAN = Plan((LINKS, EVENTS_MODE))
"""What is worth knowing before events come; the links bear addresses that the API does not know."""

_BUFFER = str(8 << 20)
"""Bytes of the socket's buffer (the kernel doubles them): some two thousand events may come at once."""

_NARROWED = {6: "tcp", 17: "udp"}
"""Protocols that every version of the tool knows by these names and compares by their number alone."""


def build_watch_probe(
    timeout_s: int, types: Iterable[FlowEventType] = (), wanted: FlowFilter | None = None
) -> Probe:
    """Listen to events, live.

    Args:
        timeout_s: whole seconds after which the node ends it.
        types: what is to be told of; none means all.
        wanted: the flows that are meant. It narrows what travels where the tool's own filter is exact: one protocol,
            one source, one destination. The tool knows no alternatives.
    """
    chosen = ",".join(dict.fromkeys(each.value for each in types)) or ",".join(FlowEventType)
    argv = ("conntrack", "-E", "-o", "extended,id,timestamp", "-b", _BUFFER, "-e", chosen)
    return Probe("flow-events", (*argv, *_narrow(wanted or FlowFilter())), timeout_s, is_conntrack=True)


def _narrow(wanted: FlowFilter) -> Iterable[str]:
    if len(wanted.protocols) == 1 and (name := _NARROWED.get(next(iter(wanted.protocols)))):
        yield from ("-p", name)
    for flag, networks in (("-s", wanted.src), ("-d", wanted.dst)):
        if len(networks) == 1 and _is_host(networks[0]):
            yield from (flag, str(networks[0].network_address))


def _is_host(network: Network) -> bool:
    return network.prefixlen == network.max_prefixlen

"""What happens to flows while somebody looks."""

from __future__ import annotations

from datetime import datetime

import msgspec

from netinspect.models.conntrack import FlowEventType
from netinspect.models.debug_pod import Privilege
from netinspect.models.fact import Fact
from netinspect.models.flow_filter import FlowFilter
from netinspect.models.link import Link
from netinspect.models.named_flow import NamedFlow


class NamedFlowEvent(NamedFlow, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An event of a node's table, with the flow as it is after that.

    Attributes:
        event: what happened to the flow.
        time: when, by the node's clock; None where it is not told.
    """

    event: FlowEventType
    time: datetime | None = None


class NodeWatch(msgspec.Struct, frozen=True, kw_only=True):
    """Which events of a node are meant.

    Attributes:
        node: its name.
        wanted: the flows that are meant.
        types: the events that are meant; none means all.
    """

    node: str
    wanted: FlowFilter
    types: tuple[FlowEventType, ...] = ()


class WatchSetting(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a node when its events begin to come.

    Attributes:
        node: its name.
        privilege: what may be seen there.
        links: the links of its own netns, whose addresses are the node's.
        events_mode: nf_conntrack_events: 0 no event is sent, 1 all are, 2 those of flows that began while somebody
            listened.
    """

    node: str
    privilege: Privilege
    links: Fact[tuple[Link, ...]]
    events_mode: Fact[int]

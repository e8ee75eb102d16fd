"""Flows whose packets go to what is no endpoint of their Service any more."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from netinspect.models.address import Address
from netinspect.models.conntrack import Flow
from netinspect.models.conntrack_limit import ConntrackSysctls
from netinspect.models.fact import Fact
from netinspect.models.named_flow import NamedFlow
from netinspect.models.node_flows import NodeFlows


class StaleStatus(StrEnum):
    """What is known of a flow that leads to no live endpoint.

    SENDS: packets still go there, and (TCP) nothing answers: a finding. QUIET: no packet was seen to go there; it ends
    by itself. ANSWERED: a connection that still has its answers, as by design connections outlive their endpoint.
    CLOSING: a connection that was closed, whose entry ends by itself within minutes.
    YOUNG: the API changed so short a time ago that the node's rules may not have followed. NO_ENDPOINTS: the Service
    has no endpoint of this family that could take its place, and kube-proxy leaves such flows alone. NOT_JUDGED:
    something stood in the way; the reason says what.
    """

    SENDS = "sends"
    QUIET = "quiet"
    ANSWERED = "answered"
    CLOSING = "closing"
    YOUNG = "young"
    NO_ENDPOINTS = "no-endpoints"
    NOT_JUDGED = "not-judged"


class FlowSamples(msgspec.Struct, frozen=True, kw_only=True):
    """What one trip to a node brought.

    Attributes:
        flows: the node's table, listed twice: the flows that were stale by what the API said before.
        timers: the node's sysctls, among them the idle times of protocols and states.
        seen: how many translated flows of Services, or to pods, both listings together had.
    """

    flows: NodeFlows
    timers: Fact[ConntrackSysctls]
    seen: int = 0

    @property
    def elapsed_s(self) -> float:
        """The seconds between the listings, by the node's clock; 0 where one of them did not tell when it began."""
        starts = [listing.start_s for listing in self.flows.listings]
        if len(starts) < 2 or not all(starts):
            return 0.0
        return max(0.0, starts[-1] - starts[0])


class SliceVersion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An EndpointSlice as it was read."""

    name: str
    resource_version: str


class ServiceTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A port of a Service and what stands behind it, in both families.

    Attributes:
        namespace: the Service's.
        name: the Service's.
        uid: tells it from an earlier Service of the same name.
        resource_version: of the Service.
        port_name: the port's name; "" for the only port.
        protocol: `tcp`, `udp` or `sctp`.
        port: the Service's port.
        has_selector: whether its endpoints are pods, found by labels.
        is_foreign: whether another proxy than kube-proxy serves it (service.kubernetes.io/service-proxy-name).
        live: address and port of each endpoint that takes packets or still answers; the port None is every port.
        slices: the EndpointSlices that say so.
        changed_at: when Service or slices were last changed, in seconds since the epoch; None where that is not told.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    port_name: str
    protocol: str
    port: int
    has_selector: bool
    is_foreign: bool
    live: frozenset[tuple[Address, int | None]]
    slices: tuple[SliceVersion, ...]
    changed_at: float | None

    @property
    def key(self) -> str:
        """Namespace and name."""
        return f"{self.namespace}/{self.name}"

    def is_live(self, address: Address, port: int | None) -> bool:
        """Whether packets to this address and port reach an endpoint."""
        return (address, port) in self.live or (address, None) in self.live

    def endpoints_of(self, family: int) -> tuple[tuple[Address, int | None], ...]:
        """Return the live endpoints of a family (4 or 6), in order."""
        own = (each for each in self.live if each[0].version == family)
        return tuple(sorted(own, key=lambda each: (int(each[0]), each[1] or 0)))


class DeadTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Why a flow leads nowhere.

    Attributes:
        services: the Services' ports that it was sent to; none where it goes to a pod that is gone and no Service is
            known at the address that it was sent to.
        is_gone: whether no pod has the address (and it was a pod's).
    """

    services: tuple[ServiceTarget, ...]
    is_gone: bool


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What two samples and two readings of the API say of a flow.

    Attributes:
        status: what is known of it.
        reason: the same in a sentence, with what shows it.
        answered: whether packets came back between the samples; None where that cannot be told.
    """

    status: StaleStatus
    reason: str
    answered: bool | None = None


class FlowPair(msgspec.Struct, frozen=True, kw_only=True):
    """One flow in both samples.

    Attributes:
        first: as the first sample had it.
        second: as the second one had it.
        elapsed_s: the time between them.
    """

    first: Flow
    second: Flow
    elapsed_s: float


class StaleFlow(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A flow that leads to what is no live endpoint, seen in two samples and judged by two readings of the API.

    Attributes:
        named: the flow as the second sample had it, with names.
        status: what is known of it.
        reason: the same in a sentence.
        service: namespace and name of its Service; "" where none is known.
        service_port: the Service's port as `53/udp`.
        is_gone: whether no pod has the address that it leads to.
        endpoints: what the Service has in its place now, in the flow's family.
        idle_s: seconds since its last packet; None where the timer does not tell.
        answered: whether packets came back between the samples; None where that cannot be told.
        first_sample: the tool's line in the first sample (that of the second is the flow's).
        command: what would delete exactly this entry on the node. Printed, never run.
    """

    named: NamedFlow
    status: StaleStatus
    reason: str
    service: str = ""
    service_port: str = ""
    is_gone: bool = False
    endpoints: tuple[str, ...] = ()
    idle_s: int | None = None
    answered: bool | None = None
    first_sample: str = ""
    command: str = ""

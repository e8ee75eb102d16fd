"""What the API says of the cluster, as far as flows and answers of DNS are named and judged by it."""

from __future__ import annotations

import msgspec

from netinspect.models.fact import Fact, Known, Reason, Unavailable
from netinspect.models.kubernetes import EndpointSlice, Node, Pod, Service


class ClusterState(msgspec.Struct, frozen=True, kw_only=True):
    """Lists of the API at about one moment. A list that may not be read is Unavailable, never empty.

    Attributes:
        pods: of all namespaces.
        services: likewise.
        slices: EndpointSlices, likewise.
        nodes: all.
        read_at: when the reading began, in seconds since the epoch, by our clock.
        partial: lists of which only a part is known, by the API's name of the resource, and which part.
    """

    pods: Fact[tuple[Pod, ...]]
    services: Fact[tuple[Service, ...]]
    slices: Fact[tuple[EndpointSlice, ...]]
    nodes: Fact[tuple[Node, ...]]
    read_at: float = 0.0
    partial: tuple[tuple[str, str], ...] = ()

    @property
    def missing(self) -> tuple[tuple[str, Unavailable], ...]:
        """The lists that were asked for and could not be read, by the API's name of the resource."""
        lists = (
            ("pods", self.pods),
            ("services", self.services),
            ("endpointslices", self.slices),
            ("nodes", self.nodes),
        )
        return tuple(
            (name, fact)
            for name, fact in lists
            if not isinstance(fact, Known) and fact.reason is not Reason.NOT_APPLICABLE
        )

"""Pods and services as the commands `pods` and `services` list them.

Names are the API's. Lists of addresses keep the API's order: the first is of the primary family.
"""

from __future__ import annotations

import msgspec
from msgspec import field

from netinspect.models.address import Address


class _Entry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of a report: camelCase in JSON, and every key always there."""


class Owner(_Entry, frozen=True):
    """The controller of a pod: `ReplicaSet`, `StatefulSet`, `DaemonSet`, `Job`, or `Node` of a static pod."""

    kind: str
    name: str


class PodEntry(_Entry, frozen=True):
    """A pod.

    Attributes:
        namespace: of the pod.
        name: of the pod.
        node: the node that it is bound to, "" where it is not.
        phase: status.phase.
        status: what kubectl shows as STATUS: the phase, or the reason why the pod does not simply run.
        ready_containers: how many containers (sidecars included) are ready.
        total_containers: how many there are.
        restarts: of its containers, counted as kubectl does.
        last_restart: when a container last ended before it was restarted (RFC 3339), "" where none did.
        pod_ips: status.podIPs. Of a pod that has ended they may be another pod's by now.
        host_network: whether it lives in the node's netns; its addresses are then the node's.
        host_ip: the primary address of its node, "" before it is bound.
        owner: its controller, None where it has none.
        creation_timestamp: RFC 3339.
    """

    namespace: str
    name: str
    node: str
    phase: str
    status: str
    ready_containers: int
    total_containers: int
    restarts: int
    last_restart: str
    pod_ips: tuple[Address, ...] = field(name="podIPs")
    host_network: bool
    host_ip: str = field(name="hostIP")
    owner: Owner | None
    creation_timestamp: str


class EndpointCounts(_Entry, frozen=True):
    """How many endpoints of one family there are, each address counted once.

    `ready`, `not_ready` and what is neither (it terminates, and takes no new traffic) add up to `total`.

    Attributes:
        family: `IPv4`, `IPv6`, or `FQDN` (the slices' addressType).
        total: all of them.
        ready: take new traffic; publishNotReadyAddresses makes all of them ready.
        not_ready: neither ready nor terminating.
        serving: answer, whether terminating or not.
        terminating: are going away, ready or not.
    """

    family: str
    total: int
    ready: int
    not_ready: int
    serving: int
    terminating: int


class PortEntry(_Entry, frozen=True):
    """A port of a service.

    Attributes:
        name: "" where the service has only one port and did not name it.
        protocol: `TCP`, `UDP` or `SCTP`.
        port: on the service's addresses.
        target_port: on the pods: a number, or the name of a container port.
        node_port: on the nodes' addresses, 0 where there is none.
        endpoint_ports: the numbers that the slices have for this port; several where pods differ.
        endpoints: the endpoints behind this port, by family.
    """

    name: str
    protocol: str
    port: int
    target_port: int | str
    node_port: int
    endpoint_ports: tuple[int, ...]
    endpoints: tuple[EndpointCounts, ...]


class PodReference(_Entry, frozen=True):
    """The pod that an endpoint stands for."""

    namespace: str
    name: str


class EndpointEntry(_Entry, frozen=True):
    """One endpoint and one port of it; an endpoint with two ports is there twice.

    Attributes:
        address: an address in its canonical form, or a host name (family `FQDN`).
        family: `IPv4`, `IPv6` or `FQDN`.
        port: the number, None where the slice names none.
        port_name: which port of the service it belongs to.
        protocol: `TCP`, `UDP` or `SCTP`; "" where the slice has no ports.
        ready: takes new traffic.
        serving: answers, terminating or not.
        terminating: is going away.
        node: where it runs, "" where the slice does not say.
        pod: what it stands for, None where the slice does not say, or where it is no pod.
        slices: the EndpointSlices that it was read from.
    """

    address: str
    family: str
    port: int | None
    port_name: str
    protocol: str
    ready: bool
    serving: bool
    terminating: bool
    node: str
    pod: PodReference | None
    slices: tuple[str, ...]


class ServiceEntry(_Entry, frozen=True):
    """A service and the endpoints behind it.

    Attributes:
        namespace: of the service.
        name: of the service.
        type: `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
        headless: whether it has no virtual address by its own wish.
        cluster_ips: its virtual addresses; empty for headless ones and for `ExternalName`.
        families: the address families that it asks for, the primary one first.
        external_ips: further addresses that nodes take its traffic at.
        load_balancer_ingress: addresses or host names of its load balancer.
        external_name: the name that an `ExternalName` service stands for.
        ports: its ports.
        selector: the labels of its pods; empty where others make its endpoints.
        internal_traffic_policy: `Cluster` or `Local`, "" where it has no meaning.
        external_traffic_policy: `Cluster` or `Local`, "" where it has no meaning.
        session_affinity: `None` or `ClientIP`.
        publish_not_ready_addresses: whether endpoints count as ready whatever their pods say.
        counts: its endpoints by family; a family that it asks for is there even with none.
        endpoints: its endpoints, each port of each.
        slices: the EndpointSlices that bear its name.
        warnings: what is odd about it, in sentences.
        creation_timestamp: RFC 3339.
    """

    namespace: str
    name: str
    type: str
    headless: bool
    cluster_ips: tuple[str, ...] = field(name="clusterIPs")
    families: tuple[str, ...]
    external_ips: tuple[str, ...] = field(name="externalIPs")
    load_balancer_ingress: tuple[str, ...]
    external_name: str
    ports: tuple[PortEntry, ...]
    selector: dict[str, str]
    internal_traffic_policy: str
    external_traffic_policy: str
    session_affinity: str
    publish_not_ready_addresses: bool
    counts: tuple[EndpointCounts, ...]
    endpoints: tuple[EndpointEntry, ...]
    slices: tuple[str, ...]
    warnings: tuple[str, ...]
    creation_timestamp: str

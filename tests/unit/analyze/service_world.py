"""A made-up cluster of Services, and expected maps of it in few words.

node-a (fd00:99::11, pods fd00:10:244:1::/64) has the endpoints 1 and 2, node-b the endpoint 3, unless a test says
otherwise. Each address has an IPv4 one beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from netinspect.analyze.expected.service_map import expected_service_map
from netinspect.models.address import parse_address
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.kubernetes import EndpointSlice, Node, Service
from netinspect.models.proxy_config import ProxyConfig
from netinspect.models.service_map import Branch, MapEntry, Mode, Outcome, ServiceMap, SourceCondition
from netinspect.parse.api import parse_object

POD_CIDRS = ("10.244.0.0/16", "fd00:10:244::/48")
CONFIG = ProxyConfig(cluster_cidrs=POD_CIDRS)
ADDRESSES = tuple(
    map(
        parse_address,
        ("127.0.0.1", "10.99.0.11", "192.168.7.1", "::1", "fd00:99::11", "fd00:7::1", "fe80::1"),
    )
)
VIP = {4: "10.96.0.10", 6: "fd00:10:96::a"}
EXTERNAL = {4: "198.51.100.7", 6: "2001:db8::7"}
BALANCER = {4: "198.51.100.9", 6: "2001:db8::9"}
HERE, ELSEWHERE = "node-a", "node-b"

Object = dict[str, Any]
T = TypeVar("T")


def node(name: str, number: int, **labels: str) -> Node:
    """A node with an InternalIP of each family, IPv4 first."""
    addresses = [
        {"type": "Hostname", "address": name},
        {"type": "InternalIP", "address": f"10.99.0.{number}"},
        {"type": "InternalIP", "address": f"fd00:99::{number}"},
    ]
    zone = {"topology.kubernetes.io/zone": labels["zone"]} if "zone" in labels else {}
    return _object(
        Node,
        {
            "metadata": {"name": name, "labels": zone},
            "spec": {"podCIDRs": [f"10.244.{number % 10}.0/24", f"fd00:10:244:{number % 10}::/64"]},
            "status": {"addresses": addresses, "nodeInfo": {"kubeletVersion": "v1.36.2"}},
        },
    )


def service(
    name: str = "web", ports: Sequence[Object] = (), labels: Object | None = None, **spec: Any
) -> Service:
    """A dual-stack Service of namespace `demo`; `spec` and `ingress` are in the API's words."""
    ingress = [{"ip": ip} if isinstance(ip, str) else ip for ip in spec.pop("ingress", ())]
    listed = ports or [{"name": "http", "port": 80, "protocol": "TCP"}]
    base = {"clusterIPs": [VIP[4], VIP[6]], "ipFamilies": ["IPv4", "IPv6"], "ports": listed}
    return _object(
        Service,
        {
            "metadata": {"name": name, "namespace": "demo", "labels": labels or {}},
            "spec": {**base, **spec},
            "status": {"loadBalancer": {"ingress": ingress}},
        },
    )


def endpoint(number: int, **fields: Any) -> Object:
    """An endpoint: 1 and 2 are on node-a, others on node-b; `ready`, `serving`, `terminating` are its conditions."""
    conditions = {each: fields.pop(each) for each in ("ready", "serving", "terminating") if each in fields}
    here = HERE if number < 3 else ELSEWHERE
    return {"number": number, "nodeName": here, "conditions": conditions, **fields}


def slices(
    name: str = "web",
    endpoints: Iterable[Object] = (endpoint(1), endpoint(2), endpoint(3)),
    port: Object | None = None,
) -> tuple[EndpointSlice, ...]:
    """A slice of each family."""
    listed = list(endpoints)
    return tuple(
        _object(
            EndpointSlice,
            {
                "metadata": {
                    "name": f"{name}-{family}",
                    "namespace": "demo",
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": f"IPv{family}",
                "ports": [port or {"name": "http", "port": 8080, "protocol": "TCP"}],
                "endpoints": [{**each, "addresses": [address(each["number"], family)]} for each in listed],
            },
        )
        for family in (4, 6)
    )


def address(number: int, family: int = 6) -> str:
    """The address of an endpoint."""
    where = 1 if number < 3 else 2
    return f"fd00:10:244:{where}::{number}" if family == 6 else f"10.244.{where}.{number}"


def state(
    services: Iterable[Service], *every_slice: tuple[EndpointSlice, ...], nodes: Sequence[Node] = ()
) -> ClusterState:
    """What the API says."""
    return ClusterState(
        pods=Unavailable(Reason.NOT_APPLICABLE, "not asked for"),
        services=Known(tuple(services)),
        slices=Known(tuple(each for some in every_slice for each in some)),
        nodes=Known(tuple(nodes) or (node(HERE, 11), node(ELSEWHERE, 12))),
    )


def expect(
    mode: Mode, what: Service | ClusterState, family: int = 6, config: ProxyConfig = CONFIG, **options: Any
) -> ServiceMap:
    """The expected map of node-a for one Service with the usual endpoints, or for a whole cluster."""
    known = state([what], slices()) if isinstance(what, Service) else what
    return expected_service_map(known, options.pop("node", HERE), family, mode, config, ADDRESSES, **options)


def told(map_: ServiceMap) -> dict[str, str]:
    """Each entry in words: `prerouting [fd00::a]:80` and its branches as `show` writes them."""
    return {_where(entry): " | ".join(map(show, entry.branches)) for entry in map_.entries}


def show(branch: Branch) -> str:
    """Write a branch: `not fd00:10:244::/48: masquerade 1 2 3`."""
    what = [branch.outcome.value]
    if branch.outcome is Outcome.BACKENDS:
        what = ["masquerade"] if branch.masquerade else []
        what += [str(each.address).rpartition(":")[2].rpartition(".")[2] for each in branch.backends]
    when = " and ".join(map(_condition, branch.when))
    return f"{when}: {' '.join(what)}" if when else " ".join(what)


def _condition(condition: SourceCondition) -> str:
    return ("not " if condition.negated else "") + ",".join(condition.values)


def _where(entry: MapEntry) -> str:
    to = entry.destination
    at = f"[{to.address}]" if to.address else "any" + "".join(f"-{each}" for each in to.except_)
    protocol = "" if to.protocol == "tcp" else f"/{to.protocol}"
    return f"{entry.hook.value} {at}:{to.port}{protocol}"


def _object(type_: type[T], value: Object) -> T:
    return parse_object(type_, json.dumps(value).encode())

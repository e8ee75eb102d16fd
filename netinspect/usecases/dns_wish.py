"""What `dns` is to ask, and from where: checked before anything is started."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from netinspect.analyze.dns.questions import ADDRESS_TYPES, DnsServer
from netinspect.errors import TargetError, UsageError
from netinspect.models.debug_pod import Privilege
from netinspect.models.dns_cluster import DnsCluster
from netinspect.models.dns_query import DnsQuery
from netinspect.models.fact import Unavailable
from netinspect.models.kubernetes import Pod
from netinspect.probes.dns import MAX_QUERIES, build_dns_probe, build_resolver_plan
from netinspect.probes.plan import Plan

DEFAULT_NAME = "kubernetes.default.svc"

_TYPE = re.compile(r"[A-Z][A-Z0-9-]{0,31}")
_TRANSFERS = ("AXFR", "IXFR")


class DnsWish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be asked, and from where.

    Attributes:
        names: as an application would give them.
        types: the record types.
        namespace: the pod's, or that of the pod that is assumed.
        node: the node to ask from.
        pod: the pod to ask from; None asks from the node.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]
    namespace: str
    node: str
    pod: Pod | None = None


def build_wish(
    *, names: Sequence[str], types: Sequence[str], namespace: str, node: str, pod: Pod | None
) -> DnsWish:
    """Check what the command line asks for.

    Raises:
        UsageError: a name is empty or no UTF-8, or a record type is none.
    """
    for name in names:
        if not name:
            raise UsageError("a name is empty", "is the variable set that it comes from?")
        if any("\ud800" <= character <= "\udfff" for character in name) or "\0" in name:
            raise UsageError(f"a name is no UTF-8: {name!r}")
    wanted = tuple(dict.fromkeys(each.upper() for each in types)) or ADDRESS_TYPES
    for each in wanted:
        if not _TYPE.fullmatch(each):
            raise UsageError(
                f'--type "{each}" is no record type', "for example: A, AAAA, SRV, CNAME, PTR, TXT"
            )
        if each in _TRANSFERS:
            raise UsageError(f"--type {each} is a zone transfer, and no question of a resolver's")
    return DnsWish(
        names=tuple(dict.fromkeys(names)) or (DEFAULT_NAME,),
        types=wanted,
        namespace=namespace,
        node=node,
        pod=pod,
    )


def choose_pod(pods: tuple[Pod, ...]) -> Pod:
    """Return the pod to ask from: of several (`deploy/web`), the first that runs, by name.

    Raises:
        TargetError: there is none, or none that has a resolver.
    """
    if not pods:
        raise TargetError("no pod was found to ask from")
    pod = min(pods, key=lambda each: (each.status.phase != "Running", each.is_completed, each.metadata.name))
    name = pod.metadata.name
    if pod.is_completed:
        raise TargetError(f"cannot ask from a completed pod; current phase of {name} is {pod.status.phase}")
    if not pod.spec.node_name:
        raise TargetError(f"pod {name} is not bound to a node yet")
    return pod


def choose_privilege(wish: DnsWish, cluster: DnsCluster) -> Privilege:
    """Return the least that serves: the node's own network, unless a pod's files have to be read."""
    is_enough = wish.pod is None and cluster.domain is not None
    return Privilege.NETADMIN if is_enough else Privilege.SYSADMIN


def design_first_plan(wish: DnsWish, cluster: DnsCluster) -> Plan:
    """Return a plan of the kind that is sent first; what is asked later follows from its answer."""
    if wish.pod is not None:
        return build_resolver_plan(wish.pod)
    servers = list_cluster_servers(cluster)
    queries = [DnsQuery(each.address, name, "A") for each in servers for name in wish.names]
    return Plan((build_dns_probe(queries[:MAX_QUERIES]),)) if queries else Plan()


def list_cluster_servers(cluster: DnsCluster) -> tuple[DnsServer, ...]:
    """Return the addresses of the DNS Service, with the ports that it has."""
    if isinstance(cluster.service, Unavailable):
        return ()
    service = cluster.service.value
    return tuple(DnsServer(address, service.udp_port, service.tcp_port) for address in service.cluster_ips)

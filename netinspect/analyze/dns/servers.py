"""Which servers a cluster's DNS consists of, and the questions that compare them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from netinspect.analyze.dns.names import fold_name, is_in_domain
from netinspect.analyze.dns.statistics import summarise_servers
from netinspect.models.address import Address, show_endpoint
from netinspect.models.dns import DnsProtocol
from netinspect.models.dns_cluster import NODE_LOCAL_LINK, DnsCluster
from netinspect.models.dns_query import DnsQuery
from netinspect.models.dns_servers import AskedServer, DnsSeries, ServerRole, ServerToAsk
from netinspect.models.fact import Fact, Known
from netinspect.models.finding import Evidence
from netinspect.models.link import Link


def list_servers(
    cluster: DnsCluster, links: Fact[tuple[Link, ...]], nameservers: Iterable[Address] = ()
) -> tuple[ServerToAsk, ...]:
    """Return the servers, each address once: the Service, the node's cache, the endpoints, the pod's own.

    Args:
        cluster: what the API says.
        links: of the node's own netns: NodeLocal DNSCache has a link there.
        nameservers: of the pod that asks.
    """
    found: dict[Address, ServerToAsk] = {}
    for each in (*_of_service(cluster), *_of_cache(links), *_of_endpoints(cluster), *_of_pod(nameservers)):
        found.setdefault(each.address, each)
    return tuple(found.values())


def complete_name(name: str, namespace: str, domain: str | None) -> str:
    """Return a name fully qualified, with the root's dot: no search list is at work between servers.

    `NAME` is a Service of the namespace, `NAME.NAMESPACE.svc` one of another; anything else is taken as it is.
    """
    if name.endswith(".") or domain is None or is_in_domain(name, domain):
        return f"{name.removesuffix('.')}."
    bare = fold_name(name)
    if "." not in bare:
        return f"{bare}.{namespace}.svc.{domain}."
    return f"{bare}.{domain}." if bare.endswith(".svc") else f"{name}."


def design_round(
    servers: Sequence[ServerToAsk], names: Sequence[str], types: Sequence[str]
) -> tuple[DnsQuery, ...]:
    """Return the questions of one round: each name and type to each server, by UDP and by TCP."""
    return tuple(
        DnsQuery(server.address, name, type_, protocol, port)
        for name in names
        for type_ in types
        for protocol in DnsProtocol
        for server in servers
        if (port := port_of(server, protocol)) is not None
    )


def port_of(server: ServerToAsk, protocol: DnsProtocol) -> int | None:
    """Return where a server takes questions by a protocol; None where it does not."""
    return server.udp_port if protocol is DnsProtocol.UDP else server.tcp_port


def join_statistics(series: DnsSeries) -> tuple[AskedServer, ...]:
    """Put together servers and what came of the questions to them, in the order of the servers."""
    statistics = {(each.server, each.protocol): each for each in summarise_servers(series.runs)}
    return tuple(
        AskedServer(server=server, statistics=statistics[server.address, protocol])
        for server in series.servers
        for protocol in DnsProtocol
        if (server.address, protocol) in statistics
    )


def is_used(server: ServerToAsk) -> bool:
    """Whether lookups were sent there all the time: endpoints that are not ready get none."""
    return server.is_ready is not False and not server.is_changed


def mark_changed(servers: Sequence[ServerToAsk], later: DnsCluster) -> tuple[ServerToAsk, ...]:
    """Mark the endpoints that the API says something else of after the run; all stay where it says nothing."""
    if not isinstance(later.service, Known) or not isinstance(later.service.value.endpoints, Known):
        return tuple(servers)
    ready = {each.address: each.is_ready for each in later.service.value.endpoints.value}
    return tuple(
        replace(each, is_changed=True)
        if each.role is ServerRole.ENDPOINT and ready.get(each.address) != each.is_ready
        else each
        for each in servers
    )


def subject_of(each: AskedServer) -> str:
    """Name a server for a finding."""
    server = each.server
    if server.role is ServerRole.ENDPOINT and server.name:
        return f"pod/{server.name}"
    if server.role is ServerRole.SERVICE:
        return f"service/{server.name}"
    return f"server/{server.address}"


def list_addresses(asked: Iterable[AskedServer]) -> str:
    """Write the addresses of some servers, each once."""
    return ", ".join(dict.fromkeys(str(each.server.address) for each in asked))


def evidence_of(series: DnsSeries, each: AskedServer) -> Evidence:
    """Write what came of the questions to a server in one line."""
    one = each.statistics
    counts = {**one.statuses, **{outcome.value: count for outcome, count in one.failures.items()}}
    said = ", ".join(f"{count} {name}" for name, count in counts.items())
    times = "" if one.p50_us is None else f"; p50 {one.p50_us / 1000:.1f} ms"
    slowest = "" if one.max_us is None else f", slowest {one.max_us / 1000:.1f} ms"
    where = f"in pod {series.pod}'s netns on node {series.node}" if series.pod else f"on node {series.node}"
    return Evidence(
        source=f"dig {where}",
        text=f"{one.protocol.value.upper()} {show_endpoint(one.server, one.port)}: "
        f"{one.sent} asked, {one.answered} answered ({said}){times}{slowest}",
    )


def _of_service(cluster: DnsCluster) -> Iterator[ServerToAsk]:
    if isinstance(cluster.service, Known):
        service = cluster.service.value
        for address in service.cluster_ips:
            yield ServerToAsk(
                role=ServerRole.SERVICE,
                address=address,
                name=service.key,
                udp_port=service.udp_port,
                tcp_port=service.tcp_port,
            )


def _of_cache(links: Fact[tuple[Link, ...]]) -> Iterator[ServerToAsk]:
    """In iptables mode the link bears the Service's addresses, too: these stay the Service's."""
    for link in links.value if isinstance(links, Known) else ():
        if link.ifname == NODE_LOCAL_LINK:
            for each in link.addresses:
                if not each.local.is_link_local or each.local.version == 4:
                    yield ServerToAsk(role=ServerRole.NODE_LOCAL, address=each.local, name=NODE_LOCAL_LINK)


def _of_pod(nameservers: Iterable[Address]) -> Iterator[ServerToAsk]:
    for address in nameservers:
        yield ServerToAsk(role=ServerRole.NAMESERVER, address=address)


def _of_endpoints(cluster: DnsCluster) -> Iterator[ServerToAsk]:
    if not isinstance(cluster.service, Known) or not isinstance(cluster.service.value.endpoints, Known):
        return
    for each in cluster.service.value.endpoints.value:
        yield ServerToAsk(
            role=ServerRole.ENDPOINT,
            address=each.address,
            name=each.pod,
            node=each.node,
            is_ready=each.is_ready,
            udp_port=each.udp_port,
            tcp_port=each.tcp_port,
        )

"""The table of `services`, and the sentences below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netinspect.models.listing import EndpointCounts, EndpointEntry, PortEntry, ServiceEntry
from netinspect.render.table import Column

_NO_ENDPOINT = "none"
_MOST_ENDPOINTS = 10  # of one service in the wide table; JSON has them all


def columns(*, with_namespace: bool) -> tuple[Column[ServiceEntry], ...]:
    """Return the columns; the namespace is shown where services of several can be listed."""
    namespace = (Column[ServiceEntry]("NAMESPACE", lambda each: each.namespace),) if with_namespace else ()
    return (
        *namespace,
        Column("NAME", lambda service: service.name),
        Column("TYPE", lambda service: service.type),
        Column("CLUSTER-IPS", _cluster_ips),
        Column("EXTERNAL-IPS", _external_ips),
        Column("PORTS", lambda service: ",".join(map(_port, service.ports))),
        Column("ENDPOINTS", _endpoints),
        Column("TARGET-PORTS", lambda service: ",".join(map(_target_port, service.ports)), is_wide=True),
        Column("POLICIES", _policies, is_wide=True),
        Column("SELECTOR", _selector, is_wide=True),
        Column("ENDPOINT-ADDRESSES", _addresses, is_wide=True),
    )


def name_of(service: ServiceEntry) -> str:
    """Return the service's resource name, as `-o name` prints it."""
    return f"service/{service.name}"


def remarks(services: Iterable[ServiceEntry]) -> Iterator[str]:
    """Return what a table has no room for, a sentence a line."""
    for service in services:
        for warning in service.warnings:
            yield f"service {service.namespace}/{service.name}: {warning}"


def _cluster_ips(service: ServiceEntry) -> str:
    return "None" if service.headless else ",".join(service.cluster_ips)


def _external_ips(service: ServiceEntry) -> str:
    """Show all ways in from outside, as kubectl does. Source: kubernetes v1.36, printers.go getServiceExternalIP."""
    if service.type == "ExternalName":
        return service.external_name
    ways = [*dict.fromkeys(service.load_balancer_ingress), *service.external_ips]
    if service.type == "LoadBalancer" and not ways:
        return "<pending>"
    return ",".join(ways)


def _port(port: PortEntry) -> str:
    node_port = f":{port.node_port}" if port.node_port else ""
    return f"{port.port}{node_port}/{port.protocol}"


def _target_port(port: PortEntry) -> str:
    """Show where a port leads: its number; a name with the numbers that the pods have for it."""
    numbers = "|".join(map(str, port.endpoint_ports))
    target = str(port.target_port)
    return f"{port.port}->{target}" if numbers in ("", target) else f"{port.port}->{target}({numbers})"


def _policies(service: ServiceEntry) -> str:
    """Show what bears on the choice of an endpoint, as far as it is not the default."""
    shown = [
        ("internal", service.internal_traffic_policy, "Cluster"),
        ("external", service.external_traffic_policy, "Cluster"),
        ("affinity", service.session_affinity, "None"),
        ("publish-not-ready", str(service.publish_not_ready_addresses).lower(), "false"),
    ]
    return ",".join(f"{name}={value}" for name, value, default in shown if value not in ("", default))


def _selector(service: ServiceEntry) -> str:
    return ",".join(f"{key}={value}" for key, value in service.selector.items())


def _endpoints(service: ServiceEntry) -> str:
    """Count endpoints: once where all families and ports agree, else each family, port, or both, for itself."""
    rows = [
        (counts.family, _port_label(port), format_counts(counts))
        for port in service.ports
        for counts in port.endpoints
    ] or [(counts.family, "", format_counts(counts)) for counts in service.counts]
    by_family = {(family, text) for family, _, text in rows}
    by_port = {(port, text) for _, port, text in rows}
    texts = {text for _, _, text in rows}
    if len(texts) < 2:
        return "".join(texts - {_NO_ENDPOINT})
    if len(by_family) == len({family for family, _ in by_family}):
        return "; ".join(dict.fromkeys(f"{family}: {text}" for family, _, text in rows))
    if len(by_port) == len({port for port, _ in by_port}):
        return "; ".join(dict.fromkeys(f"{port}: {text}" for _, port, text in rows))
    return "; ".join(f"{family} {port}: {text}" for family, port, text in rows)


def _port_label(port: PortEntry) -> str:
    return port.name or f"{port.port}/{port.protocol}"


def format_counts(counts: EndpointCounts) -> str:
    """Write counts as parts that add up: `2 ready, 1 terminating`."""
    parts = [
        (counts.ready, "ready"),
        (counts.not_ready, "not ready"),
        (counts.total - counts.ready - counts.not_ready, "terminating"),
    ]
    shown = [f"{number} {word}" for number, word in parts if number or (word == "ready" and counts.total)]
    return ", ".join(shown) or _NO_ENDPOINT


def _addresses(service: ServiceEntry) -> str:
    by_address = {
        (each.family, each.address): each for each in service.endpoints
    }  # ports have their own column
    shown = [_address(each) for each in by_address.values()]
    more = [f"{len(shown) - _MOST_ENDPOINTS} more"] if len(shown) > _MOST_ENDPOINTS else []
    return ",".join([*shown[:_MOST_ENDPOINTS], *more])


def _address(endpoint: EndpointEntry) -> str:
    pod = f"={endpoint.pod.name}" if endpoint.pod else ""
    if endpoint.ready:
        return f"{endpoint.address}{pod}"
    return f"{endpoint.address}{pod}({'terminating' if endpoint.terminating else 'not-ready'})"

"""Whether rules can be expected for what is named: Services that exist and have the port, and those without rules."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from netinspect.analyze.rules.target import RuleTarget
from netinspect.errors import TargetError
from netinspect.models.kubernetes import Service, ServicePort

_PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
_MOST_PORTS = 10


def check_targets(
    targets: Iterable[RuleTarget],
    namespace: str,
    services: Collection[Service],
    found: Collection[RuleTarget],
) -> None:
    """Make sure that Services and ports named exist: in the API, or at least in rules.

    Args:
        targets: what was named.
        namespace: where Services are looked for.
        services: the API's.
        found: the targets that some rules are for.

    Raises:
        TargetError: one does not exist.
    """
    for target in targets:
        if target in found or not target.service:
            continue
        service = find_service(target, namespace, services)
        if service is None:
            raise TargetError(
                f'services "{target.service}" not found in namespace {namespace}',
                "no rule that was read names it either; -n names another namespace",
            )
        if service.spec.ports and not any(is_port_meant(target, each) for each in _ports(service)):
            raise _no_port(target, service)


def find_service(target: RuleTarget, namespace: str, services: Iterable[Service]) -> Service | None:
    """Return the API's Service that a target names."""
    meant = (namespace, target.service)
    return next((each for each in services if (each.metadata.namespace, each.metadata.name) == meant), None)


def explain_no_rules(service: Service) -> str:
    """Return why no node has rules for a Service by design; `""` where some are expected."""
    name = f"service {service.metadata.namespace}/{service.metadata.name}"
    if service.spec.type == "ExternalName":
        what = f"DNS answers with the name {service.spec.external_name}"
        return f"{name} is of type ExternalName: {what}, and no node has rules for it"
    if service.is_headless:
        what = "DNS answers with the addresses of its endpoints"
        return f"{name} is headless (clusterIP None): {what}, and no node has rules for it"
    proxy = service.metadata.labels.get(_PROXY_NAME_LABEL)
    if proxy is not None:
        return f'{name} is left to another proxy, "{proxy}" (label {_PROXY_NAME_LABEL}): kube-proxy has no rules for it'
    return ""


def is_port_meant(target: RuleTarget, port: ServicePort) -> bool:
    """Return whether a target that names a Service means this port of it."""
    protocol = port.protocol.lower()
    names = (None, port.port, port.node_port or port.port, port.name or port.port)
    return target.port in names and target.protocol in ("", protocol)


def _ports(service: Service) -> Iterator[ServicePort]:
    yield from service.spec.ports
    if service.spec.health_check_node_port:
        yield ServicePort(port=service.spec.health_check_node_port, name="health check")


def _no_port(target: RuleTarget, service: Service) -> TargetError:
    name = f"{service.metadata.namespace}/{service.metadata.name}"
    asked = "/".join(str(each) for each in (target.port, target.protocol) if each)
    ports = [_show_port(each) for each in _ports(service)]
    more = f" and {len(ports) - _MOST_PORTS} more" if len(ports) > _MOST_PORTS else ""
    return TargetError(
        f"service {name} does not have a service port {asked}",
        f"its ports: {', '.join(ports[:_MOST_PORTS])}{more}",
    )


def _show_port(port: ServicePort) -> str:
    node_port = f" (node port {port.node_port})" if port.node_port else ""
    return f"{port.name} {port.port}/{port.protocol.lower()}".strip() + node_port

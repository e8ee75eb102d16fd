"""Ports at ClusterIPs that no rule of a node is for, though it has rules for others that are meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec

from netinspect.analyze.rules.expected_rules import explain_no_rules, is_port_meant
from netinspect.analyze.rules.target import RuleTarget
from netinspect.models.address import Address, parse_address, show_endpoint
from netinspect.models.kubernetes import Service
from netinspect.models.service_rules import ServiceRules

_MOST_NAMED = 3


class ExpectedPort(msgspec.Struct, frozen=True, kw_only=True):
    """A port at a Service's ClusterIP, which kube-proxy has rules for on each node, with endpoints or without."""

    name: str
    address: Address
    protocol: str
    port: int

    @property
    def text(self) -> str:
        """What it is, in words."""
        return f"{self.name} {show_endpoint(self.address, self.port)}/{self.protocol}"


def list_expected_ports(
    services: Iterable[Service], targets: Sequence[RuleTarget], namespace: str
) -> Iterator[ExpectedPort]:
    """Yield the ports at ClusterIPs of what is meant, but for Services that kube-proxy has no rules for by design.

    Args:
        services: the API's.
        targets: what is meant; none is all of the namespace. Addresses and node ports mean no Service.
        namespace: of Services; `""` is every one.
    """
    for service in services:
        meta = service.metadata
        own = [each for each in targets if (namespace, each.service) == (meta.namespace, meta.name)]
        is_meant = bool(own) if targets else namespace in ("", meta.namespace)
        if not is_meant or explain_no_rules(service):
            continue
        for port in service.spec.ports:
            if targets and not any(is_port_meant(each, port) for each in own):
                continue
            name = f"{meta.namespace}/{meta.name}{f':{port.name}' if port.name else ''}"
            for text in service.spec.cluster_ips:
                with suppress(ValueError):  # none yet
                    yield ExpectedPort(
                        name=name, address=parse_address(text), protocol=port.protocol.lower(), port=port.port
                    )


def find_missing_ports(
    node: str, expected: Iterable[ExpectedPort], named: Iterable[ServiceRules]
) -> tuple[ExpectedPort, ...]:
    """Return the ports that a node has no rules for: a rule or an element of a map that stood for one is not there.

    Args:
        node: the node's name, of which all could be read.
        expected: what there should be rules for.
        named: all that was read of nodes' rules.
    """
    seen = {
        (each.destination.address, each.destination.protocol, each.destination.port)
        for each in named
        if each.node == node
    }
    return tuple(each for each in expected if (each.address, each.protocol, each.port) not in seen)


def describe_missing_ports(
    missing: Mapping[str, Iterable[ExpectedPort]],
    families: Collection[int],
    doubtful: Collection[tuple[str, int]] = (),
) -> Iterator[str]:
    """Say which ports nodes have no rules for.

    Args:
        missing: by node, of `find_missing_ports`.
        families: those that were looked through.
        doubtful: nodes and families of whose rules not all could be judged.
    """
    for node, ports in missing.items():
        for family in families:
            texts = [each.text for each in ports if each.address.version == family]
            if texts:
                more = f" and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
                judged = ", as far as rules could be judged" if (node, family) in doubtful else ""
                yield (
                    f"node {node}, IPv{family}: no rule is for {', '.join(texts[:_MOST_NAMED])}{more}, "
                    f"which the API has now{judged}; if that stays so, its kube-proxy lags, or something deleted rules"
                )

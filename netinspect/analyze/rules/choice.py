"""Which rules are meant by `web`, `svc/web:http`, `10.96.0.10:53/udp` or `[fd00:96::a]:53`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import ip_network

import msgspec

from netinspect.errors import UsageError
from netinspect.models.address import Address, parse_address
from netinspect.models.ipvs_listing import ListedVirtualServer
from netinspect.models.service_map import Destination
from netinspect.models.service_rules import ServiceRules

_SERVICE_TYPES = ("service", "services", "svc")
_PROTOCOLS = ("tcp", "udp", "sctp")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_BRACKETED = re.compile(r"\[([^]]+)](?::(\d+))?")
_HIGHEST_PORT = 65535


class RuleTarget(msgspec.Struct, frozen=True, kw_only=True):
    """What one argument names: a Service, or a destination.

    Attributes:
        text: as it was given.
        service: a Service's name; `""` where an address is named.
        address: the destination's address.
        port: a port's number, or the name of a Service's port; None is every port.
        protocol: `tcp`, `udp` or `sctp`; `""` is every one.
    """

    text: str
    service: str = ""
    address: Address | None = None
    port: int | str | None = None
    protocol: str = ""


def parse_rule_target(text: str) -> RuleTarget:
    """Read one argument.

    Raises:
        UsageError: it is neither a Service nor an address.
    """
    rest, protocol = _split_protocol(text)
    target = _read_address(rest) or _read_service(rest)
    if target is None:
        raise UsageError(
            f'"{text}" is neither a service nor an address',
            "write NAME[:PORT], svc/NAME[:PORT], IP[:PORT] or [IPV6]:PORT, each with /tcp, /udp or /sctp if need be",
        )
    return msgspec.structs.replace(target, text=text, protocol=protocol)


def choose_rules(
    items: Iterable[ServiceRules],
    targets: Sequence[RuleTarget],
    namespace: str,
    local: Mapping[str, Collection[Address]],
) -> tuple[ServiceRules, ...]:
    """Return what one of the targets means, in its order; without targets all of the namespace (`""`: everything).

    Args:
        items: rules of any nodes.
        targets: what was named.
        namespace: where Services are looked for.
        local: by node, its own addresses: only there are node ports taken.
    """
    if not targets:
        return tuple(each for each in items if not namespace or each.namespace == namespace)
    return tuple(
        each
        for each in items
        if any(_is_meant(each, target, namespace, local.get(each.node, ())) for target in targets)
    )


def choose_virtual_servers(
    items: Iterable[ListedVirtualServer], targets: Sequence[RuleTarget], namespace: str
) -> tuple[ListedVirtualServer, ...]:
    """Return the virtual servers that one of the targets means, as `choose_rules` does."""
    if not targets:
        return tuple(each for each in items if not namespace or each.namespace == namespace)
    return tuple(each for each in items if any(_is_server_meant(each, one, namespace) for one in targets))


def _is_server_meant(server: ListedVirtualServer, target: RuleTarget, namespace: str) -> bool:
    address = server.address
    if target.protocol and target.protocol != address.protocol:
        return False
    if target.service:
        is_named = server.service == target.service and server.namespace == namespace
        return is_named and target.port in (None, server.port_name, address.port)
    # Port 0 takes every port.
    return address.address == target.address and (not address.port or target.port in (None, address.port))


def _is_meant(rules: ServiceRules, target: RuleTarget, namespace: str, local: Collection[Address]) -> bool:
    destination = rules.destination
    if target.protocol and target.protocol != destination.protocol:
        return False
    if target.service:
        is_named = rules.service == target.service and rules.namespace == namespace
        return is_named and target.port in (None, rules.port_name, destination.port)
    if destination.address is not None:
        return destination.address == target.address and target.port in (None, destination.port)
    # An address without a port asks for what the address has itself: not for all node ports.
    return target.port == destination.port and _is_taken(destination, target.address, local)


def _is_taken(destination: Destination, address: Address | None, local: Collection[Address]) -> bool:
    """Whether an address is one of the node's at which it takes the node port."""
    return (
        address is not None
        and (address in local or address.is_loopback)
        and not any(_is_in(address, network) for network in destination.except_)
    )


def _is_in(address: Address, network: str) -> bool:
    read = ip_network(network)
    return read.version == address.version and address in read


def _split_protocol(text: str) -> tuple[str, str]:
    rest, slash, last = text.rpartition("/")
    return (rest, last) if slash and last in _PROTOCOLS and rest not in _SERVICE_TYPES else (text, "")


def _read_address(text: str) -> RuleTarget | None:
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed:
        address, port = bracketed[1], bracketed[2] or ""
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    else:
        address, port = text, ""
    try:
        return RuleTarget(
            text=text, address=parse_address(address), port=_read_number(port) if port else None
        )
    except ValueError:
        return None


def _read_service(text: str) -> RuleTarget | None:
    kind, slash, name = text.rpartition("/")
    service, _, port = name.partition(":")
    if (slash and kind not in _SERVICE_TYPES) or not _NAME.fullmatch(service) or text.endswith(":"):
        return None
    return RuleTarget(text=text, service=service, port=int(port) if port.isdecimal() else port or None)


def _read_number(text: str) -> int:
    number = int(text)
    if not text.isdecimal() or not 0 < number <= _HIGHEST_PORT:
        raise ValueError(text)
    return number

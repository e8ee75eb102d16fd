"""What an argument names: `web`, `svc/web:http`, `10.96.0.10:53/udp`, `[fd00:96::a]:53`, or the node port `:30080`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from netinspect.errors import UsageError
from netinspect.models.address import Address, parse_address
from netinspect.models.kubernetes import Service

_SERVICE_TYPES = ("service", "services", "svc")
PROTOCOLS = ("tcp", "udp", "sctp")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_BRACKETED = re.compile(r"\[([^]]+)](?::(.+))?")
_DOTTED_NUMBERS = re.compile(r"[0-9]+(\.[0-9]*)+")
_HEX_AND_COLONS = re.compile(r"[0-9a-fA-F:.]*(%.*)?")
_HIGHEST_PORT = 65535


class RuleTarget(msgspec.Struct, frozen=True, kw_only=True):
    """What one argument names: a Service, a destination, or a node port of whatever address.

    Attributes:
        text: as it was given.
        service: a Service's name; `""` where an address or a node port is named.
        address: the destination's address.
        port: a port's number, or the name of a Service's port; None is every port.
        protocol: `tcp`, `udp` or `sctp`; `""` is every one.
        port_names: of a Service's port that is named by its number: its names in the API, by which its node port is
            known, too.
    """

    text: str
    service: str = ""
    address: Address | None = None
    port: int | str | None = None
    protocol: str = ""
    port_names: tuple[str, ...] = ()

    @property
    def is_node_port(self) -> bool:
        """Whether a port is named, and nothing else."""
        return not self.service and self.address is None

    def names_port(self, name: str, number: int | None) -> bool:
        """Whether a port of the Service is meant, by its name or by a number at which it is reached."""
        return self.port in (None, name, number) or name in self.port_names


def with_port_names(target: RuleTarget, namespace: str, services: Iterable[Service]) -> RuleTarget:
    """Return a target with the names of the Service's port, where it is named by its number."""
    if not target.service or not isinstance(target.port, int):
        return target
    names = tuple(
        port.name
        for service in services
        if (service.metadata.namespace, service.metadata.name) == (namespace, target.service)
        for port in service.spec.ports
        if port.port == target.port
    )
    return msgspec.structs.replace(target, port_names=names)


def parse_rule_targets(texts: Sequence[str]) -> tuple[RuleTarget, ...]:
    """Read arguments; `svc NAME...` is `svc/NAME...`, as for kubectl.

    Raises:
        UsageError: one has no meaning.
    """
    if len(texts) > 1 and texts[0] in _SERVICE_TYPES:
        texts = [each if "/" in each else f"{texts[0]}/{each}" for each in texts[1:]]
    return tuple(parse_rule_target(each) for each in texts)


def parse_rule_target(text: str) -> RuleTarget:
    """Read one argument.

    Raises:
        UsageError: it is neither a Service nor an address nor a port, or a part of it has no meaning.
    """
    rest, protocol = _split_protocol(text)
    target = _read_node_port(text, rest) or _read_address(text, rest) or _read_service(text, rest)
    if target is None:
        raise UsageError(
            f'"{text}" is neither a service nor an address',
            "write NAME[:PORT], svc/NAME[:PORT], IP[:PORT], [IPV6]:PORT or :NODEPORT, "
            "each with /tcp, /udp or /sctp if need be",
        )
    return msgspec.structs.replace(target, text=text, protocol=protocol)


def find_port_in_address(target: RuleTarget) -> str:
    """Return how an IPv6 address would be written if its last group was meant as a port; `""` where it cannot be.

    `fd00::a:53` is an address of its own: only who wrote it knows.
    """
    if target.address is None or target.address.version != 6 or target.port is not None:
        return ""
    rest, protocol = _split_protocol(target.text)
    address, _, port = rest.rpartition(":")
    if "[" in rest or not port.isdecimal() or not 0 < int(port) <= _HIGHEST_PORT:
        return ""
    try:
        parse_address(address)
    except ValueError:
        return ""
    return f"[{address}]:{port}" + (f"/{protocol}" if protocol else "")


def _split_protocol(text: str) -> tuple[str, str]:
    rest, slash, last = text.rpartition("/")
    # The API writes them in capitals.
    protocol = last.lower()
    return (rest, protocol) if slash and protocol in PROTOCOLS and rest not in _SERVICE_TYPES else (text, "")


def _read_node_port(text: str, rest: str) -> RuleTarget | None:
    port = rest.removeprefix(":")
    return RuleTarget(text=text, port=_number(text, port)) if port != rest and _is_number(port) else None


def _read_address(text: str, rest: str) -> RuleTarget | None:
    """Read what can only be an address.

    Raises:
        UsageError: it is written like an address, and is none; or its port is no number of a port.
    """
    bracketed = _BRACKETED.fullmatch(rest)
    if bracketed:
        address, port = bracketed[1], bracketed[2]
    elif rest.count(":") == 1:
        address, _, port = rest.partition(":")
    else:
        address, port = rest, None
    if not (bracketed or _DOTTED_NUMBERS.fullmatch(address) or _is_like_ipv6(address)):
        return None
    try:
        found = parse_address(address)
    except ValueError:
        hint = "write an IPv6 address and its port as [ADDRESS]:PORT" if ":" in address else ""
        raise UsageError(f'"{text}": invalid IP address "{address}"', hint) from None
    return RuleTarget(text=text, address=found, port=None if port is None else _number(text, port))


def _is_like_ipv6(text: str) -> bool:
    return text.count(":") > 1 and _HEX_AND_COLONS.fullmatch(text) is not None


def _read_service(text: str, rest: str) -> RuleTarget | None:
    kind, slash, name = rest.rpartition("/")
    service, _, port = name.partition(":")
    if slash and kind not in _SERVICE_TYPES and _NAME.fullmatch(kind):
        raise UsageError(f'"{text}" is neither a service nor an address', f"did you mean -n {kind} {name}?")
    if (slash and kind not in _SERVICE_TYPES) or rest.endswith(":"):
        return None
    if "." in service and all(map(_NAME.fullmatch, service.split("."))):
        raise UsageError(f'"{text}": the name of a service has no dots', "name its namespace with -n")
    if not _NAME.fullmatch(service) or (port and not (_is_number(port) or _NAME.fullmatch(port))):
        return None
    return RuleTarget(
        text=text, service=service, port=_number(text, port) if _is_number(port) else port or None
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdecimal()


def _number(text: str, port: str) -> int:
    """Read the number of a port.

    Raises:
        UsageError: it is none.
    """
    if not _is_number(port):
        raise UsageError(f'"{text}": the port of an address is a number, not "{port}"')
    if len(port) > len(str(_HIGHEST_PORT)) or not 0 < int(port) <= _HIGHEST_PORT:
        raise UsageError(f'"{text}": port {port} is not between 1 and {_HIGHEST_PORT}')
    return int(port)

"""What the API says that a name should be answered with.

Source: Kubernetes DNS-Based Service Discovery (github.com/kubernetes/dns, specification.md); CoreDNS,
plugin/kubernetes/kubernetes.go (`findServices`) and object/endpoint.go: endpoints that are not ready are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from netinspect.analyze.dns.names import ServiceName, fold_name, split_service_name
from netinspect.models.address import Address, address_key, parse_address
from netinspect.models.dns import DnsAnswer
from netinspect.models.dns_report import ExpectedKind, ExpectedName
from netinspect.models.fact import Fact, Known
from netinspect.models.kubernetes import Endpoint, EndpointSlice, ObjectMeta, Service

_EXTERNAL_NAME = "ExternalName"


class NamedServices(msgspec.Struct, frozen=True, kw_only=True):
    """What the API says of the Services that names may lead to, at one moment.

    Attributes:
        services: those of these names, in all namespaces that could be looked at.
        slices: by NAMESPACE/NAME, the endpoints of those that are headless.
        asked: NAMESPACE/NAME of each that would have been found, were it there; a Service of which the API would not
            tell is not among them.
        read_at: when that was read, in seconds since the epoch.
    """

    services: tuple[Service, ...] = ()
    slices: dict[str, Fact[tuple[EndpointSlice, ...]]] = {}
    asked: frozenset[str] = frozenset()
    read_at: float = 0.0


def find_expected(name: str, domain: str, found: NamedServices) -> ExpectedName | None:
    """Return what the API says about a name; None where it says nothing, or could not be asked."""
    parts = split_service_name(name, domain)
    if parts is None:
        return None
    key = f"{parts.namespace}/{parts.service}"
    service = next((each for each in found.services if key_of(each) == key), None)
    if service is None:
        if key not in found.asked:
            return None
        return ExpectedName(
            name=name, kind=ExpectedKind.NO_SERVICE, service=key, source="the list of services"
        )
    if service.spec.type == _EXTERNAL_NAME:
        return None if parts.hostname else _external(name, service, found)
    if service.is_headless:
        return _headless(name, parts, service, found)
    return None if parts.hostname else _cluster_ip(name, service, found)


def key_of(service: Service) -> str:
    """NAMESPACE/NAME."""
    return f"{service.metadata.namespace}/{service.metadata.name}"


def differs(expected: ExpectedName, answer: DnsAnswer, type_: str) -> bool:
    """Whether an answer that came is another than the API says. Types that the API does not speak of never differ.

    A name that should not exist and is answered all the same may be a `hosts` or `rewrite` of the server's: by right.
    """
    if type_ not in ("A", "AAAA") or answer.status not in ("NOERROR", "NXDOMAIN") or "tc" in answer.flags:
        return False
    if expected.kind is ExpectedKind.NO_SERVICE:
        return False
    if expected.kind is ExpectedKind.EXTERNAL_NAME:
        targets = {fold_name(each.rdata) for each in answer.answer if each.type == "CNAME"}
        return fold_name(expected.cname) not in targets
    wanted = set(addresses_of(expected, type_))
    if not expected.addresses:
        return bool(answer.records)  # NXDOMAIN or no record: both say that there is nothing
    return answer.status != "NOERROR" or {_address(each.rdata) for each in answer.records} != wanted


def addresses_of(expected: ExpectedName, type_: str) -> tuple[Address, ...]:
    """Return the addresses that a record type holds."""
    version = 4 if type_ == "A" else 6
    return tuple(each for each in expected.addresses if each.version == version)


def is_same(one: ExpectedName, other: ExpectedName | None) -> bool:
    """Whether the API said the same at two times, whatever else changed of its objects."""
    return other is not None and (one.kind, set(one.addresses), one.cname) == (
        other.kind,
        set(other.addresses),
        other.cname,
    )


def _address(text: str) -> Address | None:
    try:
        return parse_address(text)
    except ValueError:
        return None


def _cluster_ip(name: str, service: Service, found: NamedServices) -> ExpectedName:
    addresses = [parse_address(each) for each in service.spec.cluster_ips if each]
    return ExpectedName(
        name=name,
        kind=ExpectedKind.CLUSTER_IP,
        service=key_of(service),
        addresses=tuple(addresses),
        changed_s=_age_s([service.metadata], found.read_at),
        source=_source(service),
    )


def _external(name: str, service: Service, found: NamedServices) -> ExpectedName:
    return ExpectedName(
        name=name,
        kind=ExpectedKind.EXTERNAL_NAME,
        service=key_of(service),
        cname=f"{service.spec.external_name.removesuffix('.')}.",
        changed_s=_age_s([service.metadata], found.read_at),
        source=_source(service),
    )


def _headless(name: str, parts: ServiceName, service: Service, found: NamedServices) -> ExpectedName | None:
    slices = found.slices.get(key_of(service))
    if not isinstance(slices, Known):
        return None
    ready = [each for one in slices.value for each in one.endpoints if each.ready]
    if parts.hostname:
        ready = [each for each in ready if each.hostname.lower() == parts.hostname]
        if not ready:
            return None  # dashed addresses and names of pods are other forms of it
    changes = (service.metadata, *(one.metadata for one in slices.value))
    return ExpectedName(
        name=name,
        kind=ExpectedKind.ENDPOINT if parts.hostname else ExpectedKind.HEADLESS,
        service=key_of(service),
        addresses=tuple(sorted(_ips(ready), key=address_key)),
        changed_s=_age_s(changes, found.read_at),
        source=", ".join((_source(service), *(_slice_source(one) for one in slices.value))),
    )


def _ips(endpoints: Iterable[Endpoint]) -> set[Address]:
    found = (_address(text) for endpoint in endpoints for text in endpoint.addresses)
    return {each for each in found if each is not None}


def _age_s(changed: Sequence[ObjectMeta], now: float) -> float | None:
    """Return how long ago the last change was, by the API server's clock and ours; None where none is told."""
    texts = [meta.creation_timestamp for meta in changed]
    texts += [each.time or "" for meta in changed for each in meta.managed_fields]
    try:
        return max(0.0, now - max(datetime.fromisoformat(text).timestamp() for text in texts if text))
    except ValueError:
        return None


def _source(service: Service) -> str:
    return f"service/{key_of(service)} resourceVersion {service.metadata.resource_version}"


def _slice_source(one: EndpointSlice) -> str:
    return f"endpointslice {one.metadata.name} resourceVersion {one.metadata.resource_version}"

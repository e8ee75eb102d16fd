"""Ask the API for the Services that names may lead to, and for the endpoints of the headless ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from netinspect.analyze.dns.expected import NamedServices, key_of
from netinspect.analyze.dns.names import ServiceName, is_label, split_service_name
from netinspect.models.fact import Fact, Gap, Known, Reason, Unavailable
from netinspect.models.kubernetes import EndpointSlice, Service
from netinspect.usecases.attempts import attempt

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource


def read_named_services(
    api: ApiSource, names: Iterable[str], given: Iterable[str], domain: str
) -> tuple[NamedServices, tuple[Gap, ...]]:
    """Read the Services behind names, and those of the same name in other namespaces.

    Args:
        api: the API server, or a recording of it.
        names: fully qualified ones; what has no form of a Service's name is passed over.
        given: names as they were given: their first label may be a Service elsewhere.
        domain: the cluster domain.

    Returns:
        what is there, and what the API would not tell. Without the right to list the Services of all namespaces, each
        is asked for by itself, and those of the same name elsewhere are not known.
    """
    read_at = api.now().timestamp()
    parts = [each for each in (split_service_name(name, domain) for name in names) if each is not None]
    firsts = [first for name in given if is_label(first := name.lower().partition(".")[0])]
    services: list[Service] = []
    asked: set[str] = set()
    gaps: list[Gap] = []
    for wanted in dict.fromkeys((*(each.service for each in parts), *firsts)):
        spaces = dict.fromkeys(each.namespace for each in parts if each.service == wanted)
        found = _list_by_name(api, wanted)
        if isinstance(found, Known):
            services += found.value
            asked |= {f"{space}/{wanted}" for space in spaces}
            continue
        for space in spaces:
            one = _get(api, ServiceName(wanted, space))
            if isinstance(one, Known):
                services.append(one.value)
            if isinstance(one, Known) or one.reason is Reason.NOT_FOUND:
                asked.add(f"{space}/{wanted}")
            else:
                gaps.append(Gap(f"service/{space}/{wanted}", "the Service", one.reason, one.detail))
    slices, slice_gaps = _read_slices(api, [each for each in services if each.is_headless])
    return (
        NamedServices(services=tuple(services), slices=slices, asked=frozenset(asked), read_at=read_at),
        (*gaps, *slice_gaps),
    )


def _list_by_name(api: ApiSource, name: str) -> Fact[tuple[Service, ...]]:
    selector = f"metadata.name={name}"
    return attempt(
        lambda: tuple(api.list_objects(Service, "/api/v1/services", field_selector=selector).items)
    )


def _get(api: ApiSource, name: ServiceName) -> Fact[Service]:
    path = f"/api/v1/namespaces/{name.namespace}/services/{name.service}"
    return attempt(lambda: api.get_object(Service, path))


def _read_slices(
    api: ApiSource, services: Iterable[Service]
) -> tuple[dict[str, Fact[tuple[EndpointSlice, ...]]], tuple[Gap, ...]]:
    slices = {key_of(each): _list_slices(api, each) for each in services}
    gaps = [
        Gap(f"service/{key}", "its endpoints", fact.reason, fact.detail)
        for key, fact in slices.items()
        if isinstance(fact, Unavailable)
    ]
    return slices, tuple(gaps)


def _list_slices(api: ApiSource, service: Service) -> Fact[tuple[EndpointSlice, ...]]:
    meta = service.metadata
    path = f"/apis/discovery.k8s.io/v1/namespaces/{meta.namespace}/endpointslices"
    selector = f"kubernetes.io/service-name={meta.name}"
    return attempt(lambda: tuple(api.list_objects(EndpointSlice, path, label_selector=selector).items))

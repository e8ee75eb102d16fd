"""List services with the endpoints behind them. Asks the API only: the services, and their EndpointSlices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from netinspect.analyze.services import build_service_entries
from netinspect.errors import UsageError
from netinspect.models.kubernetes import EndpointSlice, Service
from netinspect.models.listing import ServiceEntry
from netinspect.models.report import Report

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource

KIND = "ServiceList"

_TYPES = ("service", "services", "svc")
_MOST_NAMED = 50  # services in a label selector: it travels in the URL, which proxies cap at 8 KB


def list_services(
    api: ApiSource,
    names: Sequence[str] = (),
    *,
    namespace: str = "",
    selector: str = "",
    all_namespaces: bool = False,
) -> Report[ServiceEntry]:
    """Return the services that are meant; where none is named, those of the namespace (as `kubectl get services`).

    Args:
        api: the API server, or a recording of it.
        names: `NAME` or `svc/NAME`; each service is listed once, in the order named.
        namespace: of the services; "" leaves it to the context.
        selector: a label selector, in place of names.
        all_namespaces: look in every namespace, in place of names.

    Raises:
        UsageError: things are named that exclude each other, or that are no services.
        ClusterError: the API server refused or failed; a named service does not exist.
    """
    wanted = parse_service_names(names)
    _check(wanted, selector, all_namespaces=all_namespaces)
    scope = "" if all_namespaces else f"/namespaces/{namespace or api.namespace}"
    path = f"/api/v1{scope}/services"
    if wanted:
        services = tuple(api.get_object(Service, f"{path}/{quote(name, safe='')}") for name in wanted)
    else:
        services = tuple(api.list_objects(Service, path, label_selector=selector).items)
    is_part = bool(wanted or selector)
    slices = _list_slices(api, scope, services if is_part else None) if services else ()
    return Report(kind=KIND, items=build_service_entries(services, slices))


def parse_service_names(names: Sequence[str]) -> tuple[str, ...]:
    """Read `NAME`, `svc/NAME` and `svc NAME...` into names, each once; `svc` alone asks for all.

    Raises:
        UsageError: as kubectl says it.
    """
    rest = names[1:] if names and names[0] in _TYPES else names
    if len(rest) < len(names) and any("/" in name for name in rest):
        raise UsageError(
            "there is no need to specify a resource type as a separate argument "
            "when passing arguments in resource/name form"
        )
    return tuple(dict.fromkeys(_parse_name(name) for name in rest))


def _parse_name(text: str) -> str:
    kind, slash, name = text.partition("/")
    if not slash and text:
        return text
    if not kind or not name or "/" in name:
        raise UsageError("arguments in resource/name form must have a single resource and name")
    if kind not in _TYPES:
        raise UsageError(f'"{text}" is no service', "name services as NAME or svc/NAME")
    return name


def _check(names: Sequence[str], selector: str, *, all_namespaces: bool) -> None:
    if names and all_namespaces:
        raise UsageError("a resource cannot be retrieved by name across all namespaces")
    if names and selector:
        raise UsageError("name cannot be provided when a selector is specified")


def _list_slices(api: ApiSource, scope: str, services: Sequence[Service] | None) -> tuple[EndpointSlice, ...]:
    """List the slices of the scope: of these services only, where they are few enough to be named."""
    names = sorted({each.metadata.name for each in services or ()})
    selector = ""
    if services is not None and len(names) <= _MOST_NAMED:
        selector = f"kubernetes.io/service-name in ({','.join(names)})"
    path = f"/apis/discovery.k8s.io/v1{scope}/endpointslices"
    return tuple(api.list_objects(EndpointSlice, path, label_selector=selector).items)

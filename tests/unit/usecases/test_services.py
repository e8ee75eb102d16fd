"""Which services and slices are asked for, and what the command line may name."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from netinspect.cluster.listing import ListResult
from netinspect.errors import ClusterError, UsageError
from netinspect.models.kubernetes import EndpointSlice, Service
from netinspect.models.listing import ServiceEntry
from netinspect.models.report import Report
from netinspect.parse.api import parse_object
from netinspect.usecases.services import list_services, parse_service_names


class FakeApi:
    """An API server that holds services and slices, and notes what it is asked."""

    namespace = "demo"

    def __init__(self, services: dict[str, str], slices: dict[str, str] | None = None) -> None:
        self.services = services  # name -> namespace
        self.slices = slices or {}  # name -> "namespace/service"
        self.asked: list[tuple[str, str]] = []

    def get_object(self, type_: type[Any], path: str) -> Any:
        self.asked.append((path, ""))
        name = path.rpartition("/")[2]
        if name not in self.services:
            raise ClusterError(f'Error from server (NotFound): services "{name}" not found', status=404)
        return self._service(name)

    def list_objects(self, type_: type[Any], path: str, *, label_selector: str = "") -> ListResult[Any]:
        self.asked.append((path, label_selector))
        items: list[Any]
        if type_ is Service:
            items = [self._service(name) for name in self.services]
        else:
            items = [self._slice(name) for name in self.slices]
        return ListResult(tuple(each for each in items if self._is_in(each, path)), "1")

    def _is_in(self, item: Any, path: str) -> bool:
        return "/namespaces/" not in path or f"/namespaces/{item.metadata.namespace}/" in path

    def _service(self, name: str) -> Service:
        metadata = {"name": name, "namespace": self.services[name]}
        spec = {"clusterIPs": ["fd00:10:96::a"], "ipFamilies": ["IPv6"], "ports": [{"port": 80}]}
        return parse_object(Service, msgspec.json.encode({"metadata": metadata, "spec": spec}))

    def _slice(self, name: str) -> EndpointSlice:
        namespace, _, service = self.slices[name].partition("/")
        labels = {"kubernetes.io/service-name": service}
        metadata = {"name": name, "namespace": namespace, "labels": labels}
        whole = {"metadata": metadata, "addressType": "IPv6", "endpoints": [{"addresses": ["fd00::7"]}]}
        return parse_object(EndpointSlice, msgspec.json.encode({**whole, "ports": [{"port": 8080}]}))


SERVICES = {"web": "demo", "api": "demo", "dns": "system"}
SLICES = {"web-1": "demo/web", "dns-1": "system/dns"}


def run(api: FakeApi, *names: str, **wishes: Any) -> Report[ServiceEntry]:
    return list_services(cast("Any", api), names, **wishes)


def found(report: Report[ServiceEntry]) -> list[tuple[str, int]]:
    return [(entry.name, entry.counts[0].total) for entry in report.items]


def test_without_a_name_the_namespace_is_listed_in_two_calls() -> None:
    """One list of services, one of all slices."""
    api = FakeApi(SERVICES, SLICES)
    assert found(run(api)) == [("web", 1), ("api", 0)]
    assert api.asked == [
        ("/api/v1/namespaces/demo/services", ""),
        ("/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices", ""),
    ]


def test_all_namespaces_are_listed_in_two_calls() -> None:
    """No call a namespace, however many there are."""
    api = FakeApi(SERVICES, SLICES)
    assert found(run(api, all_namespaces=True)) == [("web", 1), ("api", 0), ("dns", 1)]
    assert [path for path, _ in api.asked] == ["/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices"]


def test_named_services_come_in_the_order_named_and_only_their_slices_are_read() -> None:
    """A slice's label names its service, so that the server can leave out the others."""
    api = FakeApi(SERVICES, SLICES)
    assert found(run(api, "web", "svc/api", "web")) == [("web", 1), ("api", 0)]
    assert api.asked[-1][1] == "kubernetes.io/service-name in (api,web)"


def test_a_selector_goes_to_the_server() -> None:
    """Slices are then read of what was found: those made by hand bear none of their service's labels."""
    api = FakeApi({"web": "demo"}, SLICES)
    assert found(run(api, selector="app=web")) == [("web", 1)]
    assert api.asked == [
        ("/api/v1/namespaces/demo/services", "app=web"),
        (
            "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices",
            "kubernetes.io/service-name in (web)",
        ),
    ]


def test_more_services_than_a_url_holds_are_not_named_in_it() -> None:
    """Proxies cap a URL at 8 KB: then all slices are read."""
    api = FakeApi({f"service-{i}": "demo" for i in range(51)})
    run(api, selector="app=web")
    assert api.asked[-1][1] == ""


def test_without_a_service_no_slices_are_read() -> None:
    """An empty namespace costs one call."""
    api = FakeApi({})
    assert run(api, namespace="empty").items == ()
    assert [path for path, _ in api.asked] == ["/api/v1/namespaces/empty/services"]


def test_a_service_that_does_not_exist_is_the_servers_error() -> None:
    """In kubectl's words."""
    with pytest.raises(ClusterError, match='services "nosuch" not found'):
        run(FakeApi(SERVICES), "nosuch")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), ()),
        (("web",), ("web",)),
        (("svc/web", "service/api", "services/dns"), ("web", "api", "dns")),
        (("svc", "web", "api"), ("web", "api")),
        (("svc",), ()),
        (("web", "svc/web"), ("web",)),
    ],
)
def test_names_are_read_as_kubectl_reads_them(names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """`NAME`, `TYPE/NAME`, `TYPE NAME...` and `TYPE` alone."""
    assert parse_service_names(names) == expected


@pytest.mark.parametrize(
    "names", [("deploy/web",), ("svc/",), ("/web",), ("svc/a/b",), ("svc", "svc/web"), ("",)]
)
def test_names_that_are_no_services_are_refused(names: tuple[str, ...]) -> None:
    """A wrong type is said before the server is asked."""
    api = FakeApi(SERVICES)
    with pytest.raises(UsageError):
        run(api, *names)
    assert api.asked == []


@pytest.mark.parametrize("wishes", [{"all_namespaces": True}, {"selector": "app=web"}])
def test_a_name_excludes_other_ways_to_choose(wishes: dict[str, Any]) -> None:
    """As with kubectl get."""
    with pytest.raises(UsageError):
        run(FakeApi(SERVICES), "web", **wishes)


def test_a_name_cannot_reach_another_path() -> None:
    """What is no name stays one part of the path."""
    api = FakeApi(SERVICES)
    with pytest.raises(ClusterError):
        run(api, "web?x=y")
    assert api.asked == [("/api/v1/namespaces/demo/services/web%3Fx%3Dy", "")]

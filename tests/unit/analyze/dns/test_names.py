"""Names of Services, and the cluster domain in a search list."""

from __future__ import annotations

import pytest

from netinspect.analyze.dns.names import ServiceName, is_in_domain, split_service_name
from netinspect.analyze.dns.service import find_search_domain


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("web.demo.svc.cluster.local.", ServiceName("web", "demo")),
        ("Web.Demo.SVC.cluster.local", ServiceName("web", "demo")),
        ("db-0.db.demo.svc.cluster.local.", ServiceName("db", "demo", "db-0")),
        ("demo.svc.cluster.local.", None),
        ("svc.cluster.local.", None),
        ("web.demo.pod.cluster.local.", None),
        ("web.demo.svc.cluster.local.corp.test.", None),
        ("web.demo.svc.other.local.", None),
        ("_http._tcp.web.demo.svc.cluster.local.", None),
        ("_x.demo.svc.cluster.local.", None),
        ("a,b.demo.svc.cluster.local.", None),
        ("..svc.cluster.local.", None),
    ],
)
def test_names_of_services_and_of_their_endpoints_are_told_from_others(
    name: str, parts: ServiceName | None
) -> None:
    """In whatever case, with the root's dot or without."""
    assert split_service_name(name, "cluster.local") == parts


def test_a_domain_ends_at_a_dot() -> None:
    """What merely ends with the same letters is outside."""
    assert is_in_domain("web.demo.svc.cluster.local.", "cluster.local")
    assert is_in_domain("cluster.local", "cluster.local")
    assert not is_in_domain("mycluster.local.", "cluster.local")


@pytest.mark.parametrize(
    ("search", "domain"),
    [
        (("demo.svc.corp.test", "svc.corp.test", "corp.test", "example.com"), "corp.test"),
        (("demo.svc.Corp.test.", "SVC.corp.test"), "corp.test"),
        (("example.com", "demo.svc.example.com"), None),
        (("shop.svc.corp.test", "svc.corp.test"), None),
        ((), None),
    ],
)
def test_the_cluster_domain_is_what_the_kubelet_put_behind_the_namespace(
    search: tuple[str, ...], domain: str | None
) -> None:
    """Two of its domains have to agree: a dnsConfig may have a lookalike."""
    assert find_search_domain("demo", search) == domain

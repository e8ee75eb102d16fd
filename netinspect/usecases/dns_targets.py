"""Find a cluster's DNS through the API: the Service that pods ask, what serves it, its Corefile, the cluster domain.

Names: the Service is `kube-system/kube-dns` almost everywhere, also where CoreDNS serves it; OpenShift and RKE2 have
names of their own. Where none of these is there, it is the Service whose ClusterIP is
the name server of a pod.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec.structs import replace

from netinspect.analyze.dns.corefile import find_cluster_domain
from netinspect.analyze.dns.service import build_dns_service, find_search_domain
from netinspect.errors import ClusterError, ParseError, TargetError
from netinspect.models.address import Address
from netinspect.models.corefile import Corefile
from netinspect.models.dns_cluster import ClusterDomain, DnsCluster, DnsService, NodeLocalPod
from netinspect.models.fact import Fact, Gap, Known, Reason, Unavailable
from netinspect.models.kubernetes import ConfigMap, EndpointSlice, Node, Pod, Service
from netinspect.parse.corefile import parse_corefile
from netinspect.usecases.attempts import attempt

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource

SERVICES = (
    ("kube-system", "kube-dns"),
    ("openshift-dns", "dns-default"),
    ("kube-system", "rke2-coredns-rke2-coredns"),
    ("kube-system", "coredns"),
)
"""The names that installers give the DNS Service: kubeadm and most others, OpenShift, RKE2, helm."""

_CONFIG_MAPS = ("coredns", "dns-default", "rke2-coredns-rke2-coredns")
_COREFILE = "Corefile"
_NODE_LOCAL = "k8s-app=node-local-dns"
_LINUX = "linux"


def read_dns_cluster(api: ApiSource, nameservers: Sequence[Address] = ()) -> DnsCluster:
    """Read what the API says of the cluster's DNS. What may not be read is Unavailable, not an error.

    Args:
        api: the API server, or a recording of it.
        nameservers: of a pod's resolv.conf: where no Service has a known name, the one with such an address is it.

    Raises:
        DeadlineError: the time is over.
    """
    with ThreadPoolExecutor(3) as pool:
        service = pool.submit(_read_service, api, tuple(nameservers))
        corefile = pool.submit(_read_corefile, api)
        node_local = pool.submit(attempt, partial(_list_node_local, api))
    found, source = corefile.result()
    cluster = DnsCluster(
        service=service.result(),
        corefile=found,
        corefile_source=source,
        node_local=node_local.result(),
    )
    domain = find_cluster_domain(found.value) if isinstance(found, Known) else None
    return replace(cluster, domain=ClusterDomain(name=domain, source=source)) if domain else cluster


def with_search_domain(cluster: DnsCluster, namespace: str, search: Sequence[str], source: str) -> DnsCluster:
    """Return the cluster with the domain that a pod's search list says, where the Corefile does not say it."""
    if cluster.domain is not None:
        return cluster
    domain = find_search_domain(namespace, search)
    return replace(cluster, domain=ClusterDomain(name=domain, source=source)) if domain else cluster


def find_dns_gaps(cluster: DnsCluster) -> tuple[Gap, ...]:
    """List what could not be read. That the cluster has no such object is no gap."""
    facts: list[tuple[str, str, object]] = [
        ("cluster", "the DNS Service", cluster.service),
        ("cluster", "CoreDNS's Corefile", cluster.corefile),
        ("cluster", "the pods of NodeLocal DNSCache", cluster.node_local),
    ]
    if isinstance(cluster.service, Known):
        facts.append(
            (f"service/{cluster.service.value.key}", "its endpoints", cluster.service.value.endpoints)
        )
    return tuple(
        Gap(subject, what, fact.reason, fact.detail)
        for subject, what, fact in facts
        if isinstance(fact, Unavailable) and fact.reason is not Reason.NOT_FOUND
    )


def find_service_by_address(api: ApiSource, address: Address) -> Service | None:
    """Return the Service that has this ClusterIP; None where none has.

    Raises:
        ClusterError: the list of all Services was refused, or failed.
    """
    listed = api.list_objects(Service, "/api/v1/services").items
    return next((each for each in listed if str(address) in each.spec.cluster_ips), None)


def choose_node(api: ApiSource) -> str:
    """Return the node to ask from where none is named: of those that are Ready and run Linux, the first by name.

    Raises:
        TargetError: there is none.
        ClusterError: the API server refused or failed.
    """
    try:
        listed = api.list_objects(Node, "/api/v1/nodes").items
    except ClusterError as error:
        if error.status == HTTPStatus.FORBIDDEN:
            error.hint = error.hint or "name a node with --node: then nodes need not be listed"
        raise
    names = sorted(
        node.metadata.name
        for node in listed
        if node.is_ready and node.status.node_info.operating_system in ("", _LINUX)
    )
    if not names:
        raise TargetError("the cluster has no node that is Ready and runs Linux", "name one with --node")
    return names[0]


def _read_service(api: ApiSource, nameservers: tuple[Address, ...]) -> Fact[DnsService]:
    refusal: Unavailable | None = None
    for namespace, name in SERVICES:
        path = f"/api/v1/namespaces/{namespace}/services/{name}"
        found = attempt(partial(api.get_object, Service, path))
        if isinstance(found, Known):
            return _with_endpoints(api, found.value, "by its name")
        if found.reason is not Reason.NOT_FOUND:
            refusal = refusal or found
    for address in nameservers:
        listed = attempt(partial(find_service_by_address, api, address))
        if isinstance(listed, Unavailable):
            refusal = refusal or listed
        elif listed.value is not None:
            return _with_endpoints(api, listed.value, f"by its address {address}, a name server of the pod")
    return refusal or Unavailable(Reason.NOT_FOUND, f"no Service has a known name: {_known_names()}")


def _known_names() -> str:
    return ", ".join(f"{namespace}/{name}" for namespace, name in SERVICES)


def _with_endpoints(api: ApiSource, service: Service, found_by: str) -> Fact[DnsService]:
    meta = service.metadata
    path = f"/apis/discovery.k8s.io/v1/namespaces/{quote(meta.namespace, safe='')}/endpointslices"
    selector = f"kubernetes.io/service-name={meta.name}"
    slices = attempt(lambda: tuple(api.list_objects(EndpointSlice, path, label_selector=selector).items))
    return Known(build_dns_service(service, slices, found_by))


def _read_corefile(api: ApiSource) -> tuple[Fact[Corefile], str]:
    refusal: Unavailable | None = None
    namespaces = dict.fromkeys(namespace for namespace, _ in SERVICES)
    for namespace, name in ((space, name) for space in namespaces for name in _CONFIG_MAPS):
        path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        found = attempt(partial(api.get_object, ConfigMap, path))
        if isinstance(found, Known) and _COREFILE in found.value.data:
            source = f"{_COREFILE} of configmap {namespace}/{name}"
            return _parse(found.value.data[_COREFILE]), source
        if isinstance(found, Unavailable) and found.reason is not Reason.NOT_FOUND:
            refusal = refusal or found
    return refusal or Unavailable(Reason.NOT_FOUND, "no ConfigMap with a Corefile has a known name"), ""


def _parse(text: str) -> Fact[Corefile]:
    try:
        return Known(parse_corefile(text))
    except ParseError as error:
        return Unavailable(Reason.UNPARSABLE, error.message)


def _list_node_local(api: ApiSource) -> tuple[NodeLocalPod, ...]:
    path = "/api/v1/namespaces/kube-system/pods"
    pods = api.list_objects(Pod, path, label_selector=_NODE_LOCAL).items
    return tuple(
        NodeLocalPod(
            namespace=pod.metadata.namespace,
            name=pod.metadata.name,
            node=pod.spec.node_name,
            is_ready=any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions),
        )
        for pod in pods
    )

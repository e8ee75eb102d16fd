"""What `dns` answers: from where it was asked, what a resolver asks for, what came, and what the API says."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from netinspect.models.address import Address
from netinspect.models.dns import DnsRun
from netinspect.models.dns_cluster import DnsCluster
from netinspect.models.report import JudgedReport
from netinspect.models.resolver import Libc, LookupResult, QueryPlan, ResolvConf


class _Struct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of the answer."""


class DnsOrigin(_Struct, frozen=True, kw_only=True):
    """From where was asked, and whose resolver it was.

    Attributes:
        node: the node.
        namespace: the pod's, or the one that a pod is assumed in.
        pod: the pod's name; "" where the node itself asked.
        netns: the inode of the pod's netns; None for the node's own.
        host_network: the pod uses its node's network.
        dns_policy: the pod's.
        has_dns_config: the pod has a dnsConfig of its own.
        source: where the resolver's settings come from, in words.
        text: the resolv.conf as it was read; "" where none was.
        conf: what it says, or what a pod's would say.
        container: the container whose file it is; "" for the sandbox.
        pid: the process whose file it is, by its PID on the node.
    """

    node: str
    namespace: str
    pod: str = ""
    netns: int | None = None
    host_network: bool = False
    dns_policy: str = ""
    has_dns_config: bool = False
    source: str
    text: str = ""
    conf: ResolvConf
    container: str = ""
    pid: int | None = None


class ExpectedKind(StrEnum):
    """What the API knows behind a name."""

    CLUSTER_IP = "cluster-ip"
    HEADLESS = "headless"
    ENDPOINT = "endpoint"
    """HOSTNAME.SERVICE.NAMESPACE.svc: one endpoint of a headless Service."""
    EXTERNAL_NAME = "external-name"
    NO_SERVICE = "no-service"
    """The name has the form of a Service's, and there is none."""


class ExpectedName(_Struct, frozen=True, kw_only=True):
    """What the API says that a name should be answered with.

    Attributes:
        name: fully qualified, with the root's dot.
        kind: what stands behind it.
        service: NAMESPACE/NAME of the Service.
        addresses: both families; none for a name that should not exist, and for a CNAME.
        cname: what an ExternalName stands for, with the root's dot.
        changed_s: how long ago what is expected last changed, in seconds; None where that is not known.
        source: the objects that say so, with their resourceVersions.
    """

    name: str
    kind: ExpectedKind
    service: str
    addresses: tuple[Address, ...] = ()
    cname: str = ""
    changed_s: float | None = None
    source: str


class LibcResult(_Struct, frozen=True, kw_only=True):
    """How a libc's lookup would end with the answers that came."""

    libc: Libc
    result: LookupResult


class DnsLookup(_Struct, frozen=True, kw_only=True):
    """One name: what a resolver asks for it, and what came.

    Attributes:
        name: as it was given.
        plans: what getaddrinfo asks, for each libc.
        runs: the questions of the plan that were put, to each server, by UDP and some by TCP.
        again: those of them that the API has an answer to, put once more.
        others: questions that no resolver here would put: whether the name exists elsewhere, or at another server.
        results: how each libc's lookup would end. Empty where A and AAAA were not both asked for.
        expected: what the API says about the names that were asked for.
    """

    name: str
    plans: tuple[QueryPlan, ...]
    runs: tuple[DnsRun, ...] = ()
    again: tuple[DnsRun, ...] = ()
    others: tuple[DnsRun, ...] = ()
    results: tuple[LibcResult, ...] = ()
    expected: tuple[ExpectedName, ...] = ()


class DnsReport(JudgedReport[DnsLookup], frozen=True, kw_only=True, rename="camel"):
    """The answer of `dns`.

    Attributes:
        origin: from where was asked.
        cluster: what the API says of the cluster's DNS.
    """

    origin: DnsOrigin
    cluster: DnsCluster

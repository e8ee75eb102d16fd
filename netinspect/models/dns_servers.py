"""What `dns --servers` answers: each server of the cluster's DNS, asked many times."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from netinspect.models.address import Address
from netinspect.models.dns import DnsDisagreement, DnsRun, DnsServerStatistics
from netinspect.models.dns_cluster import DnsCluster
from netinspect.models.fact import Fact
from netinspect.models.report import JudgedReport


class _Struct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of the answer."""


class ServerRole(StrEnum):
    """What a server is to the cluster's DNS.

    SERVICE: an address of the DNS Service. ENDPOINT: one of its endpoints, asked past the Service. NODE_LOCAL: an
    address of NodeLocal DNSCache on the node. NAMESERVER: another name server of the pod's resolv.conf.
    """

    SERVICE = "service"
    ENDPOINT = "endpoint"
    NODE_LOCAL = "node-local"
    NAMESERVER = "nameserver"


class ServerToAsk(_Struct, frozen=True, kw_only=True):
    """A server that is to be asked.

    Attributes:
        role: what it is.
        address: its address.
        name: the Service or the pod behind it, as NAMESPACE/NAME; "" where the API names none.
        node: the node of the pod behind it.
        is_ready: whether kube-proxy sends questions there; None for what is no endpoint.
        udp_port: where it takes questions by UDP; None where it does not.
        tcp_port: likewise by TCP.
        is_changed: it was an endpoint before the run and is none afterwards, or was not ready at one of both times.
    """

    role: ServerRole
    address: Address
    name: str = ""
    node: str = ""
    is_ready: bool | None = None
    udp_port: int | None = 53
    tcp_port: int | None = 53
    is_changed: bool = False


class AskedServer(_Struct, frozen=True, kw_only=True):
    """A server, and what came of the questions that were put to it by one protocol."""

    server: ServerToAsk
    statistics: DnsServerStatistics


class DnsSeries(_Struct, frozen=True, kw_only=True):
    """All that came of one series of questions.

    Attributes:
        node: the node that asked.
        pod: NAMESPACE/NAME of the pod in whose netns was asked; "" for the node's own.
        servers: those that were to be asked.
        cluster: the cluster's DNS, as the API says.
        nameservers: those of the pod's resolv.conf; none where the node itself asks.
        unsettled: names whose Service changed less than a minute before: caches may differ by right.
        runs: the questions in the order put, each with its answer.
        counters: what the node's conntrack counters rose by meanwhile, all CPUs together, by the tool's names.
    """

    node: str
    pod: str = ""
    servers: tuple[ServerToAsk, ...]
    cluster: DnsCluster
    nameservers: tuple[Address, ...] = ()
    unsettled: tuple[str, ...] = ()
    runs: tuple[DnsRun, ...]
    counters: Fact[dict[str, int]]


class DnsServersReport(JudgedReport[AskedServer], frozen=True, kw_only=True, rename="camel"):
    """The answer of `dns --servers`.

    Attributes:
        node: the node that asked.
        pod: NAMESPACE/NAME of the pod in whose netns was asked; "" for the node's own.
        names: the names asked for, fully qualified.
        types: the record types asked for.
        disagreements: the questions to which not all answers were the same.
        counters: what the node's conntrack counters rose by meanwhile; None where they could not be read.
    """

    node: str
    pod: str = ""
    names: tuple[str, ...]
    types: tuple[str, ...]
    disagreements: tuple[DnsDisagreement, ...] = ()
    counters: dict[str, int] | None = None

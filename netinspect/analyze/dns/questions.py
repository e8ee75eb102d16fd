"""Which questions show what becomes of a name: those of its plan, and some that tell why it fails."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import msgspec

from netinspect.analyze.dns.names import fold_name, is_in_domain
from netinspect.analyze.dns.plan import plan_queries
from netinspect.models.address import Address
from netinspect.models.dns import DnsProtocol
from netinspect.models.dns_query import DnsQuery
from netinspect.models.dns_report import ExpectedKind, ExpectedName
from netinspect.models.resolver import Libc, PlanStep, QueryPlan, ResolvConf

ADDRESS_TYPES = ("A", "AAAA")
_SERVICE_FORM = re.compile(r"_[^.]+\._(tcp|udp|sctp)\.", re.IGNORECASE)


class DnsServer(msgspec.Struct, frozen=True):
    """A server that can be asked.

    Attributes:
        address: its address.
        udp_port: where it takes questions by UDP; None where it does not.
        tcp_port: likewise by TCP.
    """

    address: Address
    udp_port: int | None = 53
    tcp_port: int | None = 53


class NameQuestions(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for one name.

    Attributes:
        name: as it was given.
        plans: of each libc.
        series: the questions of the plans by UDP, and those of the likeliest name by TCP.
        again: those that the API has an answer to: they are put a second time, later.
        others: questions that the resolver would not put.
    """

    name: str
    plans: tuple[QueryPlan, ...]
    series: tuple[DnsQuery, ...] = ()
    again: tuple[DnsQuery, ...] = ()
    others: tuple[DnsQuery, ...] = ()


def plan_name(name: str, conf: ResolvConf) -> tuple[QueryPlan, ...]:
    """Return what each libc asks for a name."""
    return tuple(plan_queries(name, conf, libc) for libc in Libc)


def list_steps(plans: Sequence[QueryPlan]) -> tuple[PlanStep, ...]:
    """Return the names that any of the plans tries, each once, in the order of the first plan that does."""
    return tuple({step.name: step for plan in reversed(plans) for step in reversed(plan.steps)}.values())[
        ::-1
    ]


def list_full_names(name: str, namespace: str, domain: str | None) -> tuple[str, ...]:
    """Return the names in the cluster domain that somebody may have meant by a name, the likeliest first."""
    if not domain or not name.strip("."):
        return ()
    bare = fold_name(name)
    if is_in_domain(bare, domain):
        return (f"{bare}.",)
    return tuple(f"{bare}.{ending}." for ending in (f"{namespace}.svc.{domain}", f"svc.{domain}", domain))


def find_service_label(name: str, domain: str, namespaces: Collection[str]) -> str | None:
    """Return the Service that a name as given may mean; None for a name that is of no such form.

    Args:
        name: NAME, NAME.NAMESPACE, NAME.NAMESPACE.svc or NAME.NAMESPACE.svc.DOMAIN.
        domain: the cluster domain.
        namespaces: those that are known: `web.com` may be anybody's, `web.shop` with a namespace `shop` hardly.
    """
    bare = fold_name(name)
    first, *rest = bare.removesuffix(f".{domain}").split(".")
    is_full = is_in_domain(bare, domain)
    if len(rest) == 2 and rest[1] == "svc":
        return first
    if is_full or len(rest) > 1 or (rest and rest[0] not in namespaces):
        return None
    return first


def design_questions(
    name: str,
    plans: tuple[QueryPlan, ...],
    servers: Sequence[DnsServer],
    cluster_servers: Sequence[DnsServer],
    *,
    types: Sequence[str],
    known: Mapping[str, ExpectedName],
    full_names: Sequence[str],
) -> NameQuestions:
    """Choose the questions for one name.

    Args:
        name: as it was given.
        plans: of each libc.
        servers: those that the resolver asks.
        cluster_servers: the addresses of the DNS Service.
        types: the record types to ask for.
        known: by name, what the API says.
        full_names: of `list_full_names`.
    """
    steps = [step.name for step in list_steps(plans)]
    likely = _likely(plans, known, full_names)
    by_udp = [
        each for step in steps for server in servers for each in _ask(server, step, types, DnsProtocol.UDP)
    ]
    by_tcp = [each for server in servers for each in _ask(server, likely, types, DnsProtocol.TCP) if likely]
    judged = [step for step in steps if step in known and known[step].kind is not ExpectedKind.NO_SERVICE]
    again = [each for each in by_udp if each.name in judged and each.type in ADDRESS_TYPES]
    asked = {query.name for query in by_udp if query.server in [each.address for each in cluster_servers]}
    missing = [
        each
        for each in full_names
        if each not in asked and each in known and known[each].kind is not ExpectedKind.NO_SERVICE
    ]
    others = [
        each
        for full in missing
        for server in _nearest(servers, cluster_servers)
        for each in _ask(server, full, types, DnsProtocol.UDP)
    ]
    return NameQuestions(
        name=name, plans=plans, series=(*by_udp, *by_tcp), again=tuple(again), others=tuple(others)
    )


def _likely(plans: Sequence[QueryPlan], known: Mapping[str, ExpectedName], full_names: Sequence[str]) -> str:
    """Return the name that is expected to be found: by the API, by its form, else the name as it was given."""
    steps = list_steps(plans)
    for step in steps:
        if step.name in known and known[step.name].kind is not ExpectedKind.NO_SERVICE:
            return step.name
    tried = {step.name for step in steps}
    # `_http._tcp.web.shop.svc`: of the Service's, and the API knows no such name. Only one `svc` is in its place.
    of_service = [each for each in full_names if each in tried and each.split(".").count("svc") == 1]
    if of_service and _SERVICE_FORM.match(of_service[0]):
        return of_service[0]
    return next((step.name for step in steps if not step.domain), steps[0].name if steps else "")


def _nearest(servers: Sequence[DnsServer], cluster_servers: Sequence[DnsServer]) -> Sequence[DnsServer]:
    """Return the one address of the DNS Service to ask: of the family that the resolver uses, where there is one."""
    versions = [each.address.version for each in servers[:1]]
    return sorted(cluster_servers, key=lambda each: each.address.version not in versions)[:1]


def _ask(server: DnsServer, name: str, types: Sequence[str], protocol: DnsProtocol) -> list[DnsQuery]:
    port = server.udp_port if protocol is DnsProtocol.UDP else server.tcp_port
    return [DnsQuery(server.address, name, type_, protocol, port) for type_ in types if port is not None]

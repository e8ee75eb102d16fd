"""What is wrong with the servers: no endpoint, no answer, one protocol only, REFUSED, SERVFAIL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netinspect.analyze.dns.case import (
    DnsCase,
    answer_of,
    by_protocol,
    evidence_of,
    has_status,
    is_answered,
    is_silent,
)
from netinspect.models.address import Address
from netinspect.models.dns import DnsOutcome, DnsProtocol, DnsRun
from netinspect.models.dns_cluster import NODE_LOCAL_LINK
from netinspect.models.fact import Known
from netinspect.models.finding import Evidence, Finding, Severity

_KNOWN_STATUSES = ("NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED")
_ONE_READING = "asked once from one place; a single lost packet looks the same"


def judge_servers(case: DnsCase) -> Iterator[Finding]:
    """Judge the DNS Service, the cache on the node, and each server that was asked."""
    yield from _judge_endpoints(case)
    yield from _judge_node_local(case)
    by_server: dict[Address, list[DnsRun]] = {}
    for run in case.runs():
        by_server.setdefault(run.server, []).append(run)
    is_any_alive = any(is_answered(run) for runs in by_server.values() for run in runs)
    for server, runs in by_server.items():
        yield from _judge_server(case, server, runs, is_any_alive=is_any_alive)


def _judge_endpoints(case: DnsCase) -> Iterator[Finding]:
    """F60: an address of the Service behind which nothing is ready."""
    if not isinstance(case.cluster.service, Known):
        return
    service = case.cluster.service.value
    if not isinstance(service.endpoints, Known):
        return
    ready = {each.address.version for each in service.endpoints.value if each.is_ready}
    dead = [address for address in service.cluster_ips if address.version not in ready]
    if not dead:
        return
    others = [each for each in service.endpoints.value if not each.is_ready]
    is_all = len(dead) == len(service.cluster_ips)
    shown = ", ".join(f"{each.address} ({each.pod or 'no pod'})" for each in others[:5]) or "none"
    families = "" if is_all else f" for {' and '.join(str(each) for each in dead)}"
    yield Finding(
        id="dns-no-endpoints",
        severity=Severity.CRIT if is_all else Severity.HIGH,
        subject=f"service/{service.key}",
        message=f"the DNS Service has no ready endpoint{families}: what is sent there is refused or dropped",
        evidence=(
            Evidence(
                source=f"EndpointSlices of service {service.key}",
                text=f"{len(service.endpoints.value)} endpoints, not ready: {shown}",
            ),
        ),
        advice=(
            f"look at the pods behind the Service: kubectl -n {service.namespace} get pods,endpointslices; are they "
            "scheduled, running and ready?"
        ),
    )


def _judge_node_local(case: DnsCase) -> Iterator[Finding]:
    """F64: the link of the cache is there and its pod is not: what is sent to its addresses goes nowhere.

    Where all is answered, the pod is there under another label.
    """
    addresses = case.node_local_addresses
    if not addresses or not isinstance(case.cluster.node_local, Known):
        return
    here = [each for each in case.cluster.node_local.value if each.node == case.origin.node]
    tried = [run for run in case.runs() if run.server in addresses and answer_of(run) is not None]
    if any(each.is_ready for each in here) or (tried and not any(is_silent(run) for run in tried)):
        return
    pods = (
        ", ".join(f"{each.name} is not ready" for each in here) or "no pod of the DaemonSet is on this node"
    )
    shown = ", ".join(str(each) for each in addresses)
    yield Finding(
        id="dns-node-local-down",
        severity=Severity.CRIT if tried else Severity.HIGH,
        subject=f"node/{case.origin.node}",
        node=case.origin.node,
        message=f"NodeLocal DNSCache does not run, and its link {NODE_LOCAL_LINK} still takes what is sent to {shown}",
        evidence=(Evidence(source="pods k8s-app=node-local-dns in kube-system", text=pods),),
        advice=f"bring its pod back, or delete the link {NODE_LOCAL_LINK} on the node until it is",
        not_judged=() if tried else ("nothing was asked at these addresses",),
    )


def _judge_server(
    case: DnsCase, server: Address, runs: Sequence[DnsRun], *, is_any_alive: bool
) -> Iterator[Finding]:
    udp, tcp = by_protocol(runs, DnsProtocol.UDP), by_protocol(runs, DnsProtocol.TCP)
    lost = [run for run in runs if is_silent(run)]
    if lost and not any(is_answered(run) for run in runs):
        yield _unreachable(case, server, lost, Severity.HIGH if is_any_alive else Severity.CRIT)
        return
    for own, other, finding_id in ((udp, tcp, "dns-udp-fails"), (tcp, udp, "dns-tcp-fails")):
        if _is_dead(own, other):
            yield _one_protocol(case, server, own, finding_id)
            lost = [run for run in lost if run not in own]
    yield from _judge_upstream(case, server, runs, lost)
    yield from _judge_statuses(case, server, runs)


def _is_dead(own: Sequence[DnsRun], other: Sequence[DnsRun]) -> bool:
    """Whether nothing is answered by a protocol, and one of the same questions is by the other."""
    answered = {(run.name, run.type) for run in other if is_answered(run)}
    is_lost = any(is_silent(run) and (run.name, run.type) in answered for run in own)
    return is_lost and not any(is_answered(run) for run in own)


def _unreachable(case: DnsCase, server: Address, lost: Sequence[DnsRun], severity: Severity) -> Finding:
    protocols = " and ".join(dict.fromkeys(run.protocol.value.upper() for run in lost))
    outcomes = {run.answer.value.outcome for run in lost if isinstance(run.answer, Known)}
    return Finding(
        id="dns-server-unreachable",
        severity=severity,
        subject=case.server_subject(server),
        node=case.origin.node,
        message=f"name server {server} gives no answer from {_place(case)}, by {protocols}",
        evidence=evidence_of(
            case, [*by_protocol(lost, DnsProtocol.UDP)[:2], *by_protocol(lost, DnsProtocol.TCP)[:1]]
        ),
        advice=_advise_unreachable(case, server, outcomes),
    )


def _advise_unreachable(case: DnsCase, server: Address, outcomes: set[DnsOutcome]) -> str:
    if server in case.unknown:
        return (
            f"is {server} an address of the cluster's DNS? If not, something rewrites the pod's resolv.conf"
        )
    if not case.is_cluster_server(server):
        return (
            f"{server} is no address of the cluster's DNS: look at the pod's dnsPolicy and dnsConfig, and at what else "
            "may write its resolv.conf"
            if case.origin.pod
            else f"is {server} a name server?"
        )
    if DnsOutcome.CONNECTION_REFUSED in outcomes:
        return (
            "it is refused at once: the Service has no ready endpoint by the rules of this node, or nothing listens; "
            "look at its endpoints and at kube-proxy on this node"
        )
    if DnsOutcome.UNREACHABLE in outcomes:
        return f"there is no way to {server} from here: look at the routes, and whether this family is used at all"
    return (
        "ask the endpoints directly (dns --servers); where they answer, the rules or the conntrack table of this node "
        "are at fault, where they do not, a NetworkPolicy or the way between the nodes"
    )


def _place(case: DnsCase) -> str:
    origin = case.origin
    return f"pod {origin.namespace}/{origin.pod}" if origin.pod else f"node {origin.node}"


def _one_protocol(case: DnsCase, server: Address, lost: Sequence[DnsRun], finding_id: str) -> Finding:
    """F61: the server answers by the other protocol."""
    is_udp = finding_id == "dns-udp-fails"
    dead, alive = ("UDP", "TCP") if is_udp else ("TCP", "UDP")
    breaks = (
        "every lookup waits until it times out"
        if is_udp
        else "answers that do not fit into a UDP message, and NodeLocal DNSCache, which asks by TCP, fail"
    )
    return Finding(
        id=finding_id,
        severity=Severity.CRIT if is_udp else Severity.HIGH,
        subject=case.server_subject(server),
        node=case.origin.node,
        message=f"name server {server} answers by {alive} and not by {dead} from {_place(case)}: {breaks}",
        evidence=evidence_of(case, lost),
        advice=(
            f"look for a NetworkPolicy or firewall that lets {dead} port 53 not pass, and whether the Service has "
            f"its {dead} port"
        ),
    )


def _judge_upstream(
    case: DnsCase, server: Address, runs: Sequence[DnsRun], lost: Sequence[DnsRun]
) -> Iterator[Finding]:
    """F62: external names fail where the cluster's own are answered; else losses are losses."""
    failed = [run for run in runs if has_status(run, "SERVFAIL")]
    inside = [
        run for run in runs if case.is_cluster_name(run.name) and has_status(run, "NOERROR", "NXDOMAIN")
    ]
    external = [run for run in (*failed, *lost) if not case.is_cluster_name(run.name)]
    if external and inside and len(external) == len(failed) + len(lost):
        yield Finding(
            id="dns-upstream-failure",
            severity=Severity.HIGH,
            subject=case.server_subject(server),
            node=case.origin.node,
            message=f"name server {server} answers for names of the cluster and fails for others",
            evidence=evidence_of(case, external),
            advice="look at the `forward` line of the Corefile, and whether the pods of CoreDNS reach what it names",
            not_judged=("asked at one address: which of the DNS pods failed is not known",),
        )
        return
    if failed:
        yield _servfail(case, server, failed)
    if lost:
        yield Finding(
            id="dns-lost-questions",
            severity=Severity.MED,
            subject=case.server_subject(server),
            node=case.origin.node,
            message=f"{len(lost)} of {len(runs)} questions to name server {server} got no answer",
            evidence=evidence_of(case, lost),
            advice="ask each server by itself, many times: kubectl netinspect dns --servers; one endpoint may be dead",
            not_judged=(_ONE_READING,),
        )


def _servfail(case: DnsCase, server: Address, failed: Sequence[DnsRun]) -> Finding:
    return Finding(
        id="dns-servfail",
        severity=Severity.HIGH,
        subject=case.server_subject(server),
        node=case.origin.node,
        message=f"name server {server} fails (SERVFAIL): it cannot find out what to answer",
        evidence=evidence_of(case, failed),
        advice="read the log of the DNS pods: do they reach the API server, and what `forward` names?",
    )


def _judge_statuses(case: DnsCase, server: Address, runs: Sequence[DnsRun]) -> Iterator[Finding]:
    refused = [run for run in runs if has_status(run, "REFUSED")]
    if refused:
        yield Finding(
            id="dns-refused",
            severity=Severity.HIGH,
            subject=case.server_subject(server),
            node=case.origin.node,
            message=f"name server {server} refuses to answer (REFUSED)",
            evidence=evidence_of(case, refused),
            advice="no zone of the Corefile is responsible for the name (no `.` block), or an `acl` forbids it",
        )
    odd = [run for run in runs if is_answered(run) and not has_status(run, *_KNOWN_STATUSES)]
    if odd:
        yield Finding(
            id="dns-unexpected-status",
            severity=Severity.MED,
            subject=case.server_subject(server),
            node=case.origin.node,
            message=f"name server {server} answers with a status that resolvers take for a failure",
            evidence=evidence_of(case, odd),
            advice="is it a DNS server for such questions?",
        )

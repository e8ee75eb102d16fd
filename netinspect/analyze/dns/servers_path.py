"""Which servers of a cluster's DNS do not answer, and what that says about the way to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netinspect.analyze.dns.servers import evidence_of, is_used, list_addresses, subject_of
from netinspect.models.address import Address
from netinspect.models.dns import DnsProtocol
from netinspect.models.dns_servers import AskedServer, DnsSeries, ServerRole
from netinspect.models.fact import Known
from netinspect.models.finding import Evidence, Finding, Severity

_MANY_LOST = 0.1
_FEW_ASKED = 3
_POLICY = "whether a NetworkPolicy keeps this place from asking: ask from a pod as well (--pod)"


def judge_paths(series: DnsSeries, asked: Sequence[AskedServer]) -> Iterator[Finding]:
    """Judge each family by itself: what does not answer at all, by one protocol only, or not always."""
    own_servers = [each for each in asked if each.server.role is not ServerRole.NAMESERVER]
    silent = [version for version in (4, 6) if _is_silent(_of_family(own_servers, version))]
    versions = sorted({each.server.address.version for each in own_servers or asked})
    for version in versions:
        own = _of_family(asked, version)
        if version in silent:
            yield _nothing_answers(
                series, version, _of_family(own_servers, version), is_all=silent == versions
            )
            continue
        dead = {each.server.address for each in own} - {
            each.server.address for each in own if each.statistics.answered
        }
        alive = [each for each in own if each.server.address not in dead]
        one_sided = list(_judge_protocols(series, [each for each in alive if _is_endpoint(each)]))
        # What kube-proxy sends to a dead endpoint is lost at the Service, too: that is no fault of its own.
        is_explained = bool(one_sided) or any(
            each.server.address in dead for each in own if _is_endpoint(each) and is_used(each.server)
        )
        is_explained |= any(each.is_changed and each.address.version == version for each in series.servers)
        yield from _judge_dead(series, own, dead, is_explained=is_explained)
        yield from one_sided
        rest = [each for each in alive if not _is_endpoint(each)]
        if is_explained:
            rest = [each for each in rest if each.server.role is not ServerRole.SERVICE]
        yield from _judge_protocols(series, rest)
        yield from _judge_loss(series, alive, is_explained=is_explained)


def judge_insert_race(series: DnsSeries) -> Iterator[Finding]:
    """F16: entries lost at confirm, as by two questions of one socket at once. Not with NodeLocal DNSCache."""
    if not isinstance(series.counters, Known):
        return
    failed = series.counters.value.get("insert_failed", 0)
    if not failed or any(each.role is ServerRole.NODE_LOCAL for each in series.servers):
        return
    yield Finding(
        id="dns-insert-race",
        severity=Severity.MED,
        subject=f"node/{series.node}",
        node=series.node,
        message=(
            f"conntrack on node {series.node} lost {failed} entries at confirm (insert_failed) during the run: "
            "packets of new flows were dropped, as they are when A and AAAA are asked for by one socket at once"
        ),
        evidence=(
            Evidence(source=f"conntrack -S on node {series.node}, twice", text=f"insert_failed +{failed}"),
        ),
        advice=(
            "NodeLocal DNSCache asks the cluster by TCP; `single-request-reopen` or `use-vc` in the pods' dnsConfig "
            "help glibc"
        ),
        not_judged=(
            "the counter is of all flows of the node, not of DNS alone",
            "the questions of this run are put one by one, and cannot race as those of getaddrinfo do",
        ),
    )


def _of_family(asked: Sequence[AskedServer], version: int) -> list[AskedServer]:
    return [each for each in asked if each.server.address.version == version]


def _is_silent(asked: Sequence[AskedServer]) -> bool:
    return any(each.statistics.lost for each in asked) and not any(each.statistics.answered for each in asked)


def _nothing_answers(series: DnsSeries, version: int, own: Sequence[AskedServer], *, is_all: bool) -> Finding:
    place = f"pod {series.pod}" if series.pod else f"node {series.node}"
    return Finding(
        id="dns-nothing-answers",
        severity=Severity.CRIT if is_all else Severity.HIGH,
        subject=f"pod/{series.pod}" if series.pod else f"node/{series.node}",
        node=series.node,
        message=f"no server of the cluster's DNS answers over IPv{version} from {place}: {list_addresses(own)}",
        evidence=tuple(evidence_of(series, each) for each in own[:6]),
        advice=_advise_silence(own),
        not_judged=() if series.pod else (_POLICY,),
    )


def _advise_silence(own: Sequence[AskedServer]) -> str:
    if any(_is_endpoint(each) for each in own):
        return (
            "endpoints that are asked directly do not answer either, so it is not kube-proxy's rules: look at the "
            "way from here to the pods (routes, overlay, NetworkPolicy), and at the DNS pods themselves"
        )
    return (
        "no endpoint was known that could be asked directly: look at the Service's endpoints first, then at kube-proxy "
        "on this node and at the way to the DNS pods"
    )


def _is_endpoint(each: AskedServer) -> bool:
    return each.server.role is ServerRole.ENDPOINT


def _judge_dead(
    series: DnsSeries, own: Sequence[AskedServer], dead: set[Address], *, is_explained: bool
) -> Iterator[Finding]:
    for address in sorted(dead, key=int):
        parts = [each for each in own if each.server.address == address]
        role = parts[0].server.role
        if not any(each.statistics.lost for each in parts) or not is_used(parts[0].server):
            continue
        if role is ServerRole.ENDPOINT:
            yield _dead_endpoint(series, own, parts)
        elif role is ServerRole.SERVICE:
            # Beside a dead endpoint chance can send all of a few questions there.
            if not is_explained and any(_is_endpoint(each) and each.statistics.answered for each in own):
                yield _dead_service(series, own, parts)
        else:
            is_all = bool(series.nameservers) and dead.issuperset(series.nameservers)
            yield _dead_server(series, parts, is_all=is_all)


def _dead_endpoint(series: DnsSeries, own: Sequence[AskedServer], parts: Sequence[AskedServer]) -> Finding:
    server = parts[0].server
    ready = {
        each.server.address
        for each in own
        if each.server.role is ServerRole.ENDPOINT and is_used(each.server)
    }
    behind = [each for each in own if each.server.role is ServerRole.SERVICE and each.statistics.lost]
    protocols = " and ".join(each.statistics.protocol.value.upper() for each in parts)
    return Finding(
        id="dns-endpoint-dead",
        severity=_weigh(Severity.HIGH, parts),
        subject=subject_of(parts[0]),
        node=series.node,
        message=(
            f"endpoint {server.address} on node {server.node or 'unknown'} gives no answer by {protocols}, though it "
            f"is ready: of what is sent to the Service, 1 in {len(ready)} goes there"
        ),
        evidence=tuple(evidence_of(series, each) for each in (*parts, *behind)),
        advice=(
            f"look at the pod's log and at what filters port 53 there; kubectl delete pod -n "
            f"{server.name.partition('/')[0]} {server.name.partition('/')[2]} replaces it"
            if server.name
            else "look at what listens there"
        ),
        not_judged=(*(() if series.pod else (_POLICY,)), *_rarely_asked(parts)),
    )


def _dead_service(series: DnsSeries, own: Sequence[AskedServer], parts: Sequence[AskedServer]) -> Finding:
    alive = [each for each in own if each.server.role is ServerRole.ENDPOINT and each.statistics.answered]
    return Finding(
        id="dns-service-path-broken",
        severity=_weigh(Severity.CRIT, parts),
        subject=subject_of(parts[0]),
        node=series.node,
        message=(
            f"the DNS Service's address {parts[0].server.address} gives no answer on node {series.node}, while "
            "endpoints that are asked directly do: the node's rules or its conntrack table are at fault"
        ),
        evidence=tuple(evidence_of(series, each) for each in (*parts, *alive[:2])),
        advice=(
            "look at kube-proxy on this node, and at kubectl netinspect conntrack stale and limit for it: a stale flow "
            "or a full table has the same effect"
        ),
        not_judged=_rarely_asked(parts),
    )


def _dead_server(series: DnsSeries, parts: Sequence[AskedServer], *, is_all: bool) -> Finding:
    is_cache = parts[0].server.role is ServerRole.NODE_LOCAL
    return Finding(
        id="dns-node-local-down" if is_cache else "dns-server-unreachable",
        severity=_weigh(Severity.CRIT if is_cache or is_all else Severity.HIGH, parts),
        subject=f"node/{series.node}" if is_cache else subject_of(parts[0]),
        node=series.node,
        message=(
            f"NodeLocal DNSCache on node {series.node} does not answer at {parts[0].server.address}"
            if is_cache
            else f"name server {parts[0].server.address} gives no answer"
        ),
        evidence=tuple(evidence_of(series, each) for each in parts),
        advice="bring its pod back" if is_cache else "correct the pod's dnsConfig or dnsPolicy",
        not_judged=_rarely_asked(parts),
    )


def _judge_protocols(series: DnsSeries, alive: Sequence[AskedServer]) -> Iterator[Finding]:
    """F61: a server that answers by one protocol and never by the other."""
    for each in alive:
        if each.statistics.answered or not each.statistics.lost or not is_used(each.server):
            continue
        is_udp = each.statistics.protocol is DnsProtocol.UDP
        dead, other = ("UDP", "TCP") if is_udp else ("TCP", "UDP")
        partner = [one for one in alive if one.server == each.server and one is not each]
        yield Finding(
            id="dns-udp-fails" if is_udp else "dns-tcp-fails",
            severity=_weigh(
                Severity.CRIT if is_udp and not _is_endpoint(each) else Severity.HIGH,
                (each,),
            ),
            subject=subject_of(each),
            node=series.node,
            message=f"{each.server.address} answers by {other} and never by {dead}",
            evidence=tuple(evidence_of(series, one) for one in (each, *partner)),
            advice=f"look for a NetworkPolicy or firewall that does not let {dead} port 53 pass",
            not_judged=_rarely_asked((each,)),
        )


def _judge_loss(series: DnsSeries, alive: Sequence[AskedServer], *, is_explained: bool) -> Iterator[Finding]:
    """Some questions lost. The Service's own losses are no news where an endpoint behind it is dead."""
    for each in alive:
        one = each.statistics
        if not one.lost or not one.answered or not is_used(each.server):
            continue
        if is_explained and each.server.role is ServerRole.SERVICE:
            continue
        is_many = (one.loss or 0) >= _MANY_LOST and one.lost > 1
        yield Finding(
            id="dns-lost-questions",
            severity=Severity.HIGH if is_many else Severity.MED if one.lost > 1 else Severity.INFO,
            subject=subject_of(each),
            node=series.node,
            message=(
                f"{one.lost} of {one.sent} questions to {each.server.address} by {one.protocol.value.upper()} got no "
                "answer: such a lookup waits until it is sent again (5 s with glibc's default)"
            ),
            evidence=(evidence_of(series, each),),
            advice="ask more often (--count); look at the load of the DNS pods, and at conntrack's counters on the way",
            not_judged=() if one.lost > 1 else ("a single lost packet proves little",),
        )


def _weigh(severity: Severity, parts: Sequence[AskedServer]) -> Severity:
    """A single question that was lost proves little, whatever it would mean."""
    return severity if sum(each.statistics.lost for each in parts) > 1 else Severity.INFO


def _rarely_asked(parts: Sequence[AskedServer]) -> tuple[str, ...]:
    asked = max(each.statistics.sent for each in parts)
    return (f"asked {asked} times only: --count asks more often",) if asked < _FEW_ASKED else ()

"""What is wrong with a flow that still sends, how bad it is, what shows it, what to do."""

from __future__ import annotations

from typing import Any

import pytest

from netinspect.analyze.conntrack.stale_findings import build_finding
from netinspect.analyze.conntrack.stale_flows import ClusterView, judge_samples
from netinspect.models.finding import Finding, Severity
from tests.unit.analyze.stale_build import CLIENT, HEIR, NODES, SLICES, flow, pod, samples, slice_, view

V6, V4 = "fd00:244:2::7", "10.244.2.7"
RUNNING: dict[str, Any] = {"protocol": "tcp", "words": "ESTABLISHED"}


def findings(
    first: dict[str, Any], second: dict[str, Any] | None = None, now: ClusterView | None = None, **both: Any
) -> list[Finding]:
    seen = now or view()
    one, two = flow(**{**both, **first}), flow(**{**both, **(first if second is None else second)})
    found = (
        build_finding(item, target)
        for item, target in judge_samples(samples([one], [two]), seen, seen, lambda flow: f"delete {flow.id}")
    )
    return [each for each in found if each is not None]


@pytest.mark.parametrize(
    ("dead", "live", "client", "front"),
    [
        (V6, "[fd00:244:2::9]:5353", "[fd00:244:1::5]:4242", "[fd00:96::a]:53"),
        (V4, "10.244.2.9:5353", "10.244.1.5:4242", "10.96.0.10:53"),
    ],
)
def test_udp_that_sends_to_a_gone_pod_is_critical_for_its_client(
    dead: str, live: str, client: str, front: str
) -> None:
    """With both lines of the tool, Service and slices with their versions, what there is now, and the command."""
    (finding,) = findings({"timeout": 118}, {"timeout": 119}, backend=dead)
    backend = f"[{dead}]:5353" if ":" in dead else f"{dead}:5353"
    assert (finding.id, finding.severity, finding.subject, finding.node) == (
        "conntrack-stale-udp",
        Severity.CRIT,
        "pod/shop/client",
        "node-a",
    )
    assert finding.message == (
        f"pod shop/client {client} still sends through service shop/dns:dns ({front}) to {backend}, "
        "an address that no pod has any more: its packets are lost"
    )
    by_source = {each.source: each.text for each in finding.evidence}
    family = "ipv6" if ":" in dead else "ipv4"
    listing = f"conntrack -L -f {family} -o extended,id on node node-a"
    assert by_source[f"{listing}, first sample"] == flow(dead, timeout=118).raw
    assert by_source[f"{listing}, second sample"] == flow(dead, timeout=119).raw
    service = (
        "service/shop/dns resourceVersion rv-of-dns, endpointslice/dns-1 resourceVersion rv-of-dns-1, "
        "endpointslice/dns-6 resourceVersion rv-of-dns-6"
    )
    assert by_source[service] == f"live endpoints: {live}"
    assert by_source["pods of all namespaces, read before and after"] == f"none has {dead}"
    assert finding.commands == ("delete 77",)
    assert "kube-proxy" in finding.advice
    assert finding.not_judged == ()


@pytest.mark.parametrize("dead", [V6, V4])
def test_tcp_that_sends_without_an_answer_is_another_finding(dead: str) -> None:
    """Its advice differs: nobody deletes such entries."""
    (finding,) = findings({"packets": (5, 5)}, {"packets": (7, 5)}, backend=dead, **RUNNING)
    assert (finding.id, finding.severity) == ("conntrack-stale-tcp", Severity.CRIT)
    assert "end the connection at the client" in finding.advice
    assert "kube-proxy" not in finding.advice


@pytest.mark.parametrize(
    ("second", "severity", "words", "not_judged"),
    [
        ({"timeout": 119, "packets": (9, 5)}, Severity.CRIT, "its packets are lost", 0),
        ({"timeout": 119, "packets": (9, 9)}, Severity.MED, "it is answered by what the Service does not", 0),
    ],
)
def test_an_address_that_somebody_has_may_answer(
    second: dict[str, Any], severity: Severity, words: str, not_judged: int
) -> None:
    """How bad it is depends on that."""
    now = view(pods=(CLIENT, HEIR, pod("db-0", V6)))
    first = {"packets": (5, 5)} if "packets" in second else {}
    (finding,) = findings(first, second, now, backend=V6)
    assert finding.severity is severity
    assert "which is pod shop/db-0 and no endpoint of it any more" in finding.message
    assert words in finding.message
    assert len(finding.not_judged) == not_judged


@pytest.mark.parametrize("stranger", ["2001:db8:5::5", "203.0.113.5"])
@pytest.mark.parametrize(
    ("first", "second", "severity", "words", "not_judged"),
    [
        ({}, {}, Severity.HIGH, "its packets do not reach the Service", "nf_conntrack_acct=0"),
        (
            {"timeout": 299, **RUNNING},
            {"timeout": 298, **RUNNING},
            Severity.HIGH,
            "its packets do not reach the Service",
            "nf_conntrack_acct=0",
        ),
        ({"packets": (9, 9)}, {"packets": (1, 1)}, Severity.HIGH, "do not reach the Service", "do not cover"),
        ({"packets": (5, 5)}, {"packets": (9, 5)}, Severity.CRIT, "its packets are lost", ""),
        ({"flags": "", "unreplied": "[UNREPLIED]"}, None, Severity.CRIT, "its packets are lost", ""),
    ],
)
def test_a_strangers_address_may_be_alive_where_it_answered_once(
    stranger: str,
    first: dict[str, Any],
    second: dict[str, Any] | None,
    severity: Severity,
    words: str,
    not_judged: str,
) -> None:
    """Outside of every pod range, that it was a pod's is a guess: packets are lost only if something shows it."""
    (finding,) = findings(first, second, backend=stranger)
    assert finding.severity is severity
    assert words in finding.message
    assert ("lost" in finding.message) is (severity is Severity.CRIT)
    assert not_judged in " ".join(finding.not_judged)
    assert bool(finding.not_judged) is bool(not_judged)


def test_without_a_service_the_advice_is_another() -> None:
    """Deleting the entry does not lead the client anywhere."""
    (finding,) = findings({}, backend=V6, now=view(()))
    assert finding.severity is Severity.CRIT
    assert "through [fd00:96::a]:53 to" in finding.message
    assert "no Service is known" in finding.advice
    assert not any("resourceVersion" in each.source for each in finding.evidence)


@pytest.mark.parametrize(
    ("pods", "services", "subject"),
    [
        ((HEIR,), None, "service/shop/dns"),
        ((HEIR,), (), "node/node-a"),
        ((CLIENT, HEIR), None, "pod/shop/client"),
    ],
)
def test_the_subject_is_the_client_if_it_has_a_name(pods: Any, services: Any, subject: str) -> None:
    """Else the Service, else the node."""
    (finding,) = findings({}, backend=V6, now=view(services, pods=pods))
    assert finding.subject == subject


def test_a_node_is_a_subject_too() -> None:
    """A hostNetwork client has its node's address."""
    line = flow(V6).raw.replace("fd00:244:1::5", "2001:db8::1")
    assert NODES[0].status.addresses[1].address == "2001:db8::1"
    from netinspect.parse.conntrack import parse_flow

    own = parse_flow(line)
    ((item, target),) = judge_samples(samples([own], [own]), view(), view(), str)
    finding = build_finding(item, target)
    assert finding is not None
    assert finding.subject == "node/node-a"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"timeout": 119}, {"timeout": 109}),
        ({"timeout": 86300, **RUNNING}, {"timeout": 86290, **RUNNING}),
        ({"packets": (5, 5), **RUNNING}, {"packets": (9, 9), **RUNNING}),
        ({"protocol": "sctp", "words": "ESTABLISHED"}, {"protocol": "sctp", "words": "ESTABLISHED"}),
    ],
)
def test_what_is_quiet_or_answered_or_not_judged_is_no_finding(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    """It is listed only."""
    assert findings(first, second, backend=V6) == []


def test_many_endpoints_are_counted() -> None:
    """Evidence is to be read."""
    slices = (*SLICES, slice_(*(f"10.244.2.{number}" for number in range(10, 30)), name="dns-2"))
    (finding,) = findings({}, backend=V4, now=view(slices=slices))
    (text,) = [each.text for each in finding.evidence if each.text.startswith("live endpoints")]
    assert text.count("10.244.2.") == 8
    assert text.endswith("and 13 more")

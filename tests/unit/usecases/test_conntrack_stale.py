"""`conntrack stale` from the API and a node's answer to a report."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from netinspect.errors import ExitCode
from netinspect.models.cluster_state import ClusterState
from netinspect.models.command import CommandResult
from netinspect.models.conntrack import Flow
from netinspect.models.fact import Gap, Reason, Unavailable
from netinspect.models.finding import Severity
from netinspect.models.report import JudgedReport
from netinspect.models.stale_flow import StaleFlow, StaleStatus
from netinspect.usecases.conntrack_stale import (
    KIND,
    build_stale_job,
    build_stale_plans,
    can_judge,
    report_stale,
    report_unjudged,
)
from netinspect.usecases.node_targets import NodeTargets
from tests.unit.analyze.stale_build import CLIENT, HEIR, READ_AT, flow, pod, state
from tests.unit.usecases.fake_node import LO, FakeNode, answer, result

V6, V4 = "fd00:244:2::7", "10.244.2.7"
LIVE6, LIVE4 = "fd00:244:2::9", "10.244.2.9"
WHOLE = NodeTargets(nodes=("node-a",))
SYSCTLS = "".join(
    f"/proc/sys/net/netfilter/nf_conntrack_{name}:{value}\n"
    for name, value in (
        ("count", 9),
        ("max", 262144),
        ("udp_timeout", 30),
        ("udp_timeout_stream", 120),
        ("tcp_timeout_established", 86400),
        ("tcp_timeout_max_retrans", 300),
        ("tcp_timeout_unacknowledged", 300),
    )
).encode()
FLOWS = (flow(V6, id_=1), flow(V4, id_=2), flow(LIVE6, id_=3), flow(LIVE4, id_=4))
DENIED = Unavailable(Reason.PERMISSION_DENIED, "services is forbidden")
IPVS = (
    b'[{"ifindex":9,"ifname":"kube-ipvs0","flags":["BROADCAST"],"mtu":1500,"operstate":"DOWN","link_type":"ether",'
    b'"address":"0a:00:00:00:00:01","addr_info":[]},{"ifindex":10,"ifname":"nodelocaldns","flags":["BROADCAST"],'
    b'"mtu":1500,"operstate":"DOWN","link_type":"ether","address":"0a:00:00:00:00:02","addr_info":[]}]'
)


def table(flows: tuple[Flow, ...], suffix: str, start_s: float) -> list[CommandResult]:
    """Both listings of one sample."""
    return [
        replace(
            result(
                f"flows-{family}{suffix}",
                "".join(f"{each.raw}\n" for each in flows if each.family == family).encode(),
            ),
            start_s=start_s,
        )
        for family in ("ipv4", "ipv6")
    ]


def node_results(
    first: tuple[Flow, ...] = FLOWS, second: tuple[Flow, ...] = FLOWS, links: bytes = LO
) -> list[CommandResult]:
    return [
        result("conntrack-limits", SYSCTLS),
        result("links", links),
        *table(first, "", 50.0),
        result("pause"),
        *table(second, "-again", 60.5),
    ]


def reported(
    results: list[CommandResult] | None = None,
    *,
    before: ClusterState | None = None,
    after: ClusterState | None = None,
    targets: NodeTargets = WHOLE,
    is_whole: bool = True,
) -> JudgedReport[StaleFlow]:
    said = before or state()
    node = FakeNode(answer(*(node_results() if results is None else results), is_whole=is_whole))
    job = build_stale_job(said, targets, build_stale_plans(targets, 10))
    return report_stale({"node-a": job(node)}, said, after or state(read_at=READ_AT + 11), (), ("read so",))


def without(name: str, *others: CommandResult) -> list[CommandResult]:
    return [*(each for each in node_results() if each.name != name), *others]


def test_flows_to_gone_pods_are_found_in_both_families() -> None:
    """Live ones are not listed; each finding has the command for its entry."""
    report = reported()
    assert report.kind == KIND
    assert [item.named.flow.reply.src.compressed for item in report.items] == [V4, V6]
    assert {item.status for item in report.items} == {StaleStatus.SENDS}
    assert [each.commands for each in report.findings] == [(item.command,) for item in report.items]
    assert all(item.command.startswith("conntrack -D -f ipv") for item in report.items)
    assert {each.severity for each in report.findings} == {Severity.CRIT}
    assert report.gaps == ()
    assert report.notes == (
        "node node-a: 8 entries of flows that are translated to endpoints, in 2 samples 10 s apart",
        "read so",
    )


def test_the_worst_is_first() -> None:
    """A pod that has the address may answer."""
    both = state(pods=(CLIENT, HEIR, pod("db-0", V4)))
    first, second = ((flow(V6, id_=1), flow(V4, id_=2, packets=(each, each))) for each in (5, 9))
    report = reported(node_results(first, second), before=both, after=both)
    assert [each.severity for each in report.findings] == [Severity.CRIT, Severity.MED]
    assert V6 in report.findings[0].message


def test_what_sends_is_listed_first() -> None:
    """Whatever the order of the table is."""
    quiet = flow(V4, protocol="tcp", words="ESTABLISHED", timeout=80000, id_=1)
    flows = (quiet, flow(V6, id_=2))
    report = reported(
        node_results(flows, (replace(quiet, raw=quiet.raw.replace(" 80000 ", " 79990 ")), flows[1]))
    )
    assert [item.status for item in report.items] == [StaleStatus.SENDS, StaleStatus.QUIET]
    assert len(report.findings) == 1


def test_a_healthy_table_is_silent() -> None:
    """And says how much it looked at."""
    report = reported(node_results(FLOWS[2:], FLOWS[2:]))
    assert (report.items, report.findings, report.gaps) == ((), (), ())
    assert report.notes[0].startswith("node node-a: 4 entries")
    assert report.exit_code is ExitCode.OK


@pytest.mark.parametrize("name", ["services", "slices", "pods", "nodes"])
def test_where_the_api_is_not_told_nothing_is_judged(name: str) -> None:
    """Before, no node is asked; after, what was read there is not judged. Either is a gap."""
    half = replace(state(), **{name: DENIED})
    assert not can_judge(half)
    told = {"slices": "endpointslices"}.get(name, name)
    gap = Gap("cluster", f"the list of {told}", DENIED.reason, DENIED.detail)
    assert report_unjudged(half) == JudgedReport(kind=KIND, items=(), gaps=(gap,))
    report = reported(after=half)
    assert (report.items, report.findings, report.gaps) == ((), (), (gap,))
    assert report.exit_code is ExitCode.INCOMPLETE


@pytest.mark.parametrize("suffix", ["", "-again"])
@pytest.mark.parametrize(("family", "other"), [("ipv6", V4), ("ipv4", V6)])
def test_half_a_table_is_a_gap_and_its_family_is_not_judged(suffix: str, family: str, other: str) -> None:
    """The other family is."""
    name = f"flows-{family}{suffix}"
    lines = "".join(f"{each.raw}\n" for each in FLOWS if each.family == family).encode()
    ended = replace(result(name, lines[:-40], code=124), start_s=60.5 if suffix else 50.0)
    report = reported(without(name, ended))
    assert [item.named.flow.reply.src.compressed for item in report.items] == [other]
    assert [(each.subject, each.reason) for each in report.gaps] == [("node/node-a", Reason.TIMED_OUT)]
    assert len(report.findings) == 1


def test_a_family_that_no_sample_has_is_one_gap() -> None:
    """It is not told twice."""
    missing = [
        result(f"flows-ipv6{suffix}", code=127, stderr=b"conntrack: not found") for suffix in ("", "-again")
    ]
    rest = [each for each in node_results() if not each.name.startswith("flows-ipv6")]
    reasons = [each.reason for each in reported([*rest, *missing]).gaps]
    assert set(reasons) == {Reason.TOOL_MISSING}
    assert len(reasons) <= 2


def test_an_answer_that_is_cut_is_a_gap() -> None:
    """What came is judged as far as both samples go: here the second never came."""
    report = reported(node_results()[:4], is_whole=False)
    assert report.items == ()
    told = [each.fact for each in report.gaps]
    assert "the end of the node's answer" in told
    assert "the time between the samples" in told


def test_without_sysctls_idle_times_are_unknown() -> None:
    """That is a gap, and the findings stay."""
    report = reported(without("conntrack-limits", result("conntrack-limits", code=1, stderr=b"no")))
    assert [each.fact for each in report.gaps] == ["its conntrack timeouts"]
    assert {item.idle_s for item in report.items} == {None}
    assert len(report.findings) == 2


def test_a_pods_flows_are_those_with_its_addresses() -> None:
    """As client here; the node is asked for these addresses only."""
    targets = NodeTargets(nodes=("node-a",), pods=(CLIENT,))
    assert len(reported(targets=targets).items) == 2
    stranger = pod("web", "10.244.1.50", "fd00:244:1::50", node="node-a")
    other = NodeTargets(nodes=("node-a",), pods=(stranger,))
    assert reported(targets=other).items == ()
    (plan,) = build_stale_plans(other, 10).values()
    argv: list[Any] = [each.argv for each in plan.node_probes if each.name == "flows-ipv6"]
    assert any("=10.244.1.50 " in word and "=fd00:244:1::50 " in word for word in argv[0])


def test_what_the_table_does_not_show_is_said() -> None:
    """IPVS' own connections, and DNS past conntrack."""
    notes = reported(node_results(links=IPVS)).notes
    assert any("IPVS" in each and "ipvsadm -Lnc" in each for each in notes)
    assert any("NOTRACK" in each for each in notes)

"""A snapshot's plan holds the questions of every command, each once, but for what is sampled twice."""

from __future__ import annotations

from collections import Counter

import pytest

from netinspect.models.address import parse_address
from netinspect.models.kubernetes import ObjectMeta, Pod
from netinspect.models.rules_reading import SaveKind
from netinspect.probes import catalog, conntrack, conntrack_stale, conntrack_top, dataplane, rules
from netinspect.probes.conntrack import widen_argv
from netinspect.probes.plan import Plan, encode_plan
from netinspect.probes.snapshot import BETWEEN_S, build_snapshot_plan

PODS = tuple(
    Pod(metadata=ObjectMeta(name=name, namespace="demo", uid=f"{name}-f486-45b6-b7ab-1bcf1bd63978"))
    for name in ("47c7da73", "57c7da73")
)
SAVES: tuple[SaveKind, ...] = rules.SAVES
COMMANDS: dict[str, Plan] = {
    "netns": catalog.build_netns_plan(PODS),
    "veth": catalog.build_veth_plan(PODS, peers_of_pods=True),
    "conntrack list": conntrack.build_flow_plan(),
    "conntrack top": conntrack_top.build_top_plan(),
    "conntrack top --for 10s": conntrack_top.build_top_plan(between_s=BETWEEN_S),
    "conntrack stale": conntrack_stale.build_stale_plan(BETWEEN_S),
    "conntrack limit --set N": conntrack.build_limit_now_plan(),
    "rules": rules.build_rules_plan(),
    "iptables": rules.build_iptables_plan(SAVES),
    "iptables --raw": rules.build_iptables_text_plan(SAVES),
    "nftables": rules.build_nftables_plan(),
    "nftables --raw": rules.build_nftables_text_plan(),
    "ipvs": rules.build_ipvs_plan(),
    "ipvs --stats": rules.build_ipvs_plan(stats=True),
    "ipvs --rate": rules.build_ipvs_plan(rate=True),
    "dataplane": dataplane.build_dataplane_plan(),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_question_of_a_command_is_in_a_snapshot(command: str) -> None:
    plan, whole = COMMANDS[command], build_snapshot_plan(PODS)
    asked = Counter(probe.argv for probe in plan.node_probes)
    assert asked <= Counter(probe.argv for probe in whole.node_probes)
    held = {(pod.key, probe.argv) for pod in whole.pods for probe in pod.probes}
    assert {(pod.key, probe.argv) for pod in plan.pods for probe in pod.probes} <= held


def test_conntrack_limit_finds_all_but_its_pause() -> None:
    """Its counters are read with whatever time is between the samples."""
    asked = Counter(probe.argv for probe in conntrack.build_limit_plan(5).node_probes)
    missing = asked - Counter(probe.argv for probe in build_snapshot_plan(()).node_probes)
    assert [*missing] == [("sleep", "5")]


def test_what_is_sampled_twice_is_first_and_last_and_all_else_is_asked_once() -> None:
    probes = build_snapshot_plan(PODS).node_probes
    counts = Counter(probe.argv for probe in probes)
    twice = {argv for argv, count in counts.items() if count == 2}
    assert twice == {
        conntrack.LIMITS.argv,
        conntrack.STATISTICS.argv,
        *(each.argv for each in conntrack.FLOWS),
    }
    assert set(counts.values()) == {1, 2}
    pause = next(at for at, probe in enumerate(probes) if probe.name == "pause")
    for argv in twice:
        first, again = (at for at, probe in enumerate(probes) if probe.argv == argv)
        assert first < 5 < pause < again


def test_names_are_unique_so_that_answers_are_told_apart() -> None:
    plan = build_snapshot_plan(PODS)
    names = [probe.name for probe in plan.node_probes]
    assert len(set(names)) == len(names)
    assert encode_plan(plan)


def test_the_whole_listing_stands_for_a_narrowed_one() -> None:
    addresses = (parse_address("10.244.1.5"), parse_address("fd00:10:244::5"))
    narrowed = conntrack.build_flow_probes(addresses)
    assert [widen_argv(probe.argv) for probe in narrowed] == [probe.argv for probe in conntrack.FLOWS]
    assert [widen_argv(probe.argv) for probe in conntrack.FLOWS] == [(), ()]
    assert widen_argv(()) == ()

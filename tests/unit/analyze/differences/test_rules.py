"""What nodes do with packets to Services: which maps are compared, and how a difference is told."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from netinspect.analyze.differences.rules import compare_rules, pair_maps
from netinspect.analyze.rules.service_rules import build_service_names
from netinspect.models.difference import Change, Difference
from netinspect.models.fact import Gap, Known, Reason, Unavailable
from netinspect.models.network_state import NodeState, ToolMap
from netinspect.models.service_map import Branch, Hook, MapEntry, Mode, Outcome, ServiceMap
from tests.unit.analyze.service_map.test_compare import (
    LOCAL,
    POD_A,
    POD_B,
    PODS,
    VIP,
    backend,
    end,
    entry,
    to,
)
from tests.unit.analyze.service_world import service, state

NAMES = build_service_names(state([service(clusterIPs=[VIP])]))
GAP = Gap("node/n", "a rule", Reason.UNPARSABLE, "?")


def tool_map(
    *entries: MapEntry, tool: str = "nft", mode: Mode = Mode.NFTABLES, gaps: tuple[Gap, ...] = ()
) -> ToolMap:
    return ToolMap(
        tool=tool, service_map=ServiceMap(node="n", family=6, mode=mode, entries=entries, gaps=gaps)
    )


def has(*maps: ToolMap, is_whole: bool = True, mode: str = "") -> NodeState:
    return NodeState(
        node="n", local_addresses=LOCAL, maps=Known(maps), is_rules_whole=is_whole, kube_proxy_mode=mode
    )


def compare(before: NodeState, after: NodeState) -> list[Difference]:
    return list(compare_rules(before, after, (NAMES, NAMES)))


def both_hooks(*branches: Branch) -> tuple[MapEntry, ...]:
    return tuple(entry(*branches, hook=hook) for hook in (Hook.PREROUTING, Hook.OUTPUT))


def test_a_backend_less_is_one_row_for_both_hooks() -> None:
    before = tool_map(*both_hooks(to(backend(POD_A, 0.5), backend(POD_B, 0.5))))
    (found,) = compare(has(before), has(tool_map(*both_hooks(to(backend(POD_A))))))
    assert (found.name, found.namespace, found.node, found.family) == ("demo/web:http", "demo", "n", 6)
    assert (found.at, found.change) == (f"[{VIP}]:80/tcp", Change.CHANGED)
    assert found.hooks == (Hook.PREROUTING, Hook.OUTPUT)
    (field,) = found.fields
    assert (field.field, field.source) == ("backends", "")
    assert (field.before, field.after) == (f"[{POD_A}]:80, [{POD_B}]:80", f"[{POD_A}]:80")


def test_a_destination_that_has_no_rule_any_more_is_removed_and_back_again_added() -> None:
    other = entry(to(backend()), address="fd00:10:96::b")
    full, less = has(tool_map(*both_hooks(to(backend())), other)), has(tool_map(other))
    (gone,), (back,) = compare(full, less), compare(less, full)
    assert (gone.change, back.change) == (Change.REMOVED, Change.ADDED)
    assert [(each.before, each.after) for each in gone.fields] == [(f"[{POD_A}]:80", "")]
    assert [(each.before, each.after) for each in back.fields] == [("", f"[{POD_A}]:80")]


def test_a_way_that_is_lost_at_one_hook_is_a_change_there() -> None:
    entries = both_hooks(to(backend()))
    (found,) = compare(has(tool_map(*entries)), has(tool_map(entries[0])))
    assert (found.change, found.hooks) == (Change.CHANGED, (Hook.OUTPUT,))


def test_what_depends_on_the_source_names_one() -> None:
    before = tool_map(entry(to(backend())))
    after = tool_map(entry(end(Outcome.DROP, PODS), end(Outcome.REJECT)))
    (found,) = compare(has(before), has(after))
    told = {each.after: each.source for each in found.fields}
    assert told.keys() == {"none (drop)", "none (reject)"}
    assert told["none (drop)"].startswith("fd00:10:244:")
    assert not told["none (reject)"].startswith("fd00:10:244:")


@pytest.mark.parametrize(
    ("after", "field", "values"),
    [
        (to(backend(), masquerade=True), "masquerade", ("false", "true")),
        (to(backend(share=0.5), lost=0.5), "lost", ("0%", "50%")),
        (to(backend(affinity_s=10)), "affinity", (f"[{POD_A}]:80 none", f"[{POD_A}]:80 10s")),
        (to(backend(weight=3)), "weight", (f"[{POD_A}]:80 None", f"[{POD_A}]:80 3")),
        (
            to(backend(masqueraded_from=())),
            "hairpin",
            (f"[{POD_A}]:80 masqueraded", f"[{POD_A}]:80 as it is"),
        ),
    ],
)
def test_traits_are_told_with_their_values(after: Branch, field: str, values: tuple[str, str]) -> None:
    (found,) = compare(has(tool_map(entry(to(backend())))), has(tool_map(entry(after))))
    assert (field, *values) in {(each.field, each.before, each.after) for each in found.fields}


def test_a_node_port_is_told_once_for_all_addresses() -> None:
    (found,) = compare(has(tool_map()), has(tool_map(entry(to(backend()), address=None, port=30080))))
    assert found.at == "[::1]:30080/tcp and 1 more"
    assert found.name == "[::1]:30080/tcp"  # no Service has it


def test_another_dataplane_that_does_the_same_is_no_change_of_rules() -> None:
    nft = tool_map(entry(to(backend())))
    iptables = tool_map(entry(to(backend())), tool="ip6tables-nft-save", mode=Mode.IPTABLES)
    assert compare(has(nft), has(iptables)) == []
    # Where one of the two could not be read whole, the other tool's may be what was lost.
    assert list(pair_maps(has(nft), has(iptables, is_whole=False), 6)) == [
        (replace(iptables.service_map, entries=()), iptables.service_map)
    ]


def test_leftovers_of_another_mode_are_not_compared_while_kube_proxy_was_silent_once() -> None:
    nft = tool_map(entry(to(backend())))
    leftover = tool_map(entry(end(Outcome.DROP)), tool="ip6tables-legacy-save", mode=Mode.IPTABLES)
    assert compare(has(nft, mode="nftables"), has(nft, leftover)) == []
    assert compare(has(nft, leftover), has(nft, mode="nftables")) == []
    assert len(compare(has(nft), has(nft, leftover))) == 1


def test_rules_that_were_cut_are_not_rules_that_are_gone() -> None:
    full = has(tool_map(entry(to(backend()))))
    assert compare(full, has(is_whole=False)) == []
    assert compare(has(is_whole=False), full) == []
    assert compare(full, replace(full, maps=Unavailable(Reason.TRUNCATED, "cut"))) == []
    assert [each.change for each in compare(full, has())] == [Change.REMOVED]


def test_a_map_that_was_not_read_as_far_as_the_other_is_not_compared() -> None:
    one, other = tool_map(entry(to(backend())), gaps=(GAP,)), tool_map(entry(end(Outcome.DROP)))
    assert compare(has(one), has(other)) == []
    same = replace(other, service_map=replace(other.service_map, gaps=(GAP,)))
    assert len(compare(has(one), has(same))) == 1

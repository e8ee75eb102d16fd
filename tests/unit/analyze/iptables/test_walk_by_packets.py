"""A walk for every source at once says of each source what a packet from there meets, rule by rule."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netinspect.analyze.iptables.effect import Verdict
from netinspect.analyze.iptables.leaf import End, Leaf
from netinspect.analyze.iptables.packet import Packet, PacketView
from netinspect.analyze.iptables.walk import RuleWalker
from netinspect.analyze.service_map.packet_mark import Mark
from netinspect.analyze.service_map.source_conditions import holds_for_link, holds_for_network
from netinspect.models.address import Address, parse_address
from netinspect.models.iptables import Rule, Ruleset
from netinspect.models.service_map import Hook, SourceKind
from tests.unit.analyze.rules_build import ruleset

PACKET = Packet(
    hook=Hook.PREROUTING,
    family=6,
    protocol="tcp",
    address=parse_address("fd00:10:96::a"),
    port=80,
    is_local=False,
)
SOURCES = tuple(map(parse_address, ("fd00::1", "fd00::2", "fd00:0:0:1::1", "2001:db8::1")))
LINKS = ("cni0", "eth0")
CHAINS = ("X", "Y", "Z", "ZZ")
Outcomes = dict[tuple[str, str, int], float]

_conditions = st.sampled_from(
    [
        "",
        "-s fd00::1/128 ",
        "-s fd00::/64 ",
        "! -s fd00::/32 ",
        "-i cni0 ",
        "! -i cni0 ",
        "-s fd00::2/128 -i eth0 ",
    ]
)
_marks = st.sampled_from(["", "", "", "-m mark --mark 0x1/0x1 ", "-m mark ! --mark 0x3/0x3 "])
_chances = st.sampled_from(["", "", "-m statistic --mode random --probability 0.25000000000 "])


@st.composite
def _lines(draw: st.DrawFn) -> list[str]:
    lines = []
    for number, chain in enumerate(CHAINS):
        targets = ["ACCEPT", "DROP", "RETURN", "MARK --set-xmark 0x1/0x1", "MARK --set-xmark 0x3/0x0"]
        below = [f"-{way} {each}" for each in CHAINS[number + 1 :] for way in "jjjg"]
        dnat = [f"-j DNAT --to-destination [fd00:10:244::{each}]:8080" for each in (1, 2)]
        ways = st.sampled_from([*(f"-j {each}" for each in targets), *below, *below, *dnat])
        for _ in range(draw(st.integers(min_value=1, max_value=4))):
            way = draw(ways)
            protocol = "-p tcp " if "DNAT" in way else ""
            chance = draw(_chances) if "MARK" not in way else ""
            source = draw(_conditions)
            lines.append(f"{chain} {source}{protocol}{draw(_marks)}{chance}{way}")
    return lines


def simulate(rules: Ruleset, chain: str, mark: Mark, source: Address, link: str) -> Outcomes:
    """Follow one packet; where chance parts its ways, follow both."""
    found = rules.chain("nat", chain)
    return _follow(rules, found.rules if found else (), mark, source, link)


def _follow(rules: Ruleset, left: tuple[Rule, ...], mark: Mark, source: Address, link: str) -> Outcomes:
    if not left:
        return {("return", "", mark.value): 1.0}
    rule, rest = left[0], left[1:]
    chance = _chance(rule, mark, source, link)
    outcomes: Outcomes = defaultdict(float)
    if chance < 1:
        _add(outcomes, _follow(rules, rest, mark, source, link), 1 - chance)
    if chance > 0:
        _add(outcomes, _act(rules, rule, rest, mark, source, link), chance)
    return outcomes


def _chance(rule: Rule, mark: Mark, source: Address, link: str) -> float:
    chance = 1.0
    if rule.source is not None:
        network = parse_address(rule.source.text.partition("/")[0])
        shift = 128 - int(rule.source.text.partition("/")[2])
        chance *= (int(source) >> shift == int(network) >> shift) != rule.source.negated
    if rule.in_link is not None:
        chance *= (rule.in_link.text == link) != rule.in_link.negated
    for match in rule.matches:
        option = match.options[-1]
        if match.name == "mark":
            value, mask = (int(each, 0) for each in option.values[0].split("/"))
            chance *= (mark.value & mask == value) != option.negated
        else:
            chance *= float(option.values[0])
    return chance


def _act(
    rules: Ruleset, rule: Rule, rest: tuple[Rule, ...], mark: Mark, source: Address, link: str
) -> Outcomes:
    target = rule.target
    assert target is not None
    if target.name == "MARK":
        value, mask = (int(each, 0) for each in target.options[0].values[0].split("/"))
        return _follow(rules, rest, Mark((mark.value & ~mask) ^ value), source, link)
    if target.name not in CHAINS:
        where = target.options[0].values[0] if target.options else ""
        return {("translate" if where else target.name.lower(), where, mark.value): 1.0}
    outcomes: Outcomes = defaultdict(float)
    for (verdict, where, after), share in simulate(rules, target.name, mark, source, link).items():
        if verdict == "return" and not target.is_goto:
            _add(outcomes, _follow(rules, rest, Mark(after), source, link), share)
        else:
            outcomes[verdict, where, after] += share
    return outcomes


def _add(outcomes: Outcomes, more: Outcomes, share: float) -> None:
    for key, part in more.items():
        outcomes[key] += part * share


def _said(leaf: Leaf, source: Address) -> Outcomes:
    outcomes: Outcomes = defaultdict(float)
    for end in leaf.ends:
        where = f"[{end.address}]:{end.port}" if end.verdict is Verdict.TRANSLATE else ""
        outcomes[end.verdict.value, where, _mark_of(leaf, end, source).value] += end.share
    return outcomes


def _mark_of(leaf: Leaf, end: End, source: Address) -> Mark:
    mark = leaf.mark.then(end.mark).apply(Mark())
    for host, marking in end.hosts:
        if host == source:
            mark = marking.apply(mark)
    return mark


def _is_exact(leaf: Leaf) -> bool:
    """Whether nothing was left open: where chance and marks meet, bits may not be known."""
    unknown = any(leaf.mark.then(end.mark).unknown for end in leaf.ends)
    return not unknown and not leaf.doubts


def _holds(leaf: Leaf, source: Address, link: str, *, is_whole: bool) -> bool:
    return all(
        holds_for_link(each, link) if each.kind is SourceKind.LINK else holds_for_network(each, source)
        for each in (leaf.conditions if is_whole else leaf.when)
    )


@settings(max_examples=100, deadline=None)
@given(_lines())
def test_every_source_meets_what_the_walk_says(lines: list[str]) -> None:
    rules = ruleset(nat=lines)
    leaves = RuleWalker(rules).walk("nat", "X", PacketView(PACKET))
    for source in SOURCES:
        for link in LINKS:
            found = [each for each in leaves if _holds(each, source, link, is_whole=True)]
            assert len(found) == 1
            # The first whose own conditions hold is the one: negations need not be repeated.
            assert next(each for each in leaves if _holds(each, source, link, is_whole=False)) is found[0]
            if _is_exact(found[0]):
                expected = simulate(rules, "X", Mark(), source, link)
                said = _said(found[0], source)
                assert {key: pytest.approx(share) for key, share in expected.items() if share} == said

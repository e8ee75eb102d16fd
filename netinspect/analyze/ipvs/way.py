"""The way of a packet through iptables to IPVS, and what the few rules say that look at IPVS itself (`-m ipvs`).

Source: Linux, net/netfilter/ipvs/ip_vs_core.c ip_vs_ops4, ip_vs_ops6. IPVS looks at packets twice: at LOCAL_IN behind
filter (so that only what is sent to a local address gets there, and as it came in), and at LOCAL_OUT behind nat and
before filter (so that filter sees the real server's address).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from msgspec.structs import replace

from netinspect.analyze.iptables.effect import Verdict
from netinspect.analyze.iptables.leaf import Doubt, End, Leaf, join_doubts, put_behind
from netinspect.analyze.iptables.packet import PacketView
from netinspect.analyze.iptables.walk import RuleWalker
from netinspect.analyze.service_map.packet_mark import Mark
from netinspect.models.ipset import IpSet
from netinspect.models.iptables import Chain, Match, Option, Rule, Ruleset, Table
from netinspect.models.ipvs import ServiceAddress
from netinspect.models.service_map import Hook

_CHAINS = {
    Hook.PREROUTING: (
        ("raw", "PREROUTING"),
        ("mangle", "PREROUTING"),
        ("nat", "PREROUTING"),
        ("mangle", "INPUT"),
        ("filter", "INPUT"),
    ),
    Hook.OUTPUT: (("raw", "OUTPUT"), ("mangle", "OUTPUT"), ("nat", "OUTPUT")),
}
_GOES_ON = frozenset((Verdict.RETURN, Verdict.ACCEPT, Verdict.UNTRACK))
_START = Leaf(ends=(End(Verdict.RETURN),))
_PROTOCOL_NUMBERS = {"tcp": "6", "udp": "17", "sctp": "132"}


def goes_on(leaf: Leaf) -> bool:
    """Whether a leaf's packets are asked by the next chain: nothing has refused, dropped or translated them."""
    return leaf.end is not None and leaf.end.verdict in _GOES_ON


def is_ours(leaf: Leaf) -> bool:
    """Whether the rule that ended a leaf's way stands in a chain of kube-proxy's."""
    return bool(leaf.rules) and leaf.rules[-1].where.partition(" ")[2].startswith("KUBE-")


def mark_behind(leaf: Leaf) -> Mark:
    """Return the mark of packets that came with none and went on."""
    marking = leaf.mark if leaf.end is None else leaf.mark.then(leaf.end.mark)
    return marking.apply(Mark())


class IpvsWay:
    """The way to IPVS in one node's rules."""

    def __init__(self, walker: RuleWalker, rules: Ruleset, sets: Mapping[str, IpSet]) -> None:
        self._walker = walker
        self._chains = {
            hook: tuple(each for each in chains if rules.chain(*each) is not None)
            for hook, chains in _CHAINS.items()
        }
        bold = _without_bridges(rules)
        self._bold = None if bold is rules else RuleWalker(bold, sets)

    def walk(self, view: PacketView) -> tuple[Leaf, ...]:
        """Return how packets of every source get to IPVS, or where they end before."""
        leaves = self._walk(self._walker, view)
        if self._bold is None or not any(leaf.doubts for leaf in leaves):
            return leaves
        others = self._walk(self._bold, view)
        if [_meaning(each) for each in leaves] != [_meaning(each) for each in others]:
            return leaves
        return tuple(replace(leaf, doubts=other.doubts) for leaf, other in zip(leaves, others, strict=True))

    def _walk(self, walker: RuleWalker, view: PacketView) -> tuple[Leaf, ...]:
        leaves: tuple[Leaf, ...] = (_START,)
        for table, chain in self._chains[view.packet.hook]:
            leaves = tuple(after for leaf in leaves for after in _walk_on(walker, leaf, table, chain, view))
        return leaves


def _without_bridges(rules: Ruleset) -> Ruleset:
    """Return rules as they are if each packet is one that `physdev` looks for, where nat would only be done with it.

    kube-proxy has such rules for external addresses. Whether a packet came in by a bridge's port is not known; where
    packets fare the same with and without these rules, nothing has to be said about them.
    """
    nat = rules.tables.get("nat")
    if nat is None or not any(_asks_bridge(rule) for chain in nat.chains.values() for rule in chain.rules):
        return rules
    chains = {
        name: replace(chain, rules=tuple(_without(rule, "physdev") for rule in chain.rules))
        for name, chain in nat.chains.items()
    }
    return replace(rules, tables={**rules.tables, "nat": replace(nat, chains=chains)})


def _asks_bridge(rule: Rule) -> bool:
    return rule.target is not None and rule.target.name == "ACCEPT" and rule.match("physdev") is not None


def _without(rule: Rule, match: str) -> Rule:
    if match == "physdev" and not _asks_bridge(rule):
        return rule
    return replace(rule, matches=tuple(each for each in rule.matches if each.name != match))


def _meaning(leaf: Leaf) -> tuple[object, ...]:
    verdict = None if goes_on(leaf) else leaf.ends
    return leaf.conditions, verdict, mark_behind(leaf)


def _walk_on(walker: RuleWalker, leaf: Leaf, table: str, chain: str, view: PacketView) -> Iterator[Leaf]:
    if not goes_on(leaf) or (table == "nat" and leaf.end is not None and leaf.end.verdict is Verdict.UNTRACK):
        yield leaf
        return
    for found in walker.walk(table, chain, view, mark_behind(leaf)):
        after = put_behind(leaf, found)
        if after is not None:
            yield _as_one(_open_firewall(after) if table == "filter" else after)


def _open_firewall(leaf: Leaf) -> Leaf:
    """What a rule in filter refuses that is not kube-proxy's is some firewall's affair, and no part of a map."""
    if goes_on(leaf) or leaf.end is None or is_ours(leaf):
        return leaf
    return replace(leaf, ends=(End(Verdict.RETURN, mark=leaf.end.mark),))


def _as_one(leaf: Leaf) -> Leaf:
    """Packets that chance parts are taken as going on, with a word about it: only other owners' rules do that here."""
    if leaf.end is not None:
        return leaf
    rules = " and ".join(f"{each.where} {each.text}" for end in leaf.ends for each in end.rules)
    doubts = join_doubts(leaf.doubts, (Doubt(f"parted by chance: {rules}", ""),))
    return replace(leaf, ends=(End(Verdict.RETURN),), doubts=doubts)


class OwnFilter:
    """What filter OUTPUT does to the node's own packets to a virtual server, by rules that ask IPVS for it.

    Rules there that ask for addresses see those of the real server: they are no part of a service map.
    """

    def __init__(self, rules: Ruleset, sets: Mapping[str, IpSet]) -> None:
        table = rules.tables.get("filter", Table(name="filter"))
        self._chains = table.chains
        self._sets = sets
        self._asking = [rule for chain in table.chains.values() for rule in chain.rules if rule.match("ipvs")]

    def walk(self, leaf: Leaf, service: ServiceAddress, view: PacketView) -> tuple[Leaf, ...]:
        """Return how a leaf's packets leave filter OUTPUT."""
        if all(_answer_rule(rule, service) is False for rule in self._asking):
            return (leaf,)
        chains = {name: self._narrow(chain, service) for name, chain in self._chains.items()}
        rules = Ruleset(tables={"filter": Table(name="filter", chains=chains)})
        walker = RuleWalker(rules, self._sets)
        return tuple(_walk_on(walker, leaf, "filter", "OUTPUT", view))

    def _narrow(self, chain: Chain, service: ServiceAddress) -> Chain:
        """Return a chain with its jumps, and those rules that ask for this virtual server, without the question."""
        rules = (self._answer(rule, service) for rule in chain.rules)
        return replace(chain, rules=tuple(rule for rule in rules if rule is not None))

    def _answer(self, rule: Rule, service: ServiceAddress) -> Rule | None:
        if rule.match("ipvs") is None:
            return rule if rule.target is not None and rule.target.name in self._chains else None
        answer = _answer_rule(rule, service)
        if answer is None:
            return rule  # the walk does not know the match either, and says so
        return _without(rule, "ipvs") if answer else None


def _answer_rule(rule: Rule, service: ServiceAddress) -> bool | None:
    """Whether all `ipvs` matches of a rule are true of a virtual server; None where that cannot be said."""
    answers = [_is_asked_for(each, service) for each in rule.matches if each.name == "ipvs"]
    if False in answers:
        return False
    return None if None in answers else True


def _is_asked_for(match: Match, service: ServiceAddress) -> bool | None:
    """Whether an `ipvs` match is true of a new connection to a virtual server; None where that cannot be said."""
    answers = [_answer_option(option, service) for option in match.options]
    if False in answers:
        return False
    return None if None in answers else True


def _answer_option(option: Option, service: ServiceAddress) -> bool | None:
    """Answer one option. Source: net/netfilter/xt_ipvs.c ipvs_mt."""
    value = option.values[0] if option.values else ""
    if option.name == "--ipvs":
        is_so = True
    elif option.name == "--vproto":
        is_so = value in (service.protocol, _PROTOCOL_NUMBERS.get(service.protocol or ""))
    elif option.name == "--vport":
        is_so = value == str(service.port)
    elif option.name == "--vaddr":
        is_so = service.address is not None and service.address in _network(value)
    elif option.name == "--vdir":
        is_so = value.upper() == "ORIGINAL"
    else:
        return None
    return is_so != option.negated


@lru_cache(maxsize=4096)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text, strict=False)

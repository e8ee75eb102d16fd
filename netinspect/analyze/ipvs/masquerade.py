"""What POSTROUTING does with packets that IPVS sends on: whose source kube-proxy's rules rewrite.

Packets get there with the real server as their destination, and with the mark that KUBE-SERVICES gave them. Other
owners' rules (a CNI's, for packets that leave the cluster) are walked, for they may stand in the way; but those that
masquerade are left out: it is no part of a service map that they do so too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from netinspect.analyze.iptables.effect import Verdict
from netinspect.analyze.iptables.leaf import End, Leaf, put_behind
from netinspect.analyze.iptables.packet import Packet, PacketView
from netinspect.analyze.iptables.walk import RuleWalker
from netinspect.analyze.ipvs.way import mark_behind
from netinspect.analyze.service_map.packet_mark import Mark
from netinspect.models.address import Address, parse_address
from netinspect.models.ipset import IpSet
from netinspect.models.iptables import Chain, Ruleset, Table
from netinspect.models.ipvs import RealServer
from netinspect.models.service_map import SourceCondition, SourceKind

_HOST_PREFIXES = ("/32", "/128")
_OURS = "KUBE-"
_REWRITES = frozenset(("MASQUERADE", "NETMAP", "SAME", "SNAT"))


class Masqueraded(msgspec.Struct, frozen=True):
    """Packets of some sources, on their way to every real server of a virtual server.

    Attributes:
        leaf: how they got there, and what holds for their sources.
        is_masqueraded: for each real server, whether their source is rewritten.
        hosts: for each real server, sources that are rewritten whatever that says.
    """

    leaf: Leaf
    is_masqueraded: tuple[bool, ...] = ()
    hosts: tuple[tuple[Address, ...], ...] = ()


class _Choice(msgspec.Struct, frozen=True):
    """What happens on the way to one real server: hosts first, then the rest of the sources, in order."""

    hosts: tuple[Address, ...]
    rest: tuple[Leaf, ...]


class MasqueradeReader:
    """Walks POSTROUTING, once for each real server and mark."""

    def __init__(self, rules: Ruleset, sets: Mapping[str, IpSet], local: frozenset[Address]) -> None:
        self._walker = RuleWalker(_leave_ours(rules), sets)
        self._local = local
        self._known: dict[tuple[object, ...], _Choice] = {}

    def read(self, leaf: Leaf, packet: Packet, reals: Sequence[RealServer]) -> tuple[Masqueraded, ...]:
        """Return what a leaf's packets fall into on their way to these real servers."""
        found = [Masqueraded(leaf)]
        for real in reals:
            choice = self._choose(packet, real, mark_behind(leaf))
            found = [after for each in found for after in _add(each, choice)]
        return tuple(found)

    def _choose(self, packet: Packet, real: RealServer, mark: Mark) -> _Choice:
        port = real.port or packet.port
        key = packet.hook, packet.protocol, real.address, port, mark
        if key not in self._known:
            sent = replace(
                packet,
                address=real.address,
                port=port,
                is_local=real.address in self._local,
                is_translated=True,
            )
            leaves = self._walker.walk("nat", "POSTROUTING", PacketView(sent), mark)
            self._known[key] = _split_hosts(leaves)
        return self._known[key]


def _add(before: Masqueraded, choice: _Choice) -> Iterator[Masqueraded]:
    """Yield what packets fall into by one more real server."""
    for rest in choice.rest:
        leaf = put_behind(before.leaf, rest)
        if leaf is not None:
            yield Masqueraded(
                leaf,
                (*before.is_masqueraded, _is_masqueraded(rest)),
                (*before.hosts, choice.hosts),
            )


def _split_hosts(leaves: Sequence[Leaf]) -> _Choice:
    """Take out the leaves for single sources (hairpin), and put those together that differ in nothing that counts."""
    hosts: list[Address] = []
    rest: list[Leaf] = []
    for leaf in leaves:
        named = _hosts_of(leaf) if _is_masqueraded(leaf) else ()
        hosts.extend(named)
        if not named:
            rest.append(_without_rules(leaf))
    if len({_is_masqueraded(leaf) for leaf in rest}) == 1 and not any(leaf.doubts for leaf in rest):
        rest = [replace(rest[-1], conditions=(), when=())]
    return _Choice(tuple(hosts), tuple(rest))


def _without_rules(leaf: Leaf) -> Leaf:
    """Leave out the rules that lead to nothing."""
    return leaf if _is_masqueraded(leaf) else replace(leaf, rules=(), ends=(End(Verdict.RETURN),))


def _leave_ours(rules: Ruleset) -> Ruleset:
    """Return the rules of nat without those of others that rewrite sources, and without jumps to what is empty then."""
    nat = rules.tables.get("nat", Table(name="nat"))
    chains = {
        name: chain if name.startswith(_OURS) else _without(chain, _REWRITES)
        for name, chain in nat.chains.items()
    }
    empty: frozenset[str] = frozenset()
    while more := frozenset(name for name, chain in chains.items() if not chain.rules) - empty:
        empty |= more
        chains = {name: _without(chain, empty) for name, chain in chains.items()}
    return Ruleset(tables={"nat": replace(nat, chains=chains)})


def _without(chain: Chain, targets: frozenset[str]) -> Chain:
    rules = (rule for rule in chain.rules if rule.target is None or rule.target.name not in targets)
    return replace(chain, rules=tuple(rules))


def _is_masqueraded(leaf: Leaf) -> bool:
    return leaf.end is not None and leaf.end.verdict is Verdict.MASQUERADE


def _hosts_of(leaf: Leaf) -> tuple[Address, ...]:
    """Return the single sources that a leaf is for; none where it is for others too."""
    if len(leaf.when) != 1 or not _is_of_hosts(leaf.when[0]) or leaf.when[0].negated:
        return ()
    return tuple(parse_address(each.partition("/")[0]) for each in leaf.when[0].values)


def _is_of_hosts(condition: SourceCondition) -> bool:
    return condition.kind is SourceKind.NETWORK and all(
        each.endswith(_HOST_PREFIXES) for each in condition.values
    )

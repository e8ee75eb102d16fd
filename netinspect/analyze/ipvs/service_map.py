"""The service map of IPVS: virtual servers, and what iptables does with packets before and behind them.

A virtual server is met at PREROUTING by packets to an address that is the node's own (kube-proxy puts each on
`kube-ipvs0`), behind filter INPUT, and at OUTPUT by all of the node's own packets, behind nat OUTPUT. Sources: Linux,
net/netfilter/ipvs; kubernetes 1.36, pkg/proxy/ipvs/proxier.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from netinspect.analyze.iptables.effect import Verdict
from netinspect.analyze.iptables.leaf import Leaf
from netinspect.analyze.iptables.packet import Packet, PacketView
from netinspect.analyze.iptables.walk import RuleWalker
from netinspect.analyze.ipvs.health import read_health_checks
from netinspect.analyze.ipvs.masquerade import Masqueraded, MasqueradeReader
from netinspect.analyze.ipvs.shares import SHARES_BY_WEIGHT, share_of
from netinspect.analyze.ipvs.way import IpvsWay, OwnFilter, goes_on
from netinspect.analyze.service_map.source_conditions import decide
from netinspect.models.address import Address, address_key
from netinspect.models.fact import Gap, Reason
from netinspect.models.ipset import IpSet
from netinspect.models.iptables import Ruleset
from netinspect.models.ipvs import RealServer, ServiceAddress, VirtualServer
from netinspect.models.service_map import (
    Backend,
    Branch,
    Destination,
    Hook,
    MapEntry,
    Mode,
    Outcome,
    RuleRef,
    ServiceMap,
    SourceCondition,
)

_HOOKS = tuple(Hook)
_OUTCOMES = {Verdict.DROP: Outcome.DROP, Verdict.REJECT: Outcome.REJECT}


def read_ipvs_map(
    node: str,
    family: int,
    servers: Sequence[VirtualServer],
    rules: Ruleset,
    sets: Mapping[str, IpSet],
    local_addresses: Sequence[Address],
) -> ServiceMap:
    """Return what a node does with packets to virtual servers.

    Args:
        node: the node's name.
        family: 4 or 6; virtual servers of the other one are left aside.
        servers: all that there are.
        rules: iptables of this family.
        sets: the sets that its rules name.
        local_addresses: of all links of the node, `kube-ipvs0` too.
    """
    reader = _Reader(family, rules, sets, local_addresses)
    own = [each for each in servers if each.service.family == family]
    entries = [entry for server in own for entry in reader.read(server)]
    entries.extend(read_health_checks(reader.walker, family, rules, sets))
    return ServiceMap(
        node=node,
        family=family,
        mode=Mode.IPVS,
        layout=_read_layout(rules),
        entries=tuple(sorted(entries, key=_order)),
        gaps=tuple(_list_gaps(node, own)),
    )


class _Reader:
    """Reads virtual servers, one after the other."""

    def __init__(
        self, family: int, rules: Ruleset, sets: Mapping[str, IpSet], local_addresses: Sequence[Address]
    ) -> None:
        self.walker = RuleWalker(rules, sets)
        self._family = family
        self._local = frozenset(local_addresses)
        self._way = IpvsWay(self.walker, rules, sets)
        self._own_filter = OwnFilter(rules, sets)
        self._masquerade = MasqueradeReader(rules, sets, self._local)

    def read(self, server: VirtualServer) -> Iterator[MapEntry]:
        """Yield the entries of a virtual server, where its packets come to IPVS."""
        service = server.service
        if service.protocol is None or service.address is None or not service.port:
            return  # by a mark, or for any port: a gap
        destination = Destination(address=service.address, protocol=service.protocol, port=service.port)
        for hook in (Hook.PREROUTING, Hook.OUTPUT):
            is_local = service.address in self._local
            if hook is Hook.OUTPUT or is_local:
                packet = Packet(
                    hook=hook,
                    family=self._family,
                    protocol=service.protocol,
                    address=service.address,
                    port=service.port,
                    is_local=is_local,
                )
                branches = tuple(self._branches(server, packet))
                yield MapEntry(hook=hook, destination=destination, branches=_merge(branches))

    def _branches(self, server: VirtualServer, packet: Packet) -> Iterator[Branch]:
        view = PacketView(packet)
        for leaf in self._way.walk(view):
            for after in self._filter(leaf, server.service, view):
                yield from self._serve(server, packet, after)

    def _filter(self, leaf: Leaf, service: ServiceAddress, view: PacketView) -> tuple[Leaf, ...]:
        if view.packet.hook is Hook.PREROUTING or not goes_on(leaf):
            # Rules that ask for IPVS also see what came in; kube-proxy's are for the node's own addresses as source.
            return (leaf,)
        return self._own_filter.walk(leaf, service, view)

    def _serve(self, server: VirtualServer, packet: Packet, leaf: Leaf) -> Iterator[Branch]:
        if not goes_on(leaf):
            yield _end(leaf)
        elif not any(each.weight for each in server.real_servers):
            backends = tuple(_backend(server, each) for each in _in_order(server))
            yield _branch(leaf, Outcome.NO_DESTINATION, server, backends)
        else:
            for found in self._masquerade.read(leaf, packet, _in_order(server)):
                yield _to_backends(server, found)


def _end(leaf: Leaf) -> Branch:
    """Return the branch of packets that never come to IPVS."""
    end = leaf.ends[0]
    if end.verdict is not Verdict.TRANSLATE or end.address is None:
        outcome = _OUTCOMES.get(end.verdict, Outcome.NONE)
        return Branch(when=_shortest(leaf.when), outcome=outcome, rules=leaf.rules, undecided=_texts(leaf))
    backend = Backend(address=end.address, port=end.port, share=1.0, rules=end.rules)
    return Branch(
        when=_shortest(leaf.when),
        outcome=Outcome.BACKENDS,
        backends=(backend,),
        rules=leaf.rules,
        undecided=(*_texts(leaf), f"masquerade of what is translated to {end.address} before IPVS"),
    )


def _to_backends(server: VirtualServer, found: Masqueraded) -> Branch:
    reals = _in_order(server)
    usable = [flag for flag, real in zip(found.is_masqueraded, reals, strict=True) if real.weight]
    backends = tuple(_backend(server, real, hosts) for real, hosts in zip(reals, found.hosts, strict=True))
    branch = _branch(found.leaf, Outcome.BACKENDS, server, backends, masquerade=any(usable))
    if len(set(usable)) == 1:
        return branch
    text = "masquerade: not the same for all real servers"
    return Branch(
        when=branch.when,
        outcome=branch.outcome,
        backends=backends,
        masquerade=True,
        undecided=(*branch.undecided, text),
        rules=branch.rules,
    )


def _branch(
    leaf: Leaf,
    outcome: Outcome,
    server: VirtualServer,
    backends: tuple[Backend, ...],
    *,
    masquerade: bool = False,
) -> Branch:
    return Branch(
        when=_shortest(leaf.when),
        outcome=outcome,
        backends=backends,
        masquerade=masquerade,
        undecided=_texts(leaf),
        rules=(*dict.fromkeys(leaf.rules), RuleRef(where="ipvs", text=server.raw)),
    )


def _backend(server: VirtualServer, real: RealServer, hosts: tuple[Address, ...] = ()) -> Backend:
    return Backend(
        address=real.address,
        port=real.port or None,
        share=share_of(server, real),
        weight=real.weight,
        forwarding=real.forwarding.value,
        affinity_s=server.persistence_s,
        masqueraded_from=tuple(sorted(hosts, key=address_key)),
        rules=(RuleRef(where="ipvs", text=real.raw),),
    )


def _in_order(server: VirtualServer) -> list[RealServer]:
    return sorted(server.real_servers, key=lambda real: (*address_key(real.address), real.port))


def _shortest(when: tuple[SourceCondition, ...]) -> tuple[SourceCondition, ...]:
    """Leave out what follows from the other conditions."""
    kept = when
    for each in when:
        others = tuple(other for other in kept if other is not each)
        if others and decide(others, each) is True:
            kept = others
    return kept


def _texts(leaf: Leaf) -> tuple[str, ...]:
    return tuple(dict.fromkeys(doubt.text for doubt in leaf.doubts))


def _merge(branches: Sequence[Branch]) -> tuple[Branch, ...]:
    """Leave out branches that the last one repeats: what they ask for makes no difference."""
    kept = list(branches)
    while len(kept) > 1 and _meaning(kept[-2]) == _meaning(kept[-1]):
        del kept[-2]
    return tuple(kept)


def _meaning(branch: Branch) -> tuple[object, ...]:
    return branch.outcome, branch.backends, branch.masquerade, branch.undecided


def _read_layout(rules: Ruleset) -> str:
    """Say whose rules stand around the virtual servers, by what only some versions of kube-proxy write."""
    if rules.chain("nat", "KUBE-SERVICES") is None:
        return "IPVS without kube-proxy's rules"
    if rules.chain("filter", "KUBE-IPVS-OUT-FILTER") is not None:
        return "IPVS, kube-proxy 1.29 or newer"
    if rules.chain("filter", "KUBE-SOURCE-RANGES-FIREWALL") is not None:
        return "IPVS, kube-proxy 1.28 or a little older"
    return "IPVS, kube-proxy of long ago"


def _list_gaps(node: str, servers: Sequence[VirtualServer]) -> Iterator[Gap]:
    subject = f"node/{node}"
    for server in servers:
        if server.service.fwmark is not None:
            text = f"which packets have mark {server.service.fwmark} is not followed"
            yield Gap(subject, "a virtual server by firewall mark", Reason.NOT_APPLICABLE, text)
        elif not server.service.port:
            text = f"{server.service.address} takes packets to any port"
            yield Gap(subject, "a virtual server for all ports", Reason.NOT_APPLICABLE, text)
    for scheduler in sorted({each.scheduler for each in servers} & SHARES_BY_WEIGHT.keys()):
        text = f"the scheduler {scheduler} {SHARES_BY_WEIGHT[scheduler]}: shares are taken by weight"
        yield Gap(subject, "shares of real servers", Reason.NOT_APPLICABLE, text)


def _order(entry: MapEntry) -> tuple[object, ...]:
    to = entry.destination
    address = (1, 0, 0) if to.address is None else (0, *address_key(to.address))
    return address, to.protocol, to.port, to.except_, _HOOKS.index(entry.hook)

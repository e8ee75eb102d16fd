"""iptables rules -> a service map: what a node in kube-proxy's iptables mode does with packets to Services.

The rules are walked from the hooks for every destination that they name; chains that nothing jumps to are in no map.
Source of kube-proxy's rules: pkg/proxy/iptables/proxier.go of Kubernetes 1.21 to 1.36.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec

from netinspect.analyze.iptables.hooks import HookWalker
from netinspect.analyze.iptables.packet import Packet
from netinspect.analyze.service_map.branches import BranchBuilder, is_same
from netinspect.analyze.service_map.local_classes import LocalClasses, find_local_classes
from netinspect.analyze.service_map.named_destinations import (
    NamedDestination,
    find_named_destinations,
)
from netinspect.models.address import Address
from netinspect.models.fact import Gap, Reason
from netinspect.models.ipset import IpSet
from netinspect.models.iptables import Ruleset
from netinspect.models.service_map import (
    Branch,
    Destination,
    Hook,
    MapEntry,
    Mode,
    Outcome,
    ServiceMap,
)

_HOOKS = tuple(Hook)
_READ_TABLES = ("raw", "mangle", "nat", "filter")
_MOST_NAMED = 20


def read_iptables_map(
    node: str,
    family: int,
    rules: Ruleset,
    local_addresses: Sequence[Address],
    sets: Mapping[str, IpSet] | None = None,
) -> ServiceMap:
    """Return what a node's iptables rules do with packets to Services.

    Args:
        node: the node's name.
        family: 4 or 6; the rules' own.
        rules: of one backend.
        local_addresses: the node's own addresses, of whatever family. Without them what a rule says of a single one of
            them is not seen; a loopback address counts as known.
        sets: ipsets that rules may name. Rules that name others are undecided.
    """
    reader = _MapReader(family, rules, local_addresses, sets or {})
    entries = tuple(sorted(reader.read(), key=_entry_order))
    return ServiceMap(
        node=node,
        family=family,
        mode=Mode.IPTABLES,
        layout=_layout_of(rules),
        entries=entries,
        gaps=(*_unreadable(node, family, rules), *reader.gaps(node)),
    )


def read_one_destination(
    rules: Ruleset,
    local_addresses: Sequence[Address],
    hook: Hook,
    address: Address,
    protocol: str,
    port: int,
    sets: Mapping[str, IpSet] | None = None,
) -> tuple[Branch, ...]:
    """Return what happens at a hook to packets for one concrete destination; empty where nothing does.

    Args:
        rules: of the address's family.
        local_addresses: the node's own.
        hook: where.
        address: the destination.
        protocol: `tcp`, `udp` or `sctp`.
        port: its port.
        sets: ipsets that rules may name.
    """
    reader = _MapReader(address.version, rules, local_addresses, sets or {})
    return reader.read_one(hook, address, protocol, port)


class _Port(msgspec.Struct, frozen=True):
    """What is sent to one port, wherever: entries of one port are made together."""

    hook: Hook
    protocol: str
    port: int


class _MapReader:
    """Reads one map."""

    def __init__(
        self, family: int, rules: Ruleset, local_addresses: Sequence[Address], sets: Mapping[str, IpSet]
    ) -> None:
        self._family = family
        self._named = find_named_destinations(rules, sets)
        self._hooks = HookWalker(rules, sets)
        self._local: LocalClasses = find_local_classes(family, rules, local_addresses)
        self._builder = BranchBuilder(self._hooks, frozenset(map(int, self._local.addresses)))
        self._doubts: dict[str, None] = {}
        self._said: set[str] = set()

    def read(self) -> Iterator[MapEntry]:
        """Yield the entries."""
        for hooks, named in self._wanted():
            by_port: dict[tuple[str, int], dict[int | None, str]] = {}
            for each, service in named.items():
                by_port.setdefault((each.protocol, each.port), {}).setdefault(each.number, service)
            for (protocol, port), names in by_port.items():
                yield from self._read_port(hooks, protocol, port, names)

    def read_one(self, hook: Hook, address: Address, protocol: str, port: int) -> tuple[Branch, ...]:
        """Return the branches of one concrete destination, whether a rule names it or not."""
        return self._branches(_Port(hook, protocol, port), int(address))

    def gaps(self, node: str) -> tuple[Gap, ...]:
        """Return what could not be judged and is in no entry, after `read`."""
        unsaid = [each for each in self._doubts if each not in self._said]
        texts = [*(f"range of ports: nat {each}" for each in self._named.ranges), *unsaid]
        return tuple(
            Gap(subject=f"node/{node}", fact="rule of iptables", reason=Reason.UNPARSABLE, detail=each)
            for each in texts[:_MOST_NAMED]
        )

    def _wanted(self) -> tuple[tuple[tuple[Hook, ...], dict[NamedDestination, str]], ...]:
        both = {**self._named.refused, **self._named.translated}
        return ((Hook.PREROUTING, Hook.OUTPUT), both), ((Hook.INPUT,), self._named.accepted)

    def _read_port(
        self, hooks: Iterable[Hook], protocol: str, port: int, names: Mapping[int | None, str]
    ) -> Iterator[MapEntry]:
        """Yield the entries of one port: of the addresses that are named with it, and of any local one."""
        numbers = [each for each in names if each is not None]
        if None in names:
            numbers += [each for each in self._local.special if each not in names]
        anywhere = {hook: self._anywhere(_Port(hook, protocol, port), names) for hook in hooks}
        excepted: dict[Hook, list[int]] = {hook: [] for hook in hooks}
        # One destination at both hooks, one after the other: what both ask is then walked once.
        for number in numbers:
            for hook in hooks:
                branches = self._branches(_Port(hook, protocol, port), number)
                if number in self._local.numbers and anywhere[hook]:
                    if _are_same(branches, anywhere[hook]):
                        continue
                    excepted[hook].append(number)
                address = self._address(number)
                service = names.get(number, names.get(None, ""))
                to = Destination(address=address, protocol=protocol, port=port)
                yield from self._entry(hook, to, branches, service)
        for hook in hooks:
            except_ = tuple(sorted({_excepted(self._address(each)) for each in excepted[hook]}))
            to = Destination(address=None, except_=except_, protocol=protocol, port=port)
            yield from self._entry(hook, to, anywhere[hook], names.get(None, ""))

    def _anywhere(self, port: _Port, names: Mapping[int | None, str]) -> tuple[Branch, ...]:
        return self._branches(port, None) if None in names else ()

    def _branches(self, port: _Port, number: int | None) -> tuple[Branch, ...]:
        packet = Packet(
            hook=port.hook,
            family=self._family,
            protocol=port.protocol,
            address=None if number is None else self._address(number),
            port=port.port,
            is_local=number is None or number in self._local.numbers,
        )
        return self._builder.build(
            self._hooks.walk(packet), packet, is_refused=self._is_refused(port, number)
        )

    def _is_refused(self, port: _Port, number: int | None) -> bool:
        named = self._named.refused if port.hook is not Hook.INPUT else self._named.accepted
        if NamedDestination(number, port.protocol, port.port) in named:
            return True
        is_local = number is None or number in self._local.numbers
        return is_local and NamedDestination(None, port.protocol, port.port) in named

    def _entry(
        self, hook: Hook, to: Destination, branches: tuple[Branch, ...], service: str
    ) -> Iterator[MapEntry]:
        texts = [text for branch in branches for text in branch.undecided]
        if all(branch.outcome is Outcome.NONE for branch in branches):
            self._doubts.update(dict.fromkeys(texts))
            return
        self._said.update(texts)
        yield MapEntry(hook=hook, destination=to, branches=branches, service=service)

    def _address(self, number: int) -> Address:
        return _to_address(number, self._family)


@lru_cache(maxsize=1024)
def _to_address(number: int, family: int) -> Address:
    return ipaddress.IPv6Address(number) if family == 6 else ipaddress.IPv4Address(number)


def _are_same(some: Sequence[Branch], others: Sequence[Branch]) -> bool:
    return len(some) == len(others) and all(
        one.when == other.when and is_same(one, other) for one, other in zip(some, others, strict=True)
    )


def _excepted(address: Address) -> str:
    if address.is_loopback:
        return "::1/128" if address.version == 6 else "127.0.0.0/8"
    return f"{address}/{address.max_prefixlen}"


def _entry_order(entry: MapEntry) -> tuple[bool, int, str, int, int]:
    to = entry.destination
    number = 0 if to.address is None else int(to.address)
    return to.address is None, number, to.protocol, to.port, _HOOKS.index(entry.hook)


def _unreadable(node: str, family: int, rules: Ruleset) -> Iterator[Gap]:
    for name in _READ_TABLES:
        table = rules.tables.get(name)
        if table is not None and table.unreadable is not None:
            yield Gap(
                subject=f"node/{node}",
                fact=f"table {name} of iptables (IPv{family})",
                reason=Reason.UNPARSABLE,
                detail=table.unreadable,
            )


def _layout_of(rules: Ruleset) -> str:
    """Say whose rules they are, as far as chains tell: each was there from one version of kube-proxy to another."""
    nat = rules.tables["nat"].chains if "nat" in rules.tables else {}
    if "KUBE-SERVICES" not in nat:
        return "iptables, no rules of kube-proxy"
    if any(name.startswith("KUBE-XLB-") for name in nat):
        return "iptables, kube-proxy 1.23 or older"
    if rules.chain("filter", "KUBE-PROXY-FIREWALL") is not None:
        return "iptables, kube-proxy 1.26 or newer"
    if any(name.startswith("KUBE-EXT-") for name in nat):
        return "iptables, kube-proxy 1.24 or 1.25"
    return "iptables, kube-proxy 1.25 or older"

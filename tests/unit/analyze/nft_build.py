"""Rulesets of nft by hand, in the words of its JSON: small ones, as kube-proxy builds them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from netinspect.analyze.nft.service_map import read_nft_map
from netinspect.models.address import parse_address
from netinspect.models.nft import NftRuleset
from netinspect.models.service_map import Branch, Hook, MapEntry, ServiceMap, SourceCondition
from netinspect.parse.nft_json import parse_nft_json

Object = dict[str, Any]

PODS = "fd00:10:244::/48"
LOCAL = ("::1", "fd00:10:99::11", "fe80::1")
VIP, POD1, POD2 = "fd00:10:96::1", "fd00:10:244:1::1", "fd00:10:244:2::2"


def payload(protocol: str, field: str) -> Object:
    return {"payload": {"protocol": protocol, "field": field}}


DADDR, SADDR = payload("ip6", "daddr"), payload("ip6", "saddr")
DPORT = payload("th", "dport")
L4PROTO: Object = {"meta": {"key": "l4proto"}}
MARK: Object = {"meta": {"key": "mark"}}
IIFNAME: Object = {"meta": {"key": "iifname"}}
DESTINATION: Object = {"concat": [DADDR, L4PROTO, DPORT]}
LOCAL_DADDR: Object = {
    "match": {"op": "==", "left": {"fib": {"result": "type", "flags": ["daddr"]}}, "right": "local"}
}
LOCAL_SADDR: Object = {
    "match": {"op": "==", "left": {"fib": {"result": "type", "flags": ["saddr"]}}, "right": "local"}
}
NEW: Object = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}}
SET_MARK: Object = {"mangle": {"key": MARK, "value": {"|": [MARK, 0x4000]}}}
MASQUERADE: Object = {"masquerade": {"flags": "fully-random"}}
DROP: Object = {"drop": None}
ACCEPT: Object = {"accept": None}
RETURN: Object = {"return": None}
REJECT: Object = {"reject": {"type": "icmpv6", "expr": "port-unreachable"}}
XT: Object = {"xt": {"type": "match", "name": "statistic"}}


def match(left: Object, right: Any, op: str = "==") -> Object:
    return {"match": {"op": op, "left": left, "right": right}}


def prefix(cidr: str) -> Object:
    address, _, length = cidr.partition("/")
    return {"prefix": {"addr": address, "len": int(length)}}


def anonymous(*elements: Any) -> Object:
    return {"set": list(elements)}


def jump(chain: str) -> Object:
    return {"jump": {"target": chain}}


def goto(chain: str) -> Object:
    return {"goto": {"target": chain}}


def vmap(key: Object, data: Any) -> Object:
    return {"vmap": {"key": key, "data": data}}


def random(count: int, offset: int = 0) -> Object:
    return {"numgen": {"mode": "random", "mod": count, "offset": offset}}


def dnat(address: str, port: int | None = None) -> Object:
    return {"dnat": {"addr": address} if port is None else {"addr": address, "port": port}}


def dnat_to_one_of(*targets: tuple[str, int], count: int | None = None) -> Object:
    """As kube-proxy 1.36 writes it."""
    data = anonymous(*([at, {"concat": list(each)}] for at, each in enumerate(targets)))
    return {"dnat": {"family": "ip6", "addr": {"map": {"key": random(count or len(targets)), "data": data}}}}


def to(address: str, port: int = 80, protocol: str = "tcp") -> Object:
    """A key of service-ips."""
    return {"concat": [address, protocol, port]}


class Table:
    """One table, filled bit by bit."""

    def __init__(self, name: str = "kube-proxy", family: str = "ip6", **more: Any) -> None:
        self._own = {"family": family, "table": name}
        self._table = {"table": {"family": family, "name": name, "handle": 1, **more}}
        self._objects: list[Object] = []
        self._rules: list[Object] = []

    def base(
        self,
        name: str,
        hook: str,
        priority: int,
        *rules: Iterable[Object],
        kind: str = "filter",
        policy: str = "accept",
    ) -> Table:
        base = {"type": kind, "hook": hook, "prio": priority, "policy": policy}
        self._objects.append({"chain": {**self._own, "name": name, "handle": 1, **base}})
        return self._fill(name, rules)

    def nat(self, hook: str, *rules: Iterable[Object], priority: int | None = None) -> Table:
        usual = 100 if hook == "postrouting" else -100
        return self.base(f"nat-{hook}", hook, usual if priority is None else priority, *rules, kind="nat")

    def chain(self, name: str, *rules: Iterable[Object]) -> Table:
        self._objects.append({"chain": {**self._own, "name": name, "handle": 1}})
        return self._fill(name, rules)

    def set(self, name: str, *elements: Any, **more: Any) -> Table:
        return self._named("set", name, elements, {"type": "ipv6_addr", **more})

    def map(self, name: str, *elements: Any, **more: Any) -> Table:
        key = ["ipv6_addr", "inet_proto", "inet_service"]
        return self._named("map", name, elements, {"type": key, "map": "verdict", **more})

    def objects(self) -> list[Object]:
        return [self._table, *self._objects, *self._rules]

    def _named(self, kind: str, name: str, elements: Iterable[Any], more: Mapping[str, Any]) -> Table:
        found = list(elements)
        elem = {"elem": found} if found else {}
        self._objects.append({kind: {**self._own, "name": name, "handle": 1, **more, **elem}})
        return self

    def _fill(self, chain: str, rules: Iterable[Iterable[Object]]) -> Table:
        self._rules += [
            {"rule": {**self._own, "chain": chain, "handle": 1, "expr": list(each)}} for each in rules
        ]
        return self


def ruleset(*tables: Table) -> NftRuleset:
    metainfo = {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}
    objects = [{"metainfo": metainfo}, *(each for table in tables for each in table.objects())]
    return parse_nft_json(json.dumps({"nftables": objects}))


def read(*tables: Table, local: Iterable[str] = LOCAL, family: int = 6) -> ServiceMap:
    return read_nft_map("node-b", family, ruleset(*tables), [parse_address(each) for each in local])


def told(map_: ServiceMap, hook: Hook = Hook.PREROUTING) -> dict[str, list[str]]:
    """Each entry of a hook in words: `[fd00::1]:80/tcp` and its branches."""
    return {
        _where(entry): [say(each) for each in entry.branches] for entry in map_.entries if entry.hook is hook
    }


def say(branch: Branch) -> str:
    """A branch in one line: what holds, what happens."""
    when = " and ".join(map(_condition, branch.when)) or "any"
    words = [f"{when}: {branch.outcome}"]
    for each in branch.backends:
        affinity = f" for {each.affinity_s}s" if each.affinity_s else ""
        hairpin = "".join(f" hairpin {host}" for host in each.masqueraded_from)
        words.append(f"{each.address}/{each.port} {each.share:.4g}{affinity}{hairpin}")
    words += ["masquerade"] if branch.masquerade else []
    words += [f"lost {branch.lost:.4g}"] if branch.lost else []
    words += ["undecided"] if branch.undecided else []
    return ", ".join(words)


def _condition(condition: SourceCondition) -> str:
    return ("not " if condition.negated else "") + "|".join(condition.values)


def _where(entry: MapEntry) -> str:
    to = entry.destination
    address = f"[{to.address}]" if to.address is not None else "any"
    excepted = f" except {','.join(to.except_)}" if to.except_ else ""
    return f"{address}:{to.port}/{to.protocol}{excepted}"

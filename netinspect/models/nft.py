"""A ruleset in the words of nft: tables, base and regular chains, rules, sets, maps.

It is what `nft -j list ruleset` (or `list table`) prints, parsed. Nothing is dropped: keys that are not known are kept
as a remainder, and what has one must never be judged as if it had none.
"""

from __future__ import annotations

import msgspec

from netinspect.models.nft_expression import Element, Unknown
from netinspect.models.nft_statement import Statement

_DORMANT = "dormant"
_FLAGS = frozenset((_DORMANT, "owner", "persist"))


class _Part(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A part of a ruleset."""


class NftRule(_Part, frozen=True):
    """One rule.

    Attributes:
        statements: in order.
        handle: by which the rule is addressed; None where it was not printed.
        comment: empty where it has none.
        remainder: compact JSON of the keys that are not known; empty for almost all.
    """

    statements: tuple[Statement, ...] = ()
    handle: int | None = None
    comment: str = ""
    remainder: str = ""


class NftHook(_Part, frozen=True):
    """What makes a chain a base chain, as printed; a name that is not known stands there as it is.

    Attributes:
        hook: `prerouting`, `input`, `forward`, `output`, `postrouting`, `ingress`, `egress`; "" where it is missing.
        type: `filter`, `nat` or `route`; "" where it is missing.
        priority: the lower comes first; `dstnat` is -100, `filter` 0, `srcnat` 100. None where it is missing.
        policy: `accept` or `drop`; None where it is missing.
        devices: the links that a chain of family netdev (or of inet's ingress) is bound to. nft 1.0.6 prints them only
            where there is exactly one.
    """

    hook: str = ""
    type: str = ""
    priority: int | None = None
    policy: str | None = None
    devices: tuple[str, ...] = ()


class NftChain(_Part, frozen=True):
    """One chain.

    Attributes:
        name: its name.
        base: where packets enter it; None for a regular chain, which they come to only by a jump, goto or map.
        rules: in order.
        handle: None where it was not printed.
        comment: nft 1.0.6 does not print it.
        remainder: compact JSON of the keys that are not known. With one, a chain without `base` may be a base chain of
            a kind that is not known.
    """

    name: str
    base: NftHook | None = None
    rules: tuple[NftRule, ...] = ()
    handle: int | None = None
    comment: str = ""
    remainder: str = ""

    @property
    def is_regular(self) -> bool:
        """Whether packets certainly come to it only from other chains."""
        return self.base is None and not self.remainder


class NftSet(_Part, frozen=True):
    """One named set or map.

    Attributes:
        name: its name; sets and maps of a table share their names.
        type: of its keys, one name a part of a concatenation: `("ipv4_addr", "inet_proto", "inet_service")`.
            Unknown where the set was declared by `typeof` (nftables since 1.1.2), whose JSON is another.
        map: of a map: what its data are, one name a part: `("verdict",)`, or the type of object; None of a set.
        is_meter: whether a `meter` statement made it.
        flags: `constant`, `interval`, `timeout`, `dynamic`. nft 1.0.6 does not print `dynamic`.
        elements: in the order printed; none where the listing was terse (`-t`), which cannot be seen.
        timeout_s: of elements that have none of their own.
        gc_interval_s: how often what has timed out is removed.
        size: how many elements it may have.
        policy: `memory`; None is `performance`.
        auto_merge: whether neighbouring intervals are merged (printed since nftables 1.1.2).
        statements: what each element bears: `counter`.
        handle: None where it was not printed.
        comment: empty where it has none.
        remainder: compact JSON of the keys that are not known.
    """

    name: str
    type: tuple[str, ...] | Unknown
    map: tuple[str, ...] | None = None
    is_meter: bool = False
    flags: tuple[str, ...] = ()
    elements: tuple[Element, ...] = ()
    timeout_s: int | None = None
    gc_interval_s: int | None = None
    size: int | None = None
    policy: str | None = None
    auto_merge: bool = False
    statements: tuple[Statement, ...] = ()
    handle: int | None = None
    comment: str = ""
    remainder: str = ""


class NftObject(_Part, frozen=True):
    """Something else that a table has.

    Attributes:
        type: `counter`, `quota`, `limit`, `ct helper`, `ct timeout`, `ct expectation`, `secmark`, `synproxy`,
            `flowtable`, or one that is not known.
        name: its name, unique in its type.
        packets: of a counter, None elsewhere.
        bytes: likewise.
        handle: None where it was not printed.
        comment: empty where it has none.
        remainder: compact JSON of its other keys.
    """

    type: str
    name: str
    packets: int | None = None
    bytes: int | None = None
    handle: int | None = None
    comment: str = ""
    remainder: str = ""


class NftTable(_Part, frozen=True):
    """One table.

    Attributes:
        family: `ip`, `ip6`, `inet` (both), `arp`, `bridge`, `netdev`.
        name: its name; two families may have the same.
        chains: by name, in the order printed.
        sets: sets and maps by name, in the order printed.
        objects: in the order printed.
        flags: `dormant` (no packet comes here), `owner`, `persist`. nft before 1.1.0 prints any text where there is
            exactly one, so one that is not known may be any of them.
        handle: None where the table itself was not printed (`list chain`, `list set`).
        comment: nft 1.0.6 does not print it.
        remainder: compact JSON of the keys that are not known.
    """

    family: str
    name: str
    chains: dict[str, NftChain] = {}
    sets: dict[str, NftSet] = {}
    objects: tuple[NftObject, ...] = ()
    flags: tuple[str, ...] = ()
    handle: int | None = None
    comment: str = ""
    remainder: str = ""

    @property
    def is_dormant(self) -> bool:
        """Whether no packet comes to the table's chains."""
        return _DORMANT in self.flags

    @property
    def may_be_dormant(self) -> bool:
        """Whether that is not told: nft before 1.1.0 prints any text in place of a single flag."""
        return not self.is_dormant and not _FLAGS.issuperset(self.flags)


class NftRuleset(_Part, frozen=True):
    """One whole output of `nft -j list ...`.

    Attributes:
        tables: in the order printed.
        version: of nft: `1.0.6`.
        release_name: of nft.
        schema_version: of the JSON, 1 in all known versions; a parser of today may misread a higher one.
        unknown: what stands beside tables, chains, rules, sets and objects, and has no table.
    """

    tables: tuple[NftTable, ...] = ()
    version: str = ""
    release_name: str = ""
    schema_version: int = 1
    unknown: tuple[Unknown, ...] = ()

    def table(self, family: str, name: str) -> NftTable | None:
        """Return a table, or None where there is none."""
        return next((each for each in self.tables if (each.family, each.name) == (family, name)), None)

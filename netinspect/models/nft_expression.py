"""What nft's rules compute with: values of packets, constants, sets of them, lookups.

Each class bears the name that nft's JSON has for it, as its tag, and the JSON's own keys as its fields. A number, a
string or a boolean of the JSON is that: ports are numbers, protocols names where the tool knows one (`tcp`) and numbers
elsewhere (`253`), addresses and link names strings (`eth*` is a wildcard), and `*` in a set is what no other element
takes. Nothing is dropped: an expression of unknown kind, or with a key that is not known, is `Unknown`.

Source: libnftables-json(5), and src/json.c of nftables 1.0.6 to 1.1.6.
"""

from __future__ import annotations

import msgspec


class Node(
    msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind"
):
    """A part of a rule."""


class Unknown(Node, frozen=True, tag="unknown"):
    """What is not understood, as compact JSON. What depends on it cannot be decided."""

    json: str


class SetRef(Node, frozen=True, tag="set reference"):
    """A named set or map of the same table: `@cluster-ips`, without its `@`."""

    name: str


class Payload(Node, frozen=True, tag="payload"):
    """A field of a header: `ip saddr`; `th dport` is the port whichever protocol it is."""

    protocol: str
    field: str
    tunnel: str | None = None


class RawPayload(Node, frozen=True, tag="raw payload"):
    """Bits at a place: `@th,16,16`. Base `ll`, `nh`, `th`, or `ih`; offset and length in bits."""

    base: str
    offset: int
    len: int


class Meta(Node, frozen=True, tag="meta"):
    """What the kernel knows of a packet: `mark`, `iifname`, `l4proto`, ..."""

    key: str


class Ct(Node, frozen=True, tag="ct"):
    """What conntrack knows of a packet: `state`, `mark`, `status`; `dir` where a tuple is looked at."""

    key: str
    dir: str | None = None
    family: str | None = None


class Fib(Node, frozen=True, tag="fib"):
    """A look-up of a route: `fib daddr type` is result `type`, flags `daddr`."""

    result: str
    flags: tuple[str, ...] = ()


class Rt(Node, frozen=True, tag="rt"):
    """What the packet's route says: `classid`, `nexthop`, `mtu`."""

    key: str
    family: str | None = None


class Socket(Node, frozen=True, tag="socket"):
    """What the packet's socket says: `transparent`, `mark`, `wildcard`."""

    key: str


class Exthdr(Node, frozen=True, tag="exthdr"):
    """A field of an IPv6 extension header; without field, whether there is such a header."""

    name: str
    field: str | None = None
    offset: int | None = None


class TcpOption(Node, frozen=True, tag="tcp option"):
    """A field of a TCP option; without field, whether it is there."""

    name: str
    field: str | None = None


class IpOption(Node, frozen=True, tag="ip option"):
    """A field of an IPv4 option; without field, whether it is there."""

    name: str
    field: str | None = None


class Numgen(Node, frozen=True, tag="numgen"):
    """A new number each time, `offset` to `offset + mod - 1`: mode `random`, or `inc` for one after the other."""

    mode: str
    mod: int
    offset: int = 0


class Jhash(Node, frozen=True, tag="jhash"):
    """A hash of a value, `offset` to `offset + mod - 1`. Without seed the kernel made one up."""

    mod: int
    expr: Expression
    seed: int | None = None
    offset: int = 0


class Symhash(Node, frozen=True, tag="symhash"):
    """A hash of the flow, the same in both directions."""

    mod: int
    seed: int | None = None
    offset: int = 0


class Prefix(Node, frozen=True, tag="prefix"):
    """A network; `addr` is a string in all known outputs."""

    addr: Expression
    len: int


class Range(Node, frozen=True, tag="range"):
    """All values from the lower to the higher, both included."""

    low: Expression
    high: Expression


class Concat(Node, frozen=True, tag="concat"):
    """Several values side by side: `ip daddr . tcp dport`."""

    parts: tuple[Expression, ...]


class List(Node, frozen=True, tag="list"):
    """Several flags of one value: the right side of `ct state established,related` (operator `in`)."""

    items: tuple[Expression, ...]


class Binary(Node, frozen=True, tag="binary"):
    """A computation: `&`, `|`, `^`, `<<`, `>>`, of two operands, or of more since 1.1.2."""

    op: str
    operands: tuple[Expression, ...]


class Element(Node, frozen=True, tag="element"):
    """An element of a set or a map.

    Attributes:
        key: a value, Prefix, Range or Concat; `*` is what no other element takes. Of an element that is not understood
            it is all of it, Unknown, and there is no data.
        data: what a map has for it: a value, Concat, Verdict; None in a set.
        timeout_s: its own timeout, seconds.
        expires_s: what is left of its timeout, seconds.
        comment: empty where it has none.
        packets: its counter, None where it has none.
        bytes: likewise.
        remainder: compact JSON of what else it has (`limit`, `ct count`, ...); empty for almost all.
    """

    key: Expression
    data: Expression | None = None
    timeout_s: int | None = None
    expires_s: int | None = None
    comment: str = ""
    packets: int | None = None
    bytes: int | None = None
    remainder: str = ""


class Set(Node, frozen=True, tag="set"):
    """An anonymous set, or the anonymous map of a look-up. nft prints a set of one plain value as that value."""

    elements: tuple[Element, ...]


class Lookup(Node, frozen=True):
    """What a map has for a key; `data` is a Set whose elements have data, or a SetRef."""

    key: Expression
    data: Expression


class Map(Lookup, frozen=True, tag="map"):
    """A value by key: `numgen random mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }`."""


class Vmap(Lookup, frozen=True, tag="vmap"):
    """A verdict by key; no element for it, and the next rule is next. Also a statement."""


class Verdict(Node, frozen=True):
    """What becomes of the packet, or where it goes on."""


class Accept(Verdict, frozen=True, tag="accept"):
    """It leaves this base chain; later base chains of the hook may still drop it."""


class Drop(Verdict, frozen=True, tag="drop"):
    """It is gone."""


class Continue(Verdict, frozen=True, tag="continue"):
    """It goes on with the next statement."""


class Break(Verdict, frozen=True, tag="break"):
    """It goes on with the next rule (internal to nft, printed nowhere that is known)."""


class Return(Verdict, frozen=True, tag="return"):
    """It goes on behind the last jump; in a base chain the policy decides."""


class Jump(Verdict, frozen=True, tag="jump"):
    """It goes through a chain of the same table, and comes back at its end."""

    target: str


class Goto(Verdict, frozen=True, tag="goto"):
    """It goes through a chain of the same table, whose end goes back to the last jump."""

    target: str


Expression = (
    str
    | int
    | bool
    | SetRef
    | Payload
    | RawPayload
    | Meta
    | Ct
    | Fib
    | Rt
    | Socket
    | Exthdr
    | TcpOption
    | IpOption
    | Numgen
    | Jhash
    | Symhash
    | Prefix
    | Range
    | Concat
    | List
    | Binary
    | Set
    | Map
    | Vmap
    | Accept
    | Drop
    | Continue
    | Break
    | Return
    | Jump
    | Goto
    | Unknown
)

"""What nft's rules do, in order: a statement that does not match ends its rule.

As `nft_expression`: classes are tagged with the names of nft's JSON and have its keys; what is not understood is
`Unknown`.
"""

from __future__ import annotations

from netinspect.models.nft_expression import (
    Accept,
    Break,
    Continue,
    Drop,
    Element,
    Expression,
    Goto,
    Jump,
    Node,
    Return,
    Unknown,
    Vmap,
)


class Match(Node, frozen=True, tag="match"):
    """A comparison: `==`, `!=`, `<`, `>`, `<=`, `>=`, or `in`.

    `==` and `!=` with a Set, SetRef, Prefix or Range on the right ask whether the left is in it. `in` is the look at
    flags: some of those on the right (a name, a number, a List) are set on the left.
    """

    op: str
    left: Expression
    right: Expression


class Counter(Node, frozen=True, tag="counter"):
    """A counter of the rule itself; None where the listing was stateless (`-s`)."""

    packets: int | None = None
    bytes: int | None = None


class ObjectRef(Node, frozen=True, tag="object reference"):
    """Use of a named object: `counter name "seen"`.

    Attributes:
        type: `counter`, `quota`, `limit`, `ct helper`, `ct timeout`, `ct expectation`, `secmark`, `synproxy`.
        name: a string, or a Map that gives it.
    """

    type: str
    name: Expression


class Nat(Node, frozen=True):
    """A translation; the packet leaves the base chain as with Accept.

    Attributes:
        family: `ip` or `ip6` where the tool prints it: in inet tables, and with `addr . port`.
        addr: a string, a Range, or a Map; with a Map whose data are Concat it gives address and port together.
        port: a number, a Range, or a Map; None leaves the port as it is.
        flags: `random`, `fully-random`, `persistent`, `netmap`.
        type_flags: `prefix`.
    """

    family: str | None = None
    addr: Expression | None = None
    port: Expression | None = None
    flags: tuple[str, ...] = ()
    type_flags: tuple[str, ...] = ()


class Dnat(Nat, frozen=True, tag="dnat"):
    """The destination is rewritten."""


class Snat(Nat, frozen=True, tag="snat"):
    """The source is rewritten."""


class Masquerade(Nat, frozen=True, tag="masquerade"):
    """The source becomes the address of the link that it leaves by."""


class Redirect(Nat, frozen=True, tag="redirect"):
    """The destination becomes the node itself."""


class Reject(Node, frozen=True, tag="reject"):
    """The packet is refused; without type and expr by port unreachable.

    Attributes:
        type: `tcp reset`, `icmp`, `icmpv6`, `icmpx`.
        expr: the ICMP code: `admin-prohibited`.
    """

    type: str | None = None
    expr: Expression | None = None


class Mangle(Node, frozen=True, tag="mangle"):
    """Something is set: `meta mark set meta mark | 0x4000` has key Meta and value Binary."""

    key: Expression
    value: Expression


class SetUpdate(Node, frozen=True, tag="set update"):
    """An element is put into a named set: `update @affinity-... { ip saddr }`.

    Attributes:
        op: `add`, `update` (which renews its timeout), `delete`.
        element: its key, and its own timeout where it has one.
        set: the set's name, without `@`.
        statements: what each element bears (`limit`, `counter`).
    """

    op: str
    element: Element
    set: str
    statements: tuple[Statement, ...] = ()


class Limit(Node, frozen=True, tag="limit"):
    """Matches so often only; with `inv` only what is more often. Units only where bytes are counted."""

    rate: int
    per: str
    burst: int = 0
    inv: bool = False
    rate_unit: str | None = None
    burst_unit: str | None = None


class Quota(Node, frozen=True, tag="quota"):
    """Matches until so much has passed; with `inv` (`over`) only then."""

    val: int
    val_unit: str = "bytes"
    inv: bool = False
    used: int | None = None
    used_unit: str | None = None


class CtCount(Node, frozen=True, tag="ct count"):
    """Matches while there are so many connections; with `inv` (`over`) when there are more."""

    val: int
    inv: bool = False


class Log(Node, frozen=True, tag="log", rename={"queue_threshold": "queue-threshold"}):
    """A line in a log; no verdict."""

    prefix: str | None = None
    group: int | None = None
    snaplen: int | None = None
    queue_threshold: int | None = None
    level: str | None = None
    flags: tuple[str, ...] = ()


class Queue(Node, frozen=True, tag="queue"):
    """The packet goes to a program, which decides; `bypass` accepts where none listens."""

    num: Expression | None = None
    flags: tuple[str, ...] = ()


class Notrack(Node, frozen=True, tag="notrack"):
    """The packet is not tracked; no verdict."""


class Xt(Node, frozen=True, tag="xt"):
    """A match or target of iptables that nft cannot say: what it does is not in this output.

    Attributes:
        type: `match`, `target`, `watcher`; None where the tool prints null.
        name: the extension: `comment`, `DNAT`.
    """

    type: str | None = None
    name: str | None = None


Statement = (
    Match
    | Counter
    | ObjectRef
    | Accept
    | Drop
    | Continue
    | Break
    | Return
    | Jump
    | Goto
    | Vmap
    | Dnat
    | Snat
    | Masquerade
    | Redirect
    | Reject
    | Mangle
    | SetUpdate
    | Limit
    | Quota
    | CtCount
    | Log
    | Queue
    | Notrack
    | Xt
    | Unknown
)

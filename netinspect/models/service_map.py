"""What a node's kernel does with packets to Services, whichever dataplane wrote the rules.

One map is of one node and one family. It is read by walking from the hooks, as a packet would: what nothing jumps to
is not in it. Readers (iptables, nftables, IPVS) and `expected_service_map` give the same shape, so that they can be
compared.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from netinspect.models.address import Address
from netinspect.models.fact import Gap

# gc=False: these hold no cycles, and in a large cluster's map there are so many of them that
# looking for some takes a third of the time.


class Mode(StrEnum):
    """A mode of kube-proxy, in its own words (`/proxyMode`)."""

    IPTABLES = "iptables"
    NFTABLES = "nftables"
    IPVS = "ipvs"


class Hook(StrEnum):
    """Where a packet meets the rules: netfilter's hooks.

    `PREROUTING` is a packet that comes in by a link (from pods and from outside), `OUTPUT` one that a process in the
    node's own netns sends; `INPUT` is for what is not translated but let in (health-check node ports).
    """

    PREROUTING = "prerouting"
    OUTPUT = "output"
    INPUT = "input"


class Destination(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """What a packet is sent to.

    Attributes:
        address: the address; None is any address that is local to the node (node ports).
        except_: of the local addresses those that are excluded, as CIDRs: `127.0.0.0/8`. Sorted.
        protocol: `tcp`, `udp` or `sctp`.
        port: the port.
    """

    address: Address | None
    protocol: str
    port: int
    except_: tuple[str, ...] = msgspec.field(default=(), name="except")


class SourceKind(StrEnum):
    """What a condition on a packet's source looks at.

    Whether it is one of the node's own (`addrtype --src-type LOCAL`, `fib saddr type local`) is no condition: the
    hook decides it.
    """

    NETWORK = "network"
    """The source address is in one of the networks."""
    LINK = "link"
    """The packet came in by one of the links (`cni0`; a trailing `+` or `*` is written `+`)."""


class SourceCondition(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """One condition on a packet's source.

    Attributes:
        kind: what is looked at.
        values: CIDRs (canonical text, host addresses as /32 and /128) or link names, sorted.
        negated: the condition holds where the source is none of these.
    """

    kind: SourceKind
    values: tuple[str, ...] = ()
    negated: bool = False


class Outcome(StrEnum):
    """What happens to a packet."""

    BACKENDS = "backends"
    """It is sent to one of the backends."""
    REJECT = "reject"
    """It is refused (ICMP port unreachable)."""
    DROP = "drop"
    """It is dropped without a word."""
    ACCEPT = "accept"
    """It is let in as it is (health-check node port)."""
    NO_DESTINATION = "no-destination"
    """IPVS has a virtual server, and no real server of it takes new connections: refused (ICMP port unreachable)."""
    NONE = "none"
    """No rule of the Service dataplane does anything to it: it goes on with its destination unchanged."""


class RuleRef(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel", omit_defaults=True):
    """One rule, map element or IPVS line that a statement comes from.

    Attributes:
        where: table and chain, or map, as the tool names them: `nat KUBE-SERVICES`, `map service-ips`, `ipvs`,
            `ipset X`.
        text: the raw line of the tool, or the JSON of nft's expression or element, compact.
        packets: its packet counter, None where it has none.
        bytes: its byte counter.
        hooks: at which of several hooks, whose ways were joined, it is met; empty is at each.
    """

    where: str
    text: str
    packets: int | None = None
    bytes: int | None = None
    hooks: tuple[Hook, ...] = ()


class Backend(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel", omit_defaults=True):
    """Where a branch sends packets.

    Attributes:
        address: the endpoint's address.
        port: its port; None where the translation leaves the port as it is.
        share: the part of new connections that comes here, 0 to 1; those of a branch add up to 1 unless something of
            it is lost. In IPVS by weight; weight 0 has share 0.
        weight: IPVS weight; None elsewhere.
        forwarding: IPVS forwarding method (`masq`, `route`, `tunnel`, `local`, `bypass`); None elsewhere.
        affinity_s: for so many seconds the same client comes here again; None without session affinity.
        masqueraded_from: source addresses whose packets to this backend are masqueraded, whatever the branch says:
            the backend's own address where a pod may reach itself through its Service (hairpin). CIDR-free, sorted.
        rules: what says so, in the order of the walk.
    """

    address: Address
    port: int | None
    share: float
    weight: int | None = None
    forwarding: str | None = None
    affinity_s: int | None = None
    masqueraded_from: tuple[Address, ...] = ()
    rules: tuple[RuleRef, ...] = ()

    @property
    def is_hairpin_masqueraded(self) -> bool:
        """Whether a connection of the backend to itself is masqueraded."""
        return self.address in self.masqueraded_from


class Branch(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel", omit_defaults=True):
    """What happens to packets of some sources.

    Attributes:
        when: all of these hold; empty is every source that no earlier branch took. Negations of what earlier branches
            asked are not repeated: the first branch that matches counts.
        outcome: what happens.
        backends: sorted by address and port.
        lost: the part of new connections that no backend takes (probabilities that do not add up, a jump into nothing).
        masquerade: whether the source is rewritten to the node's address.
        undecided: what could not be judged on the way, one text a rule: `mark match 0x1/0x1: nat PREROUTING ...`.
            Taken as not matching; it lowers confidence.
        rules: the rules that lead here, up to where the backends are chosen, in the order of the walk.
    """

    when: tuple[SourceCondition, ...] = ()
    outcome: Outcome
    backends: tuple[Backend, ...] = ()
    lost: float = 0.0
    masquerade: bool = False
    undecided: tuple[str, ...] = ()
    rules: tuple[RuleRef, ...] = ()


class MapEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """What happens at one hook to packets for one destination.

    Attributes:
        hook: where.
        destination: to what.
        branches: ordered: the first that matches counts.
        service: `namespace/name:port-name` as the rules themselves say it (a comment, an nft chain's name); `""` where
            they do not. No part of a comparison: names are found again by hash or by the API.
    """

    hook: Hook
    destination: Destination
    branches: tuple[Branch, ...]
    service: str = ""


class ServiceMap(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """What one node does with packets to Services, in one family.

    Attributes:
        node: the node's name.
        family: 4 or 6.
        mode: whose rules were read.
        layout: which known layout of the rules it is, in words: `nftables, kube-proxy 1.33 to 1.35`; says so where it
            is a newer one than any that is known.
        entries: sorted by destination (address, protocol, port; local last) and hook; one for each pair.
        gaps: what of the map could not be read.
    """

    node: str
    family: int
    mode: Mode
    layout: str = ""
    entries: tuple[MapEntry, ...] = ()
    gaps: tuple[Gap, ...] = ()

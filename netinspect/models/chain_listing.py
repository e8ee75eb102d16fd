"""Chains and their rules as `iptables --chain` and `nftables --chain` list them."""

from __future__ import annotations

import msgspec


class ListedRule(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One rule, in words of its own tool.

    Attributes:
        number: its place in the chain, from 1.
        handle: nft's handle; None in iptables.
        packets: its packet counter, None where it has none.
        bytes: likewise.
        protocol: `tcp`, `! tcp`; `""` is any. Of iptables only, as are source, destination and links.
        source: an address with its prefix length; `""` is any.
        destination: likewise.
        links: `in cni0`, `out eth0`; `""` is any.
        matches: what else it asks for.
        target: what it does: a verdict, a chain, an extension with its options; `""` where it only counts.
        comment: what its author wrote.
        text: the rule as the tool prints it; of nft the JSON of its statements.
        is_understood: whether all of it is: else `text` says more than the other fields.
    """

    number: int
    handle: int | None = None
    packets: int | None = None
    bytes: int | None = None
    protocol: str = ""
    source: str = ""
    destination: str = ""
    links: str = ""
    matches: str = ""
    target: str = ""
    comment: str = ""
    text: str = ""
    is_understood: bool = True


class ListedChain(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One chain of one node.

    Attributes:
        node: the node's name.
        tool: what printed it: `iptables-nft-save`, `ip6tables-legacy-save`, `nft`.
        family: `ip`, `ip6`, `inet`, `bridge`, ... in nft's words.
        table: its table.
        chain: its name.
        hook: `prerouting`, ... of a base chain (nft); of iptables' built-in chains their name says it. `""` for others.
        priority: of a base chain of nft.
        policy: what happens to packets at its end; `""` for a chain without.
        references: the chains that have a rule which jumps or goes to it.
        rules: in order.
    """

    node: str
    tool: str
    family: str
    table: str
    chain: str
    hook: str = ""
    priority: int | None = None
    policy: str = ""
    references: tuple[str, ...] = ()
    rules: tuple[ListedRule, ...] = ()

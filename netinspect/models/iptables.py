"""Rules in the words of iptables: tables, chains, rules, matches, targets.

A rule is what `iptables-save` prints, parsed. Nothing is dropped: what is not understood is kept as a remainder.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class XtablesBackend(StrEnum):
    """Which iptables wrote the text: two sets of rules that the kernel evaluates both."""

    NFT = "nft"
    LEGACY = "legacy"


class Value(msgspec.Struct, frozen=True, gc=False):
    """A value that may be negated: `! -s 10.0.0.0/8`.

    Attributes:
        text: as printed, unquoted.
        negated: whether a `!` stands before its option.
    """

    text: str
    negated: bool = False


class Option(msgspec.Struct, frozen=True, gc=False):
    """One option of a match or a target.

    Attributes:
        name: with its dashes: `--dport`.
        values: its values, unquoted: most have one, flags none, `--tcp-flags` and `--match-set` two.
        negated: whether a `!` stands before it.
    """

    name: str
    values: tuple[str, ...] = ()
    negated: bool = False


class Extension(msgspec.Struct, frozen=True, gc=False):
    """What a match or a target calls by its name, with its options in order."""

    name: str
    options: tuple[Option, ...] = ()

    def get(self, name: str) -> Option | None:
        """Return the first option of that name."""
        return next((each for each in self.options if each.name == name), None)


class Match(Extension, frozen=True, gc=False):
    """One match: `-m NAME OPTION...`."""


class Target(Extension, frozen=True, gc=False):
    """What a rule does: `-j NAME OPTION...`, or `-g CHAIN`.

    Attributes:
        name: a chain, a verdict (ACCEPT, DROP, RETURN, QUEUE) or an extension (DNAT, MARK, ...).
        options: of the extension, in order; a chain and a verdict have none.
        is_goto: `-g`: the chain's end does not come back to this chain but to its caller.
    """

    is_goto: bool = False


class Rule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One rule (`-A CHAIN ...`).

    Attributes:
        chain: the chain that it is in.
        source: `-s`, as printed: an address with prefix length or mask.
        destination: `-d`.
        protocol: `-p`: a name or a number.
        in_link: `-i`; a trailing `+` is a wildcard.
        out_link: `-o`.
        fragment: `-f` (True), `! -f` (False), None without.
        matches: in order; a match may occur twice.
        target: None for a rule that only counts.
        remainder: the words from the first that are not understood on, raw; empty for almost all. A rule with a
            remainder must never be judged as if it had none.
        packets: counter, None where the text has none (no `-c`).
        bytes: likewise.
        raw: the line as printed, without its counters.
    """

    chain: str
    source: Value | None = None
    destination: Value | None = None
    protocol: Value | None = None
    in_link: Value | None = None
    out_link: Value | None = None
    fragment: bool | None = None
    matches: tuple[Match, ...] = ()
    target: Target | None = None
    remainder: str = ""
    packets: int | None = None
    bytes: int | None = None
    raw: str = ""

    def match(self, name: str) -> Match | None:
        """Return the first match of that name."""
        return next((each for each in self.matches if each.name == name), None)

    @property
    def comment(self) -> str:
        """The text of its first comment, empty where it has none."""
        match = self.match("comment")
        option = match.get("--comment") if match else None
        return option.values[0] if option and option.values else ""


class Chain(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One chain.

    Attributes:
        name: its name.
        policy: ACCEPT or DROP of a built-in chain; None (`-`) of a user chain.
        packets: the policy's counter.
        bytes: likewise.
        rules: in order.
    """

    name: str
    policy: str | None = None
    packets: int = 0
    bytes: int = 0
    rules: tuple[Rule, ...] = ()


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table (`*nat` to `COMMIT`).

    Attributes:
        name: nat, filter, mangle, raw, security.
        chains: by name, in the order printed.
        unreadable: what the tool said where it could not print the table (`contains incompatible base-chains`), or what
            was seen that it prints wrongly (`holds rules in nft's own words ...`): what the table holds is then not
            known, whatever stands in `chains`. None where all was read.
    """

    name: str
    chains: dict[str, Chain] = {}
    unreadable: str | None = None


class Ruleset(msgspec.Struct, frozen=True, kw_only=True):
    """One whole output of `iptables-save` or `ip6tables-save`: one family, one backend.

    Attributes:
        tables: by name, in the order printed. A table that does not exist is not printed.
        version: of the tool, from its first line (`1.8.9`); empty where nothing was printed.
        backend: from the first line; None where nothing was printed (there are no tables).
    """

    tables: dict[str, Table] = {}
    version: str = ""
    backend: XtablesBackend | None = None

    def chain(self, table: str, name: str) -> Chain | None:
        """Return a chain, or None where there is none."""
        found = self.tables.get(table)
        return found.chains.get(name) if found else None

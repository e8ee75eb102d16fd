"""Sets of the kernel's ipset, in the words of `ipset save`: named by rules, filled beside them."""

from __future__ import annotations

import msgspec


class SetOption(msgspec.Struct, frozen=True):
    """One option of a set or of a member: `family inet`, `timeout 99`, `nomatch`.

    Attributes:
        name: as printed.
        value: as printed, unquoted; None for an option that has none (`comment` of a set, `nomatch`).
    """

    name: str
    value: str | None = None


class SetMember(msgspec.Struct, frozen=True):
    """One member (`add SET ...`).

    Attributes:
        parts: what the set's type asks for, as printed, one text a dimension: `("10.96.0.10", "udp:53")` in a
            `hash:ip,port`, `("30080",)` in a `bitmap:port`, `("10.0.0.0/8",)` in a `hash:net`. A part may be a range
            (`10.0.0.1-10.0.0.9`, `8000-8010`).
        options: in order: `timeout`, `packets`, `bytes`, `comment`, `skbmark`, `nomatch` ...
        raw: the line.
    """

    parts: tuple[str, ...]
    options: tuple[SetOption, ...] = ()
    raw: str = ""

    def get(self, name: str) -> SetOption | None:
        """Return the option of that name."""
        return next((each for each in self.options if each.name == name), None)

    @property
    def is_exception(self) -> bool:
        """Whether what it names is no part of the set (`nomatch`), though a wider member covers it."""
        return self.get("nomatch") is not None

    @property
    def comment(self) -> str:
        """Its comment, empty where it has none."""
        option = self.get("comment")
        return (option.value or "") if option else ""


class IpSet(msgspec.Struct, frozen=True, kw_only=True):
    """One set (`create SET TYPE ...`, and its members).

    Attributes:
        name: its name.
        type: as printed: `hash:ip,port,ip`, `bitmap:port`, `hash:net`, `list:set`.
        options: of the set, in order: `family`, `hashsize`, `maxelem`, `range` ...
        members: in the order printed, which is none that means anything; but those of a `list:set` are in order.
        raw: the line of `create`.
    """

    name: str
    type: str
    options: tuple[SetOption, ...] = ()
    members: tuple[SetMember, ...] = ()
    raw: str = ""

    def get(self, name: str) -> SetOption | None:
        """Return the set's option of that name."""
        return next((each for each in self.options if each.name == name), None)

    @property
    def family(self) -> int | None:
        """4 or 6 by `family inet` and `family inet6`; None for types that have no family (bitmaps, lists, MACs)."""
        option = self.get("family")
        return {"inet": 4, "inet6": 6}.get(option.value or "") if option else None

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What each part of a member is: `("ip", "port", "ip")`."""
        return tuple(self.type.partition(":")[2].split(","))

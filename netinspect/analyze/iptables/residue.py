"""What is left of a rule once a packet's destination is known: what hangs on its source, its mark, chance or memory."""

from __future__ import annotations

import msgspec

from netinspect.models.service_map import SourceCondition


class MarkTest(msgspec.Struct, frozen=True):
    """`-m mark --mark VALUE/MASK`.

    Attributes:
        value: what the mark has to be under the mask.
        mask: the bits that count.
        negated: whether it has to be anything else.
    """

    value: int
    mask: int
    negated: bool = False


class RecentCheck(msgspec.Struct, frozen=True):
    """`-m recent --rcheck --seconds N --name LIST`: whether the same source was put on a list lately.

    Attributes:
        name: the list's.
        seconds: how long ago at the most.
    """

    name: str
    seconds: int


class Residue:
    """What a rule that the packet may match still asks. Nothing at all: it matches.

    Attributes:
        conditions: on the source; all have to hold.
        marks: tests of the mark; all have to hold.
        probability: the part of packets that match, 0 to 1.
        check: whether the source is on a list: it matches only what comes again.
        recorded: the lists that a source is put on when it gets that far.
        undecided: what cannot be judged, in the rule's own words; empty where nothing is.
    """

    __slots__ = ("check", "conditions", "marks", "probability", "recorded", "undecided")

    def __init__(self) -> None:
        self.conditions: list[SourceCondition] = []
        self.marks: list[MarkTest] = []
        self.probability = 1.0
        self.check: RecentCheck | None = None
        self.recorded: list[str] = []
        self.undecided: list[str] = []

    @property
    def is_plain(self) -> bool:
        """Whether nothing is open."""
        return not (self.conditions or self.undecided or self.check) and self.probability == 1

    def doubt(self, text: str) -> bool:
        """Note what cannot be judged. Returns True: the rule may match."""
        self.undecided.append(text)
        return True

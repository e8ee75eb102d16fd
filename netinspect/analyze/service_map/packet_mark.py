"""A packet's mark on its way: bits that rules set, clear and turn over, and bits that nobody can know."""

from __future__ import annotations

import msgspec

_ALL = 0xFFFFFFFF


class Mark(msgspec.Struct, frozen=True, gc=False):
    """What is known of a packet's mark.

    Attributes:
        value: its 32 bits; those that are unknown are 0 here.
        unknown: the bits that are not known.
    """

    value: int = 0
    unknown: int = 0

    def test(self, value: int, mask: int) -> bool | None:
        """Return whether the mark under a mask is a value; None where a bit that is not known decides it."""
        known = mask & ~self.unknown
        if self.value & known != value & known or value & ~mask:
            return False
        return True if known == mask else None


class Marking(msgspec.Struct, frozen=True, gc=False):
    """What a piece of the way does to a mark: `new = (old & keep) ^ flip`.

    Attributes:
        keep: the bits that are kept.
        flip: the bits that are turned over afterwards.
        unknown: the bits that are not known afterwards.
    """

    keep: int = _ALL
    flip: int = 0
    unknown: int = 0

    def apply(self, mark: Mark) -> Mark:
        """Return the mark that a packet leaves with which came with another."""
        if self is UNTOUCHED:
            return mark
        unknown = self.unknown | (mark.unknown & self.keep)
        return Mark(((mark.value & self.keep) ^ self.flip) & ~unknown, unknown)

    def then(self, later: Marking) -> Marking:
        """Return what this and then another one do."""
        if later is UNTOUCHED:
            return self
        if self is UNTOUCHED:
            return later
        keep = self.keep & later.keep
        flip = (self.flip & later.keep) ^ later.flip
        return Marking(keep, flip, later.unknown | (self.unknown & later.keep))

    def join(self, other: Marking) -> Marking:
        """Return what is known after either of the two; where they differ, nothing is."""
        if self == other:
            return self
        differing = (self.keep ^ other.keep) | (self.flip ^ other.flip)
        return Marking(self.keep, self.flip, self.unknown | other.unknown | differing)


UNTOUCHED = Marking()
"""Nothing is done to the mark. There is one such object: it is compared by identity, for speed."""


def set_xmark(value: int, mask: int) -> Marking:
    """Return what `MARK --set-xmark VALUE/MASK` does: it clears the mask's bits and turns over the value's."""
    return Marking(~mask & _ALL, value & _ALL)


def set_mark(value: int, mask: int) -> Marking:
    """Return what `MARK --set-mark VALUE/MASK` does: it clears the mask's bits and sets the value's."""
    return Marking(~(mask | value) & _ALL, value & _ALL)


def forget(mask: int) -> Marking:
    """Return what happens to bits that are taken from somewhere that is not known."""
    return Marking(~mask & _ALL, 0, mask & _ALL)


def read_value_and_mask(text: str) -> tuple[int, int]:
    """Read `0x4000/0x4000`; without a mask all bits count.

    Raises:
        ValueError: it is no number.
    """
    value, slash, mask = text.partition("/")
    return int(value, 0), int(mask, 0) if slash else _ALL

"""What walks through one ruleset of nft keep for one another: most packets meet most rules in the same way."""

from __future__ import annotations

from netinspect.analyze.nft.answers import Chance
from netinspect.analyze.nft.lookup import SetReader
from netinspect.analyze.nft.marking import Marking
from netinspect.analyze.nft.shortcut import Shortcuts
from netinspect.analyze.nft.spot import Move
from netinspect.analyze.nft.trail import Notes
from netinspect.analyze.nft.ways import Way

_MOST_CHANCES = 1_000


class WalkKit:
    """What all walks through one ruleset share.

    Attributes:
        sets: looks into sets and maps.
        notes: notes rules and elements as evidence.
        marking: recognises marks of single hosts and session affinity.
        shortcuts: of long chains.
        by_chance: what statements leave to chance, by the statement's id (kept with it, so that it stays its own).
        chances: what comes of that, by rule and what a packet bears; None where it is not the same for all packets.
        roots: how walks begin, by what is the same for many packets.
    """

    def __init__(self) -> None:
        self.sets = SetReader()
        self.notes = Notes()
        self.by_chance: dict[int, tuple[object, Chance]] = {}
        self.marking = Marking()
        self.shortcuts = Shortcuts()
        self.chances: dict[tuple[object, ...], tuple[object, Way | None]] = {}
        self.roots: dict[tuple[object, ...], tuple[object, Move]] = {}

    def keep_few(self) -> None:
        """Let go of what chance brings: a Service's rules are met one soon after the other, of 100,000s."""
        if len(self.chances) >= _MOST_CHANCES:
            self.chances.clear()
            self.by_chance.clear()

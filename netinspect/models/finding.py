"""What is wrong, with what shows it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How bad a finding is.

    CRIT: traffic is failing now, for what the finding names. HIGH: failing for some, or certain to fail soon.
    MED: worse than it should be, or waiting to fail. INFO: worth knowing.
    """

    CRIT = "crit"
    HIGH = "high"
    MED = "med"
    INFO = "info"


class Evidence(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Something that was read, as it was read.

    Attributes:
        source: where it comes from: a command on a node, or an object of the API with its resourceVersion.
        text: the raw line, or the fact in words.
    """

    source: str
    text: str


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A judgement.

    Attributes:
        id: names the kind of finding for good, in kebab-case.
        severity: how bad it is.
        subject: what it is about: `pod/shop/web-1`, `service/shop/web`, `node/node-a`.
        node: the node on which it was seen.
        message: one sentence: what is wrong and what that breaks.
        evidence: what shows it, at most a few pieces.
        advice: what to do about it, in a sentence; commands stand in `commands`.
        commands: exact commands that would mend it. They are printed, never run.
        not_judged: what could not be taken into account.
    """

    id: str
    severity: Severity
    subject: str
    node: str = ""
    message: str
    evidence: tuple[Evidence, ...] = ()
    advice: str = ""
    commands: tuple[str, ...] = ()
    not_judged: tuple[str, ...] = ()


_ORDER = tuple(Severity)


def is_at_least(severity: Severity, limit: Severity) -> bool:
    """Whether a severity is as bad as `limit`, or worse."""
    return _ORDER.index(severity) <= _ORDER.index(limit)


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Put the worst first; what is equally bad stays in its order."""
    return tuple(sorted(findings, key=lambda each: _ORDER.index(each.severity)))

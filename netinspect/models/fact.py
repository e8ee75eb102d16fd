"""Three states, never two: what is known, and what could not be read (and why)."""

from __future__ import annotations

from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

import msgspec

T = TypeVar("T")


class Reason(StrEnum):
    """Why a fact could not be had."""

    TOOL_MISSING = "tool-missing"
    PERMISSION_DENIED = "permission-denied"
    TIMED_OUT = "timed-out"
    TRUNCATED = "truncated"
    UNPARSABLE = "unparsable"
    NOT_APPLICABLE = "not-applicable"
    NOT_FOUND = "not-found"
    NOT_RECORDED = "not-recorded"
    NO_API = "no-api"
    FAILED = "failed"


class Known(msgspec.Struct, Generic[T], frozen=True, tag="known", tag_field="state"):
    """A fact that was read."""

    value: T


class Unavailable(msgspec.Struct, frozen=True, tag="unavailable", tag_field="state"):
    """A fact that could not be read.

    Attributes:
        reason: the class of the obstacle.
        detail: the obstacle in words, with the tool's own message where there is one.
    """

    reason: Reason
    detail: str


Fact: TypeAlias = Known[T] | Unavailable


class Gap(msgspec.Struct, frozen=True, rename="camel"):
    """A fact that a report lacks, listed so that its absence is not taken for "all is well".

    Attributes:
        subject: whose fact it is: `pod/demo/web-1`, `node/node-a`.
        fact: what could not be read, in a few words.
        reason: the class of the obstacle.
        detail: the obstacle in words.
    """

    subject: str
    fact: str
    reason: Reason
    detail: str


def list_cut_gaps(node: str, *, is_whole: bool) -> tuple[Gap, ...]:
    """Return a gap where a node's answer lacks its own end mark: what did not come is not known by name."""
    if is_whole:
        return ()
    detail = "the stream was cut before its end mark"
    return (Gap(f"node/{node}", "the end of the node's answer", Reason.TRUNCATED, detail),)

"""Debug pods that are still there, as `cleanup` lists them."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class DebugPodState(StrEnum):
    """EXPIRED: past its time. KEPT: left by --keep for later commands. IN_USE: a command may be working in it."""

    EXPIRED = "expired"
    KEPT = "kept"
    IN_USE = "in use"


class DebugPodEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One debug pod.

    Attributes:
        namespace: of the pod.
        name: of the pod.
        node: the node that it runs on.
        user: for whom it was made.
        expires: when it may be swept (RFC 3339).
        state: what it is there for.
        outcome: what was done with it: "deleted", or "left" and why.
    """

    namespace: str
    name: str
    node: str
    user: str
    expires: str
    state: DebugPodState
    outcome: str

"""What a command answers, before it is text: items, what is worth knowing about them, and what is missing."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from netinspect.errors import ExitCode
from netinspect.models.fact import Gap
from netinspect.models.finding import Finding

T = TypeVar("T")

API_VERSION = "netinspect/v1alpha1"


class Report(msgspec.Struct, Generic[T], frozen=True, kw_only=True, rename="camel"):
    """The answer of a command.

    Attributes:
        kind: what the items are, as a list kind of the API would be called.
        items: the answer.
        notes: sentences about the answer as a whole (which privilege was used, what was left out).
        gaps: what could not be read.
    """

    api_version: str = API_VERSION
    kind: str
    items: tuple[T, ...]
    notes: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """0, or 4 where a fact is missing."""
        return ExitCode.INCOMPLETE if self.gaps else ExitCode.OK


class JudgedReport(Report[T], Generic[T], frozen=True, kw_only=True, rename="camel"):
    """The answer of a command that judges what it read.

    Attributes:
        findings: what is wrong, the worst first. None: nothing was found; what could not be judged is in `gaps`.
    """

    findings: tuple[Finding, ...] = ()

"""Findings as text: what is wrong, what shows it, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netinspect.models.finding import Finding
from netinspect.render.sanitize import sanitize


def render_findings(findings: Iterable[Finding]) -> str:
    """Write findings as blocks with a blank line before each; no finding is no text."""
    return "".join(f"\n{sanitize(block)}\n" for block in map(_block, findings))


def _block(finding: Finding) -> str:
    return "\n".join(_lines(finding))


def _lines(finding: Finding) -> Iterator[str]:
    where = f" on node {finding.node}" if finding.node and finding.subject != f"node/{finding.node}" else ""
    yield f"[{finding.severity.value}] {finding.id}: {finding.subject}{where}"
    yield f"  {_one_line(finding.message)}"
    for evidence in finding.evidence:
        yield f"  evidence: {_one_line(evidence.text)}  ({_one_line(evidence.source)})"
    for missing in finding.not_judged:
        yield f"  not judged: {_one_line(missing)}"
    if finding.advice:
        yield f"  advice: {_one_line(finding.advice)}"
    for command in finding.commands:
        yield f"  command, not run: {_one_line(command)}"


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())

"""The table of `dns --servers`, and what stands around it."""

from __future__ import annotations

from collections.abc import Iterator

from netinspect.models.dns_servers import AskedServer, DnsServersReport
from netinspect.render.sanitize import sanitize
from netinspect.render.table import Column, render_table

_MOST_DISAGREEMENTS = 10


COLUMNS: tuple[Column[AskedServer], ...] = (
    Column("SERVER", lambda each: str(each.server.address)),
    Column("ROLE", lambda each: each.server.role.value),
    Column("NAME", lambda each: each.server.name),
    Column("NODE", lambda each: each.server.node),
    Column("READY", lambda each: "" if each.server.is_ready is None else str(each.server.is_ready).lower()),
    Column("PROTO", lambda each: each.statistics.protocol.value),
    Column("ASKED", lambda each: str(each.statistics.sent)),
    Column("LOST", lambda each: _lost(each)),
    Column("P50", lambda each: _time(each.statistics.p50_us)),
    Column("P90", lambda each: _time(each.statistics.p90_us)),
    Column("P99", lambda each: _time(each.statistics.p99_us)),
    Column("ANSWERS", lambda each: _answers(each)),
    Column("PORT", lambda each: str(each.statistics.port), is_wide=True),
    Column("MIN", lambda each: _time(each.statistics.min_us), is_wide=True),
    Column("MAX", lambda each: _time(each.statistics.max_us), is_wide=True),
)


def name_of(each: AskedServer) -> str:
    """Return the server's address, as `-o name` prints it."""
    return f"server/{each.server.address}"


def render_servers(report: DnsServersReport, *, is_wide: bool = False, has_headers: bool = True) -> str:
    """Write the answer as text for people."""
    table = (
        render_table(COLUMNS, report.items, is_wide=is_wide, has_headers=has_headers) if report.items else ""
    )
    return f"{_lines(_head(report))}{table}{_lines(_foot(report))}"


def _head(report: DnsServersReport) -> Iterator[str]:
    where = f"pod {report.pod}'s netns on node {report.node}" if report.pod else f"node {report.node}"
    yield f"asked from {where} for {', '.join(report.names)} ({', '.join(report.types)})"


def _foot(report: DnsServersReport) -> Iterator[str]:
    for each in report.disagreements[:_MOST_DISAGREEMENTS]:
        whose = "between servers" if each.is_between_servers else "from one time to another"
        yield f"answers to {each.name} {each.type} differ {whose}:"
        for version in each.versions:
            said = "; ".join(version.records) or "no record"
            yield f"  {version.status} {said} from {', '.join(str(server) for server in version.servers)}"
    if report.counters is not None:
        risen = ", ".join(f"{name} +{rise}" for name, rise in report.counters.items() if rise)
        failed = report.counters.get("insert_failed")
        known = "" if failed is None else f"insert_failed +{failed}"
        yield f"conntrack on node {report.node} meanwhile: {risen or known or 'no counter is known'}"
    if not report.findings:
        yield f"nothing wrong was found{' in what could be read' if report.gaps else ''}"


def _lines(lines: Iterator[str]) -> str:
    return "".join(f"{sanitize(' '.join(line.splitlines()))}\n" for line in lines)


def _lost(each: AskedServer) -> str:
    one = each.statistics
    return "unknown" if one.loss is None else f"{one.lost} ({one.loss:.0%})"


def _time(microseconds: int | None) -> str:
    return "-" if microseconds is None else f"{microseconds / 1000:.1f}ms"


def _answers(each: AskedServer) -> str:
    one = each.statistics
    counts = {**one.statuses, **{outcome.value: count for outcome, count in one.failures.items()}}
    if one.unreadable:
        counts["unreadable"] = one.unreadable
    return ", ".join(f"{name} {count}" for name, count in counts.items())

"""`kubectl netinspect dns --servers`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netinspect.cli.flags import DebugPodFlags, JudgeFlags, OutputFlags

if TYPE_CHECKING:
    from netinspect.cli.session import Session
    from netinspect.usecases.dns_servers import SeriesWish
    from netinspect.usecases.dns_wish import DnsWish

DEFAULT_COUNT, DEFAULT_RATE = 10, 50.0


def read_series_wish(count: int | None, rate: float | None, timeout: str) -> SeriesWish:
    """Read `--count`, `--rate`, and what `--timeout` leaves for them.

    Raises:
        UsageError: one of them has no meaning.
    """
    from netinspect.cli.run import read_duration
    from netinspect.usecases.dns_servers import build_series_wish

    return build_series_wish(
        DEFAULT_COUNT if count is None else count,
        DEFAULT_RATE if rate is None else rate,
        read_duration("--timeout", timeout) if timeout else None,
    )


def ask_servers(
    session: Session,
    wish: DnsWish,
    series: SeriesWish,
    output: OutputFlags,
    judge: JudgeFlags,
    debug_pod: DebugPodFlags,
) -> int:
    """Ask all servers, print the comparison, and return the exit code."""
    from msgspec.structs import replace

    from netinspect.cli.nodes import visit_nodes
    from netinspect.cli.run import finish_judged, read_output
    from netinspect.render.dns_servers import COLUMNS, name_of, render_servers
    from netinspect.render.output_format import OutputFormat
    from netinspect.usecases.dns_servers import compare_servers, default_timeout_s, design_dry_plan
    from netinspect.usecases.dns_targets import read_dns_cluster
    from netinspect.usecases.dns_wish import choose_privilege

    cluster = read_dns_cluster(session.api)
    answers, _, notes = visit_nodes(
        session,
        {wish.node: design_dry_plan(cluster, wish, series)},
        debug_pod,
        lambda source: compare_servers(session.api, source, wish, series, cluster),
        privilege=choose_privilege(wish, cluster),
        default_timeout_s=default_timeout_s(series),
    )
    report = answers[wish.node]
    chosen = read_output(output)
    return finish_judged(
        replace(report, notes=(*report.notes, *notes)),
        judge.fail_on,
        COLUMNS,
        name_of,
        chosen,
        has_headers=not output.no_headers,
        table_of=partial(
            render_servers, is_wide=chosen is OutputFormat.WIDE, has_headers=not output.no_headers
        ),
    )

"""The table of `conntrack limit`, and the sentences below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from netinspect.models.node_limit import NodeLimit, TableFullLine, TableOwner
from netinspect.render.table import Column

_WHOSE = {
    TableOwner.OWN: "the node's own",
    TableOwner.ANOTHER: "another netns's",
    TableOwner.UNTOLD: "not told whose",
}
_MOST_KINDS = 3  # of lines of the kernel's log for each node; JSON has them all
_SHOWN = ("drop", "early_drop", "insert_failed")  # with columns of their own
_TIMEOUTS = (
    ("established", "tcp_timeout_established"),
    ("close-wait", "tcp_timeout_close_wait"),
    ("time-wait", "tcp_timeout_time_wait"),
    ("udp", "udp_timeout"),
    ("udp-stream", "udp_timeout_stream"),
    ("other", "generic_timeout"),
)


def _rise(name: str, limit: NodeLimit) -> str:
    counters = limit.counters or {}
    return f"+{counters[name]}" if name in counters else ""


COLUMNS: tuple[Column[NodeLimit], ...] = (
    Column("NODE", lambda each: each.node),
    Column("COUNT", lambda each: _number(each.count)),
    Column("MAX", lambda each: "no limit" if each.max == 0 else _number(each.max)),
    Column("USED", lambda each: "" if each.used_percent is None else f"{each.used_percent:g}%"),
    Column("BUCKETS", lambda each: _number(each.buckets)),
    Column("MAX/BUCKETS", lambda each: "" if each.flows_per_bucket is None else f"{each.flows_per_bucket:g}"),
    Column("GROWTH", lambda each: "" if each.growth_per_s is None else f"{each.growth_per_s:+g}/s"),
    Column("FULL IN", lambda each: _time_to_full(each)),
    *(Column(name.upper().replace("_", "-"), partial(_rise, name)) for name in _SHOWN),
    Column("TABLE FULL", lambda each: _table_full(each)),
    Column("HASHSIZE", lambda each: _number(each.hashsize), is_wide=True),
    Column("COUNTERS BY CPU", lambda each: _by_cpu(each), is_wide=True),
    Column("TIMEOUTS", lambda each: _timeouts(each), is_wide=True),
    Column("NETNS", lambda each: str(each.netns or ""), is_wide=True),
)


def name_of(limit: NodeLimit) -> str:
    """Return the node's resource name, as `-o name` prints it."""
    return f"node/{limit.node}"


def remarks(limits: Iterable[NodeLimit]) -> Iterator[str]:
    """Return what a table has no room for, a sentence a line."""
    limits = tuple(limits)
    for limit in limits:
        yield from (f"node {limit.node}, kernel log: {text}" for text in _logged(limit.table_full or ()))
    windows = sorted({round(limit.window_s, 1) for limit in limits if limit.window_s})
    if windows:
        shown = f"{windows[0]:g}" if len(windows) == 1 else f"{windows[0]:g} to {windows[-1]:g}"
        yield f"GROWTH, DROP, EARLY-DROP and INSERT-FAILED are what was added within {shown} s"


def _logged(lines: Iterable[TableFullLine]) -> Iterator[str]:
    """Write equal lines once: how many, from when to when, whose table; the latest kinds only."""
    kinds: dict[tuple[str, TableOwner], list[TableFullLine]] = {}
    for line in lines:
        kinds.setdefault((line.raw, line.owner), []).append(line)
    shown = sorted(kinds.values(), key=lambda alike: -(alike[-1].age_s or 0))[-_MOST_KINDS:]
    if len(shown) < len(kinds):
        yield f"{len(kinds) - len(shown)} more netns whose table was full before that (-o json lists all lines)"
    for alike in shown:
        first, last = alike[0], alike[-1]
        since = "" if first.time == last.time else f" since {first.time}, the last"
        count = "a line" if len(alike) == 1 else f"{len(alike)} lines{since}"
        yield f"{count} of {_when(last)}: {last.raw} ({last.why})"


def format_age(seconds: float) -> str:
    """Write seconds as two units at most: 7s, 3m20s, 5h12m, 3d4h."""
    whole = round(seconds)
    for size, unit, small, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size}{unit}{rest}{small_unit}" if rest else f"{whole // size}{unit}"
    return f"{whole}s"


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _time_to_full(limit: NodeLimit) -> str:
    if limit.max and limit.count is not None and limit.count >= limit.max:
        return "now"
    if limit.time_to_full_s is None:
        return "" if limit.growth_per_s is None or limit.growth_per_s > 0 else "not growing"
    return format_age(limit.time_to_full_s)


def _table_full(limit: NodeLimit) -> str:
    """Say how often the log has it, and when last. Empty where the log could not be read, which is another thing."""
    lines = limit.table_full
    if not lines:
        return "" if lines is None else "never logged"
    last = lines[-1]
    ago = "" if last.age_s is None else f", last {format_age(last.age_s)} ago"
    return f"logged {len(lines)}x{ago}, {_WHOSE[last.owner]}"


def _when(line: TableFullLine) -> str:
    ago = "" if line.age_s is None else f" ({format_age(line.age_s)} ago)"
    return f"{line.time or 'at an unknown time'}{ago}"


def _by_cpu(limit: NodeLimit) -> str:
    shown = (
        (each.cpu, " ".join(f"{name}=+{rise}" for name, rise in each.counters.items() if rise))
        for each in limit.counters_by_cpu
    )
    if limit.counters is None:
        return ""
    return "; ".join(f"cpu{cpu} {text}" for cpu, text in shown if text) or "no counter rose"


def _timeouts(limit: NodeLimit) -> str:
    if limit.sysctls is None:
        return ""
    pairs = ((label, getattr(limit.sysctls, name)) for label, name in _TIMEOUTS)
    return ",".join(f"{label}={value}s" for label, value in pairs if value is not None)

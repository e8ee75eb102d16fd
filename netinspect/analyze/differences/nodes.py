"""What a node's kernel has in two states: its dataplane, and how full its conntrack table is."""

from __future__ import annotations

from collections.abc import Iterator

from netinspect.analyze.differences.pairs import change_of, compare_fields, pair, show_all
from netinspect.models.conntrack_limit import ConntrackSysctls
from netinspect.models.dataplane import NodeDataplane
from netinspect.models.difference import Change, Difference, Subject
from netinspect.models.fact import Known
from netinspect.models.network_state import NodeState

_LEVELS = ((0.90, "90 % or more"), (0.75, "75 % to 90 %"), (0.0, "below 75 %"))
"""How full a table is: within a level the number of flows always moves."""


def compare_dataplanes(before: NodeState, after: NodeState) -> Iterator[Difference]:
    """Yield families whose dataplane is another, or has other traces, leftovers or rules of others beside it.

    How many rules and Services these have is told as rules.
    """
    if not isinstance(before.dataplanes, Known) or not isinstance(after.dataplanes, Known):
        return
    old_ones, new_ones = (
        {each.family: each for each in side} for side in (before.dataplanes.value, after.dataplanes.value)
    )
    for family, old, new in pair(old_ones, new_ones):
        if old is None or new is None:
            continue
        is_told = old.kube_proxy_mode is not None and new.kube_proxy_mode is not None
        fields = compare_fields(
            _describe_dataplane(old, is_told=is_told), _describe_dataplane(new, is_told=is_told)
        )
        if fields:
            yield Difference(
                what=Subject.DATAPLANE,
                name=new.dataplane.value,
                node=new.node,
                family=family,
                change=Change.CHANGED,
                fields=fields,
            )


def _describe_dataplane(each: NodeDataplane, *, is_told: bool) -> dict[str, str]:
    """Describe it; what kube-proxy says of itself only where it answered both times: silence is a gap, no change."""
    return {
        "dataplane": each.dataplane.value,
        "backend": each.backend.value if each.backend else "",
        "kube-proxy": (each.kube_proxy_mode or "") if is_told else "",
        "rules in": show_all(sorted({trace.place for trace in each.traces})),
        "missing": show_all(sorted({way for trace in each.traces for way in trace.missing})),
        "leftovers": show_all(sorted({trace.place for trace in each.leftovers})),
        "other rules": show_all(
            sorted({f"{other.place} {other.chain} (policy {other.policy})" for other in each.others})
        ),
    }


def compare_conntrack(before: NodeState, after: NodeState) -> Iterator[Difference]:
    """Yield a node whose table got into another level of fullness, or another limit or number of buckets."""
    if not isinstance(before.limits, Known) or not isinstance(after.limits, Known):
        return
    old, new = before.limits.value, after.limits.value
    fields = compare_fields(_describe_limits(old), _describe_limits(new))
    if fields:
        yield Difference(
            what=Subject.CONNTRACK,
            name=after.node,
            node=after.node,
            change=change_of(old, new),
            fields=fields,
        )


def _describe_limits(limits: ConntrackSysctls) -> dict[str, str]:
    buckets = limits.hashsize if limits.buckets is None else limits.buckets
    return {
        "table": _level(limits),
        "max": "" if limits.max is None else str(limits.max),
        "buckets": "" if buckets is None else str(buckets),
    }


def _level(limits: ConntrackSysctls) -> str:
    if limits.count is None or not limits.max:
        return ""
    ratio = limits.count / limits.max
    return next(text for least, text in _LEVELS if ratio >= least)

"""`conntrack limit --set` as text: what the change means, and how to make it last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netinspect.models.node_limit import LimitChange, Overwrite
from netinspect.render.sanitize import sanitize

_OVERWRITTEN = {
    Overwrite.KEEPS: "no",
    Overwrite.SAME: "no",
    Overwrite.ANOTHER: "yes",
    Overwrite.UNKNOWN: "unknown",
}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def render_changes(changes: Iterable[LimitChange]) -> str:
    """Write a block for each node, with a blank line between two."""
    return "\n".join("".join(f"{sanitize(line)}\n" for line in _lines(change)) for change in changes)


def name_of(change: LimitChange) -> str:
    """Return the node's resource name, as `-o name` prints it."""
    return f"node/{change.node}"


def format_bytes(count: int) -> str:
    """Write a number of bytes with three figures: 256 B, 2.5 MiB, 128 MiB."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.3g} {_UNITS[unit]}"


def _lines(change: LimitChange) -> Iterator[str]:
    state = "done" if change.applied else "dry run: nothing was changed"
    yield f"node {change.node}: nf_conntrack_max {change.old} -> {change.new} ({state})"
    yield f"  flows now          {_flows(change)}"
    yield f"  flows per bucket   {_buckets(change)}"
    yield f"  memory when full   {_memory(change)}"
    yield f"  overwritten?       {_OVERWRITTEN[change.overwrite]}: {change.overwrite_why}"
    for hint in change.hints:
        yield f"  note               {hint}"
    if not change.applied:
        yield f"  what would be run  {change.command}  ({_how(change)})"
    yield f"  to undo it         {change.undo}"
    yield from _permanent(change)


def _how(change: LimitChange) -> str:
    if change.is_initial_netns is False:
        return "on the machine itself: --apply cannot do it from this node's network namespace"
    return "on the node, by --apply"


def _permanent(change: LimitChange) -> Iterator[str]:
    if change.overwrite is not Overwrite.KEEPS:
        cpus = f", for a node with {change.cpus} CPUs" if change.cpus else ""
        yield f"  for good, with kube-proxy{cpus}: in its configuration ({_where(change)}), then restart it:"
        yield from (f"    {line}" for line in change.kube_proxy_snippet)
    only = "" if change.overwrite is Overwrite.KEEPS else ", without kube-proxy"
    yield f"  for good{only}: in {change.sysctl_file} on the node:"
    yield from (f"    {line}" for line in change.sysctl_lines)


def _where(change: LimitChange) -> str:
    origin = change.kube_proxy.origin if change.kube_proxy else ""
    return (
        origin
        if origin.startswith("ConfigMap")
        else "with kubeadm: ConfigMap kube-system/kube-proxy, config.conf"
    )


def _flows(change: LimitChange) -> str:
    if change.count is None:
        return "unknown"
    if not change.old:
        return f"{change.count} (no limit before), {_percent(change.count, change.new)} of the new limit"
    return (
        f"{change.count}, {_percent(change.count, change.old)} of the old limit, "
        f"{_percent(change.count, change.new)} of the new one"
    )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _buckets(change: LimitChange) -> str:
    if change.flows_per_bucket_new is None:
        return "unknown"
    before = "no limit" if change.flows_per_bucket_old is None else f"{change.flows_per_bucket_old:g}"
    return (
        f"{before} -> {change.flows_per_bucket_new:g} when full ({change.buckets} buckets; up to 4 is fine)"
    )


def _memory(change: LimitChange) -> str:
    source = "an estimate" if change.is_flow_bytes_estimated else "from the node's kernel"
    share = ""
    if change.memory_bytes:
        of_all = _percent(change.table_bytes_new, change.memory_bytes)
        share = f", {of_all} of the node's {format_bytes(change.memory_bytes)}"
    return (
        f"{format_bytes(change.table_bytes_old)} -> {format_bytes(change.table_bytes_new)}{share} "
        f"({change.flow_bytes} bytes an entry, {source}, without NAT and accounting extensions)"
    )

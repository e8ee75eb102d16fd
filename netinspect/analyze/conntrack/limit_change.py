"""What it means to set nf_conntrack_max on a node: memory, hash table, kube-proxy, and how to make it last."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from netinspect.analyze.conntrack.kube_proxy_max import build_snippet, compute_max
from netinspect.analyze.conntrack.limit import per_bucket
from netinspect.errors import CommandError
from netinspect.models.conntrack_limit import ConntrackSysctls
from netinspect.models.fact import Fact, Known, Unavailable
from netinspect.models.node_limit import KubeProxyConntrack, LimitChange, LimitReading, NodeFacts, Overwrite

SYSCTL_FILE = "/etc/sysctl.d/90-conntrack.conf"
ESTIMATED_FLOW_BYTES = 320
"""One entry without its extensions: 256 bytes on Linux 6.1 and 6.18, x86-64; other builds have up to this."""

_BUCKET_BYTES = 8  # a pointer (struct hlist_nulls_head)
_FINE = 4


def describe_change(
    reading: LimitReading,
    limit: int,
    settings: Fact[KubeProxyConntrack],
    *,
    is_capped: bool,
    command_of: Callable[[int], str],
    undo_of: Callable[[int], str],
) -> LimitChange:
    """Say what setting the limit of a node means.

    Args:
        reading: what was read there.
        limit: the wanted one.
        settings: kube-proxy's, of wherever they were found.
        is_capped: whether it caps its limit (`kube_proxy_max.is_capped`).
        command_of: gives what is run on the node for a limit.
        undo_of: gives what a user runs to go back to a limit.

    Raises:
        CommandError: the present limit could not be read.
    """
    now, old = _present(reading)
    facts = reading.facts.value if isinstance(reading.facts, Known) else NodeFacts()
    flow_bytes = reading.flow_bytes.value if isinstance(reading.flow_bytes, Known) else ESTIMATED_FLOW_BYTES
    buckets_bytes = (now.buckets or 0) * _BUCKET_BYTES
    own = settings.value if isinstance(settings, Known) else None
    theirs = compute_max(own, facts.cpus, is_capped=is_capped) if own and facts.cpus else None
    overwrite, why = _overwrite(settings, facts.cpus, theirs, limit)
    return LimitChange(
        node=reading.node,
        is_initial_netns=facts.is_initial_netns if isinstance(reading.facts, Known) else None,
        old=old,
        new=limit,
        count=now.count,
        buckets=now.buckets,
        flows_per_bucket_old=per_bucket(old, now.buckets),
        flows_per_bucket_new=per_bucket(limit, now.buckets),
        flow_bytes=flow_bytes,
        is_flow_bytes_estimated=isinstance(reading.flow_bytes, Unavailable),
        table_bytes_old=old * flow_bytes + buckets_bytes,
        table_bytes_new=limit * flow_bytes + buckets_bytes,
        memory_bytes=facts.memory_bytes,
        cpus=facts.cpus,
        kube_proxy=own,
        kube_proxy_max=theirs,
        overwrite=overwrite,
        overwrite_why=why,
        kube_proxy_snippet=build_snippet(own, facts.cpus, limit),
        sysctl_file=SYSCTL_FILE,
        sysctl_lines=(f"net.netfilter.nf_conntrack_max = {limit}",),
        command=command_of(limit),
        undo=_undo(old, facts.is_initial_netns, command_of, undo_of),
        hints=tuple(_hints(now, limit, overwrite)),
    )


def _undo(
    old: int, is_initial: bool | None, command_of: Callable[[int], str], undo_of: Callable[[int], str]
) -> str:
    if not old:
        return f"{command_of(old)}  (on the node: there was no limit)"
    return f"{command_of(old)}  (on the machine itself)" if is_initial is False else undo_of(old)


def _present(reading: LimitReading) -> tuple[ConntrackSysctls, int]:
    """Return the sysctls and the limit among them."""
    limits = reading.limits
    if isinstance(limits, Known) and limits.value.max is not None:
        return limits.value, limits.value.max
    detail = limits.detail if isinstance(limits, Unavailable) else "it is not listed"
    raise CommandError(f"the conntrack limit of node {reading.node} could not be read: {detail}")


def _overwrite(
    settings: Fact[KubeProxyConntrack], cpus: int | None, theirs: int | None, limit: int
) -> tuple[Overwrite, str]:
    if isinstance(settings, Unavailable):
        return Overwrite.UNKNOWN, f"kube-proxy's configuration could not be found: {settings.detail}"
    own = settings.value
    shown = f"maxPerCore is {_shown(own.max_per_core)} and min {_shown(own.min)} ({own.origin})"
    if own.max_per_core is not None and own.max_per_core <= 0:
        return Overwrite.KEEPS, f"kube-proxy leaves the limit alone: its conntrack.{shown}"
    if theirs is None:
        return Overwrite.UNKNOWN, f"its conntrack.{shown}, and the number of the node's CPUs is not known"
    where = f"at its next start: its conntrack.{shown}, and the node has {cpus} CPUs"
    if theirs == limit:
        return Overwrite.SAME, f"kube-proxy sets the same limit {where}"
    return Overwrite.ANOTHER, f"kube-proxy sets the limit to {theirs} {where}"


def _shown(value: int | None) -> str:
    return "the default" if value is None else str(value)


def _hints(now: ConntrackSysctls, limit: int, overwrite: Overwrite) -> Iterator[str]:
    if now.count is not None and limit < now.count:
        yield (
            f"the table has {now.count} flows, more than that: no new connection until enough have ended; --apply "
            "refuses this without --below-count"
        )
    ratio = per_bucket(limit, now.buckets)
    if ratio is not None and ratio > _FINE:
        size = -(-limit // _FINE)
        yield (
            f"the hash table is small for that, and left as it is; to enlarge it: echo {size} "
            ">/sys/module/nf_conntrack/parameters/hashsize on the node, and for good a line "
            f'"options nf_conntrack hashsize={size}" in a file of /etc/modprobe.d there'
        )
    later = (
        ""
        if overwrite is Overwrite.KEEPS
        else ", and where kube-proxy sets a limit it does so later and wins"
    )
    yield (
        "files of sysctl.d are applied at boot: the module nf_conntrack must be loaded by then (a line nf_conntrack "
        f"in a file of /etc/modules-load.d){later}. What the node has in such files was not read"
    )

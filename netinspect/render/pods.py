"""The table of `pods`."""

from __future__ import annotations

from datetime import UTC, datetime

from netinspect.models.listing import PodEntry
from netinspect.render.table import Column


def columns(now: datetime, *, with_namespace: bool) -> tuple[Column[PodEntry], ...]:
    """Return the columns; the namespace is shown where pods of several can be listed.

    Args:
        now: with a timezone; ages are counted from it.
        with_namespace: whether pods of several namespaces can be in the list.
    """
    namespace = (Column[PodEntry]("NAMESPACE", lambda pod: pod.namespace),) if with_namespace else ()
    return (
        *namespace,
        Column("NAME", lambda pod: pod.name),
        Column("READY", lambda pod: f"{pod.ready_containers}/{pod.total_containers}"),
        Column("STATUS", lambda pod: pod.status),
        Column("RESTARTS", lambda pod: _restarts(pod, now)),
        Column("AGE", lambda pod: format_age(pod.creation_timestamp, now)),
        Column("POD-IPS", lambda pod: ",".join(map(str, pod.pod_ips))),
        Column("NODE", lambda pod: pod.node),
        Column("HOST-NETWORK", lambda pod: str(pod.host_network).lower(), is_wide=True),
        Column("HOST-IP", lambda pod: pod.host_ip, is_wide=True),
        Column("OWNER", _owner, is_wide=True),
    )


def name_of(pod: PodEntry) -> str:
    """Return the pod's resource name, as `-o name` prints it."""
    return f"pod/{pod.name}"


def format_age(timestamp: str, now: datetime) -> str:
    """Write how long ago a time of the API was, as kubectl does; one that is missing or no time is `<unknown>`."""
    try:
        then = datetime.fromisoformat(timestamp)
    except ValueError:
        return "<unknown>"
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return format_duration(int((now - then).total_seconds()))


def format_duration(seconds: int) -> str:
    """Write a duration in at most two units, and the fewer the longer it is.

    Source: k8s.io/apimachinery v0.36, pkg/util/duration HumanDuration.
    """
    if seconds < -1:
        return "<invalid>"  # the clocks differ
    if seconds < 120:
        return f"{max(seconds, 0)}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 10:
        return _two_units(minutes, "m", seconds % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two_units(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two_units(days, "d", hours % 24, "h")
    if days < 2 * 365:
        return f"{days}d"
    if days < 8 * 365:
        return _two_units(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two_units(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def _restarts(pod: PodEntry, now: datetime) -> str:
    if not pod.restarts or not pod.last_restart:
        return str(pod.restarts)
    return f"{pod.restarts} ({format_age(pod.last_restart, now)} ago)"


def _owner(pod: PodEntry) -> str:
    return f"{pod.owner.kind}/{pod.owner.name}" if pod.owner else ""

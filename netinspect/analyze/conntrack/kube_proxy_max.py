"""What kube-proxy makes of nf_conntrack_max when it starts, and what its settings must be for another value.

Source: kubernetes v1.36, pkg/proxy/conntrack/sysctls.go getConntrackMax; pkg/proxy/apis/config/v1alpha1/defaults.go.
"""

from __future__ import annotations

import re

from netinspect.models.node_limit import KubeProxyConntrack

DEFAULT_MAX_PER_CORE = 32768
DEFAULT_MIN = 131072
CAP = 1048576
"""From 1.36 on a product above this becomes this, whatever `min` says."""

_CAPPED_SINCE = (1, 36)
_VERSION = re.compile(r"v?([0-9]+)\.([0-9]+)")


def compute_max(settings: KubeProxyConntrack, cpus: int, *, is_capped: bool) -> int | None:
    """Return the limit that kube-proxy sets, or None where it leaves it alone.

    Args:
        settings: the settings.
        cpus: CPUs of the node.
        is_capped: whether it is of 1.36 or later.
    """
    per_core = DEFAULT_MAX_PER_CORE if settings.max_per_core is None else settings.max_per_core
    least = DEFAULT_MIN if settings.min is None else settings.min
    if per_core <= 0:
        return None
    scaled = per_core * cpus
    if is_capped and scaled > CAP:
        return CAP
    return max(scaled, least) or None


def is_capped(version: str) -> bool:
    """Whether kube-proxy of this version has the cap. A version that cannot be read is taken for a new one."""
    match = _VERSION.match(version)
    return match is None or (int(match[1]), int(match[2])) >= _CAPPED_SINCE


def depends_on_version(settings: KubeProxyConntrack, cpus: int) -> bool:
    """Whether kube-proxy with the cap and without it set different limits."""
    return compute_max(settings, cpus, is_capped=True) != compute_max(settings, cpus, is_capped=False)


def build_snippet(settings: KubeProxyConntrack | None, cpus: int | None, limit: int) -> tuple[str, ...]:
    """Return the lines of kube-proxy's configuration with which it sets `limit` on a node with so many CPUs.

    The product of `maxPerCore` must not be above `limit`, nor above the cap: it would win.
    """
    per_core = settings.max_per_core if settings else None
    wanted = DEFAULT_MAX_PER_CORE if per_core is None or per_core <= 0 else per_core
    if cpus:
        wanted = min(wanted, limit // cpus, CAP // cpus)
    if wanted < 1:
        return ("conntrack:", "  maxPerCore: 0")
    return ("conntrack:", f"  maxPerCore: {wanted}", f"  min: {limit}")

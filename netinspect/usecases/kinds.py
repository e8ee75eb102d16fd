"""Which type of report each command prints as JSON: the source of the published schemas."""

from __future__ import annotations

from typing import Any

from netinspect.models.debug_pod_entry import DebugPodEntry
from netinspect.models.listing import PodEntry, ServiceEntry
from netinspect.models.netns_entry import NetnsEntry
from netinspect.models.report import Report
from netinspect.models.veth import NodeLinkOwner, PodAttachment


def report_types() -> dict[str, Any]:
    """Return by command the type of its report."""
    return {
        "pods": Report[PodEntry],
        "services": Report[ServiceEntry],
        "netns": Report[NetnsEntry],
        "veth": Report[PodAttachment],
        "veth --link": Report[NodeLinkOwner],
        "cleanup": Report[DebugPodEntry],
    }

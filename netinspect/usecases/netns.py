"""Which netns is a pod's, and which of its processes are in it."""

from __future__ import annotations

from collections.abc import Iterable

from netinspect.models.fact import Gap, Known, Reason
from netinspect.models.netns_entry import NetnsEntry
from netinspect.models.report import Report
from netinspect.models.veth import PodReading
from netinspect.usecases.readings import Readings

KIND = "NetnsList"


def report_netns(readings: Readings, notes: tuple[str, ...] = ()) -> Report[NetnsEntry]:
    """Say for each pod where its netns is, or why it has none."""
    read = [reading for node in readings.nodes.values() for reading in node.pods]
    place = readings.place_of()
    everything = sorted(
        (*read, *readings.unread),
        key=lambda each: place[each.pod.metadata.namespace, each.pod.metadata.name],
    )
    return Report(
        kind=KIND,
        items=tuple(_entry(reading) for reading in everything),
        notes=notes,
        gaps=(*readings.gaps, *_gaps(everything)),
    )


def _entry(reading: PodReading) -> NetnsEntry:
    pod, netns = reading.pod, reading.netns
    found = netns.value if isinstance(netns, Known) else None
    explanation = " ".join(netns.value.warnings) if isinstance(netns, Known) else netns.detail
    return NetnsEntry(
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        node=pod.spec.node_name,
        addresses=pod.addresses,
        netns=found,
        explanation=explanation,
    )


def _gaps(readings: Iterable[PodReading]) -> Iterable[Gap]:
    for reading in readings:
        netns = reading.netns
        if not isinstance(netns, Known) and netns.reason is not Reason.NOT_APPLICABLE:
            meta = reading.pod.metadata
            yield Gap(f"pod/{meta.namespace}/{meta.name}", "its netns", netns.reason, netns.detail)

"""Replay a recorded listing through `conntrack top`; say how long that took and how much memory: a process a run."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator

from bench.conntrack_listing import NODE_NAME, make_state
from netinspect.models.command import NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.models.flow_counts import GroupBy, TopOptions
from netinspect.models.flow_filter import FlowFilter
from netinspect.parse.frames import Sinks, parse_frames
from netinspect.probes.plan import Plan
from netinspect.usecases.conntrack_top import count_flows, report_top
from netinspect.usecases.node_targets import NodeTargets

_CHUNK = 32768


class Recording:
    """A node whose answer is in a file."""

    node = NODE_NAME
    privilege = Privilege.NETADMIN

    def __init__(self, path: str) -> None:
        self._path = path

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        """Give the recorded answer, whatever the plan."""
        return parse_frames(self._chunks(), sinks)

    def _chunks(self) -> Iterator[bytes]:
        with open(self._path, "rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk


def main() -> None:
    """Print one run's numbers as JSON."""
    state = make_state()
    wanted = FlowFilter()
    begin, cpu_begin = time.perf_counter(), time.process_time()
    counts = count_flows(Recording(sys.argv[1]), wanted, state)
    report = report_top(
        {NODE_NAME: counts}, state, NodeTargets(nodes=(NODE_NAME,)), wanted, TopOptions(limit=10)
    )
    seconds, cpu_s = time.perf_counter() - begin, time.process_time() - cpu_begin
    if report.gaps:
        sys.exit(f"the listing was not read as a whole: {report.gaps}")
    (item,) = report.items
    peers = next(each for each in item.listed if each.by is GroupBy.PEER)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        json.dumps(
            {
                "entries": item.entries,
                "seconds": seconds,
                "cpu_s": cpu_s,
                "peak_kib": peak_kib,
                "peers": peers.kept,
                "folded": peers.folded or 0,
            }
        )
    )


if __name__ == "__main__":
    main()

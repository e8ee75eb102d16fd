"""What is known of a node before its events come, and what it means that they come no more."""

from __future__ import annotations

import re

from netinspect.collect.facts import read_fact
from netinspect.errors import ParseError
from netinspect.models.command import CommandResult
from netinspect.models.fact import Gap, Known, Reason, Unavailable
from netinspect.models.flow_watch import WatchSetting
from netinspect.parse.conntrack_limit import parse_sysctls
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.probes.catalog import LINKS
from netinspect.probes.conntrack_watch import EVENTS_MODE, WATCH_PLAN
from netinspect.probes.plan import NODE
from netinspect.probes.watch import HUNG_UP, SILENCE_S
from netinspect.sources.interface import LiveStream, NodeSource

# What conntrack tells on stderr though nothing is wrong (src/conntrack.c), and the shell of a killed child.
_CHATTER = re.compile(
    r"NOTICE: .*|conntrack v\S+ \(conntrack-tools\): [0-9]+ flow events have been shown\.|.*Hangup.*"
)

_KILLED = (137, 143)
"""128 and the signal's number, as shells count."""


def collect_watch_setting(source: NodeSource) -> WatchSetting:
    """Make one trip to a node, before its events are listened to.

    Raises:
        CommandError: the node side did not start.
        ParseError: its stream is broken.
        ClusterError: the connection failed before anything came.
    """
    answer = source.run(WATCH_PLAN)
    results = {result.name: result for result in answer.results if result.key == NODE}
    return WatchSetting(
        node=source.node,
        privilege=source.privilege,
        links=read_fact(results.get(LINKS.name), parse_ip_addr),
        events_mode=read_fact(results.get(EVENTS_MODE.name), _parse_events_mode),
    )


def setting_gaps(setting: WatchSetting) -> tuple[Gap, ...]:
    """Return a gap for each thing that is not known of the node."""
    facts = (("its links", setting.links), ("nf_conntrack_events", setting.events_mode))
    return tuple(
        Gap(f"node/{setting.node}", name, fact.reason, fact.detail)
        for name, fact in facts
        if isinstance(fact, Unavailable)
    )


def read_watch_end(stream: LiveStream) -> Unavailable:
    """Say why events come no more, though nobody ended the watch."""
    code, complaint = stream.exit_code, strip_chatter(stream.stderr)
    if code is None:
        return Unavailable(Reason.TRUNCATED, f"the connection was lost: {complaint or 'no reason was given'}")
    if code == HUNG_UP:
        return Unavailable(
            Reason.TIMED_OUT,
            f"the node heard nothing from here for {SILENCE_S} s and ended it: a lost network, or this was suspended",
        )
    if code in _KILLED:
        return Unavailable(
            Reason.TRUNCATED,
            f"conntrack -E was killed on the node (exit code {code}): its pod was deleted, or its time was over",
        )
    result = CommandResult(NODE, 0, "node", "conntrack -E", code, b"", complaint.encode())
    outcome = read_fact(result, bytes)
    if isinstance(outcome, Known):
        return Unavailable(Reason.TRUNCATED, "conntrack -E was ended on the node (exit code 0)")
    return outcome


def strip_chatter(stderr: str) -> str:
    """Drop what conntrack says on stderr though nothing is wrong."""
    lines = (line.strip() for line in stderr.splitlines())
    return "\n".join(line for line in lines if line and not _CHATTER.fullmatch(line))


def _parse_events_mode(stdout: bytes) -> int:
    mode = parse_sysctls(stdout).events
    if mode is None:
        raise ParseError("no value of nf_conntrack_events", source=" ".join(EVENTS_MODE.argv))
    return mode

"""What is known of a node before its events come, and why they come no more."""

from __future__ import annotations

import pytest

from netinspect.collect.conntrack_watch import collect_watch_setting, setting_gaps, strip_chatter
from netinspect.models.command import CommandResult
from netinspect.models.debug_pod import Privilege
from netinspect.models.fact import Known, Reason
from netinspect.probes.conntrack_watch import WATCH_PLAN
from tests.unit.usecases.fake_node import LO, FakeNode, answer, result

FILE = b"/proc/sys/net/netfilter/nf_conntrack_events"


def node(mode: CommandResult) -> FakeNode:
    return FakeNode(answer(result("links", LO), mode), privilege=Privilege.NETADMIN)


def test_a_node_is_asked_once() -> None:
    """Links, and what events there will be."""
    source = node(result("events-mode", FILE + b":2\n"))
    setting = collect_watch_setting(source)
    assert (setting.node, setting.privilege, setting.events_mode) == ("node-a", Privilege.NETADMIN, Known(2))
    assert isinstance(setting.links, Known)
    assert [link.ifname for link in setting.links.value] == ["lo"]
    assert source.plans == [WATCH_PLAN]
    assert setting_gaps(setting) == ()


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (result("events-mode", code=2, stderr=b"grep: x: No such file or directory"), Reason.FAILED),
        (result("events-mode", code=2, stderr=b"grep: x: Permission denied"), Reason.PERMISSION_DENIED),
        (result("events-mode", code=None), Reason.TRUNCATED),
        (result("events-mode", FILE + b":2"), Reason.UNPARSABLE),
        (result("events-mode", b""), Reason.UNPARSABLE),
        (result("events-mode", b"/proc/sys/net/netfilter/nf_conntrack_max:2\n"), Reason.UNPARSABLE),
        (result("events-mode", FILE + b":yes\n"), Reason.UNPARSABLE),
    ],
)
def test_a_mode_that_is_not_known_is_a_gap(mode: CommandResult, reason: Reason) -> None:
    """Never a default that looks like an answer."""
    (gap,) = setting_gaps(collect_watch_setting(node(mode)))
    assert (gap.subject, gap.fact, gap.reason) == ("node/node-a", "nf_conntrack_events", reason)


def test_chatter_is_no_complaint() -> None:
    """conntrack 1.4.7 tells its buffer and its count on stderr, and the shell that a child was killed."""
    stderr = (
        "NOTICE: Netlink socket buffer size has been set to 16777216 bytes.\n"
        "netinspect: line 28: 19653 Hangup                  timeout -k 2 60 conntrack -E\n"
        "mnl_socket_bind: Operation not permitted\n\n"
        "conntrack v1.4.7 (conntrack-tools): 14 flow events have been shown.\n"
    )
    assert strip_chatter(stderr) == "mnl_socket_bind: Operation not permitted"

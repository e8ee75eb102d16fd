"""`conntrack limit`, its node side run in a namespace whose table is really full, and in one beside it that is not."""

from __future__ import annotations

import subprocess

import pytest

from netinspect.cluster.client import ClusterClient
from netinspect.collect.conntrack_limit import collect_limits
from netinspect.errors import CommandError
from netinspect.models.command import NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.models.finding import Severity
from netinspect.models.node_limit import NodeLimit, TableOwner
from netinspect.models.report import JudgedReport
from netinspect.parse.frames import Sinks, parse_frames
from netinspect.probes.conntrack import build_limit_plan
from netinspect.probes.plan import Plan, encode_plan, node_script
from netinspect.usecases.conntrack_limit import report_limits, set_limit
from tests.fake.plugin import client, fake_api, kubeconfig, pki
from tests.netns.table import LIMIT, fill_table
from tests.netns.test_table_full import wait_for_line, why_not
from tests.netns.world import Netns, World

__all__ = ["client", "fake_api", "kubeconfig", "pki"]

pytestmark = pytest.mark.netns


class NetnsNode:
    """A namespace as a node: node.sh runs in it, as in a debug pod."""

    node = "inner"
    privilege = Privilege.SYSADMIN

    def __init__(self, netns: Netns) -> None:
        self._netns = netns

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        enter = ("nsenter", f"--net=/proc/{self._netns.pid}/ns/net", "--", "sh", "-c", node_script())
        done = subprocess.run(enter, input=encode_plan(plan), capture_output=True, check=True)
        return parse_frames([done.stdout], sinks)


def ask(netns: Netns, client: ClusterClient) -> JudgedReport[NodeLimit]:
    """Ask for the limit as the command does, and judge it."""
    return report_limits(client, {"inner": collect_limits(NetnsNode(netns), build_limit_plan(1))})


def test_the_full_one_is_told_from_the_one_beside_it(world: World, client: ClusterClient) -> None:
    """One machine, one kernel log: its line is a critical finding for the netns that it names, and none for another."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    fill_table(world.node)
    wait_for_line(world.node, 0.0)
    full = ask(world.node, client)
    (limit,) = full.items
    assert (limit.netns, limit.is_initial_netns) == (world.node.inode, False)
    assert limit.count == limit.max == int(LIMIT.read_text())
    assert limit.table_full
    own = [line for line in limit.table_full if line.owner is TableOwner.OWN]
    assert {line.netns for line in own} == {world.node.inode}
    assert own[-1].age_s is not None
    assert own[-1].age_s < 60
    (finding,) = full.findings
    assert (finding.id, finding.severity, finding.not_judged) == ("conntrack-table-full", Severity.CRIT, ())
    beside = ask(world.new_netns(), client)
    assert beside.findings == ()
    assert beside.items[0].table_full is not None
    assert len(beside.items[0].table_full) >= len(own)
    assert {line.owner for line in beside.items[0].table_full} == {TableOwner.ANOTHER}


def test_the_limit_cannot_be_set_from_there(world: World) -> None:
    """The kernel takes it from the machine's first netns only. A value above the present one: were it taken, nothing
    would be lost."""
    old = int(LIMIT.read_text())
    with pytest.raises(CommandError, match=f"nothing was changed: it is {old}$") as failed:
        set_limit(NetnsNode(world.node), old + 1)
    assert "first network namespace" in failed.value.hint
    assert int(LIMIT.read_text()) == old

"""A conntrack table that is really full, and a limit that is really changed, in a machine with a kernel of its own.

The limit is one value for a machine: it is never touched on the machine that runs the tests. Debian's 6.1 kernel writes
"table full" without the netns.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from netinspect.cluster.client import ClusterClient
from netinspect.collect.conntrack_limit import collect_limits
from netinspect.errors import CommandError
from netinspect.models.fact import Known
from netinspect.models.finding import Severity
from netinspect.models.node_limit import LimitReading, NodeLimit, Overwrite, TableOwner
from netinspect.models.report import JudgedReport
from netinspect.probes.conntrack import build_limit_now_plan, build_limit_plan
from netinspect.render.conntrack_limit_change import render_changes
from netinspect.usecases.conntrack_limit import report_changes, report_limits, set_limit
from tests.machine.conntrack_table import LIMIT, TABLE_FULL, empty_table, fill_table
from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

FLOWS = 64
# New flows, some each second, for longer than the window: the kernel drops them and counts that.
KNOCK = (
    "timeout 90 sh -c 'port=50000; while :; do perl /run/flows.pl $port 1 4 4; port=$((port + 16)); sleep 0.2; done' "
    ">/dev/null 2>&1 & echo $! >/run/knock.pid"
)


@pytest.fixture(scope="module", autouse=True)
def _conntrack(machine: Machine) -> None:
    """The modules that a node with kube-proxy has loaded."""
    machine.check("modprobe -a nf_conntrack nf_conntrack_netlink")


def read_back(machine: Machine) -> int:
    """Ask the guest's own sysctl, not the package."""
    return int(machine.check(f"sysctl -n {LIMIT}"))


def limit_of(report: JudgedReport[NodeLimit]) -> NodeLimit:
    (limit,) = report.items
    return limit


def ask(
    machine: Machine, client: ClusterClient, between_s: int = 1
) -> tuple[LimitReading, JudgedReport[NodeLimit]]:
    """Run the node side of `conntrack limit` and judge what it says."""
    reading = collect_limits(machine, build_limit_plan(between_s))
    return reading, report_limits(client, {machine.node: reading})


def test_an_empty_table_is_no_finding(machine: Machine, client: ClusterClient) -> None:
    """Everything is read, nothing is missing, and nothing is wrong."""
    reading, report = ask(machine, client)
    limit = limit_of(report)
    assert (report.gaps, report.findings) == ((), ())
    assert limit.is_initial_netns is True
    assert limit.max == read_back(machine) == limit.buckets == limit.hashsize
    assert limit.count == int(machine.check("conntrack -C"))
    assert limit.cpus == 2
    assert limit.table_full == ()
    assert sorted(each.cpu for each in limit.counters_by_cpu) == [0, 1]
    assert limit.counters is not None
    assert limit.counters["drop"] == 0
    assert reading.flow_bytes == Known(256)
    assert limit.window_s is not None
    assert 1 <= limit.window_s < 30


def test_the_limit_is_set_and_undone(machine: Machine, client: ClusterClient) -> None:
    """`--set N --apply` changes the running kernel; the value before, which the undo line names, brings it back."""
    old = read_back(machine)
    new = old + 4096
    before = set_limit(machine, new)
    try:
        assert read_back(machine) == new
        (change,) = report_changes(client, (before,), new, applied=True).items
        assert (change.old, change.new, change.applied) == (old, new, True)
        assert change.undo == f"kubectl netinspect conntrack limit --node machine --set {old} --apply"
        set_limit(machine, int(change.undo.split()[-2]))
    finally:
        undone = read_back(machine)
        machine.check(f"sysctl -q -w {LIMIT}={old}")
    assert undone == old


def test_a_dry_run_changes_nothing(machine: Machine, client: ClusterClient) -> None:
    """What it says comes from the machine; nobody runs kube-proxy there, and that is said."""
    old = read_back(machine)
    reading = collect_limits(machine, build_limit_now_plan())
    report = report_changes(client, (reading,), old * 10)
    (change,) = report.items
    assert read_back(machine) == old
    assert (change.old, change.new, change.applied) == (old, old * 10, False)
    assert change.flows_per_bucket_new == 10
    assert (change.flow_bytes, change.is_flow_bytes_estimated) == (256, False)
    assert change.table_bytes_new == old * 10 * 256 + old * 8
    assert change.overwrite is Overwrite.UNKNOWN
    text = render_changes(report.items)
    assert f"net.netfilter.nf_conntrack_max = {old * 10}" in text
    assert f"echo {-(-old * 10 // 4)} >/sys/module/nf_conntrack/parameters/hashsize" in text


def test_a_limit_that_the_kernel_refuses_is_an_error(machine: Machine) -> None:
    """sysctl ends with 0 although the kernel took nothing: what is read back decides."""
    old = read_back(machine)
    machine.check("mount -o bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys")
    try:
        with pytest.raises(CommandError, match=f"nothing was changed: it is {old}$"):
            set_limit(machine, old + 1)
    finally:
        machine.check("umount /proc/sys")
    assert read_back(machine) == old


@pytest.fixture(scope="module")
def full_machine(machine: Machine) -> Iterator[Machine]:
    """Fill the machine's table; for the last tests, so that it is filled once."""
    fill_table(machine, FLOWS)
    yield machine
    empty_table(machine)


def test_a_full_table_is_found(full_machine: Machine, client: ClusterClient) -> None:
    """Count is at the limit, packets are dropped while we look, and the kernel's line is found with its time."""
    full_machine.check(KNOCK)
    _, report = ask(full_machine, client, 3)
    now = datetime.fromtimestamp(int(full_machine.check("kill $(cat /run/knock.pid); date +%s")), UTC)
    limit = limit_of(report)
    assert (limit.count, limit.max, limit.used_percent) == (FLOWS, FLOWS, 100.0)
    assert limit.growth_per_s == 0
    assert limit.time_to_full_s is None
    assert limit.counters is not None
    assert limit.counters["drop"] > 0
    assert sum(each.counters["drop"] for each in limit.counters_by_cpu) == limit.counters["drop"]
    assert limit.table_full
    line = limit.table_full[-1]
    assert (line.raw, line.netns, line.owner) == (TABLE_FULL, None, TableOwner.UNTOLD)
    assert line.time is not None
    assert abs((now - datetime.fromisoformat(line.time)).total_seconds()) < 60
    assert line.age_s is not None
    assert 0 <= line.age_s < 60
    (finding,) = report.findings
    assert (finding.id, finding.severity) == ("conntrack-table-full", Severity.CRIT)
    assert any(line.raw in each.text for each in finding.evidence)
    assert finding.not_judged  # this kernel does not say whose table it was


def test_less_than_the_table_holds_is_refused(full_machine: Machine) -> None:
    """Without the word of the user no limit is set that would stop all new connections; with it, it is."""
    with pytest.raises(CommandError, match=f"has {FLOWS} flows now, more than {FLOWS - 1}") as refused:
        set_limit(full_machine, FLOWS - 1)
    assert "--below-count" in refused.value.hint
    assert read_back(full_machine) == FLOWS
    set_limit(full_machine, FLOWS - 1, below_count=True)
    assert read_back(full_machine) == FLOWS - 1

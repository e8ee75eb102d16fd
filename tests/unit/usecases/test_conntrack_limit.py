"""`conntrack limit` on nodes that answer from memory, with the outputs of real tools."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from netinspect.cluster.client import ClusterClient
from netinspect.collect.conntrack_limit import collect_limits
from netinspect.errors import ClusterError, CommandError
from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.models.fact import Reason
from netinspect.models.node_limit import LimitReading, Overwrite, TableOwner
from netinspect.parse.frames import Sinks
from netinspect.probes import conntrack as probes
from netinspect.probes.plan import Plan
from netinspect.render.conntrack_limit import COLUMNS, remarks
from netinspect.render.conntrack_limit_change import render_changes
from netinspect.render.table import render_table
from netinspect.usecases.conntrack_limit import report_changes, report_limits, set_limit
from tests.captures.parsers import TOOLS
from tests.fake.api import FakeApi
from tests.unit.usecases.fake_node import FakeNode, answer, result

FACTS = (TOOLS / "node-facts" / "first-netns.out").read_bytes()
INNER = (TOOLS / "node-facts" / "other-netns.out").read_bytes()
SLAB = (TOOLS / "flow-slab" / "debian.out").read_bytes()
CONFIGZ = (TOOLS / "kube-proxy-configz" / "bench.out").read_bytes()
LOG = (TOOLS / "dmesg" / "table-full.out").read_bytes()
STATISTICS = (TOOLS / "conntrack-stat" / "quiet.out").read_bytes()
DROPPED = STATISTICS.replace(b"drop=0", b"drop=7", 1)
KUBEADM = (
    "kind: KubeProxyConfiguration\nclusterCIDR: fd00:10:244::/48\nconntrack: {maxPerCore: null, min: null}\n"
)


def sysctls(count: int, limit: int) -> bytes:
    folder = "/proc/sys/net/netfilter/nf_conntrack"
    lines = (f"{folder}_buckets:250", f"{folder}_count:{count}", f"{folder}_max:{limit}")
    return "".join(f"{line}\n" for line in lines).encode()


def at(
    start_s: float, name: str, stdout: bytes = b"", *, code: int = 0, stderr: bytes = b""
) -> CommandResult:
    return replace(result(name, stdout, code=code, stderr=stderr), start_s=start_s)


def whole_answer(*others: CommandResult) -> NodeAnswer:
    """A node whose table is full, by the names of the probes; `others` take the place of some of them."""
    given = {
        each.name: each
        for each in (
            at(10, "conntrack-limits", sysctls(900, 1000)),
            at(10, "conntrack-statistics", STATISTICS),
            at(14, "conntrack-statistics-again", DROPPED),
            at(15, "conntrack-limits-again", sysctls(1000, 1000)),
            at(15, "node-facts", FACTS),
            at(15, "flow-slab", SLAB),
            at(15, "kube-proxy-config", CONFIGZ),
            at(3_000_000, "kernel-log", LOG),
            *others,
        )
    }
    return answer(*given.values())


def read(*others: CommandResult) -> LimitReading:
    return collect_limits(FakeNode(whole_answer(*others)), probes.build_limit_plan(4))


class Nodes:
    """A node that answers one trip after the other."""

    node = "node-a"

    def __init__(self, *answers: NodeAnswer, privilege: Privilege = Privilege.SYSADMIN) -> None:
        self.answers = list(answers)
        self.privilege = privilege
        self.plans: list[Plan] = []

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        self.plans.append(plan)
        return self.answers.pop(0)

    @property
    def writes(self) -> list[tuple[str, ...]]:
        """The commands that change something."""
        return [each.argv for plan in self.plans for each in plan.node_probes if each.argv[0] == "sysctl"]


def test_one_trip_asks_twice(client: ClusterClient) -> None:
    """Statistics and limits are asked before and after a pause, and the log last: it has what happened meanwhile."""
    plan = probes.build_limit_plan(4)
    names = [each.name for each in plan.node_probes]
    pause = next(each for each in plan.node_probes if each.name == "pause")
    assert pause.argv == ("sleep", "4")
    assert pause.timeout_s > 4
    assert (
        names.index("conntrack-statistics") < names.index("pause") < names.index("conntrack-statistics-again")
    )
    assert names.index("conntrack-limits") < names.index("pause") < names.index("conntrack-limits-again")
    assert names[-1] == "kernel-log"


def test_a_full_table(client: ClusterClient) -> None:
    """Percent, growth, rises and the log's line come together in a row and in a finding."""
    report = report_limits(client, {"node-a": read()})
    (limit,) = report.items
    assert (limit.count, limit.max, limit.used_percent, limit.flows_per_bucket) == (1000, 1000, 100.0, 4.0)
    assert (limit.growth_per_s, limit.time_to_full_s, limit.window_s) == (20.0, 0.0, 4.0)
    assert limit.counters is not None
    assert limit.counters["drop"] == 7
    assert limit.table_full is not None
    assert {each.owner for each in limit.table_full} == {TableOwner.UNTOLD}
    assert all(each.time for each in limit.table_full)
    assert [each.id for each in report.findings] == ["conntrack-table-full"]
    assert report.gaps == ()
    table = render_table(COLUMNS, report.items, is_wide=True)
    assert "100%" in table
    assert "cpu0 drop=+7" in table
    assert any("table full, dropping packet" in remark for remark in remarks(report.items))


def test_what_cannot_be_read_is_a_gap(client: ClusterClient) -> None:
    """Each with what would help; nothing of it looks like an empty log or a table without limit."""
    denied = at(
        1, "kernel-log", code=1, stderr=b"dmesg: read kernel buffer failed: Operation not permitted\n"
    )
    (gap,) = report_limits(client, {"node-a": read(denied)}).gaps
    assert (gap.fact, gap.reason) == ("its kernel log", Reason.PERMISSION_DENIED)
    assert "--privilege sysadmin" in gap.detail
    busybox = at(1, "kernel-log", code=1, stderr=b"dmesg: unrecognized option '--json'\n")
    (gap,) = report_limits(client, {"node-a": read(busybox)}).gaps
    assert (gap.reason, "util-linux" in gap.detail) == (Reason.TOOL_MISSING, True)
    unloaded = (at(1, "conntrack-limits"), at(1, "conntrack-limits-again"))
    report = report_limits(client, {"node-a": read(*unloaded)})
    (gap,) = report.gaps
    assert (gap.reason, "not loaded" in gap.detail) == (Reason.NOT_FOUND, True)
    assert (report.items[0].count, report.items[0].max, report.items[0].sysctls) == (None, None, None)


def test_a_dry_run_by_kube_proxys_own_word(client: ClusterClient) -> None:
    """maxPerCore 0 leaves the limit alone: no line for its configuration is needed."""
    report = report_changes(client, (read(),), 2000, flags=" --context other")
    (change,) = report.items
    assert (change.old, change.new, change.applied, change.overwrite) == (1000, 2000, False, Overwrite.KEEPS)
    assert (change.flows_per_bucket_old, change.flows_per_bucket_new) == (4.0, 8.0)
    assert change.table_bytes_new == 2000 * 256 + 250 * 8
    assert change.command == "sysctl -w net.netfilter.nf_conntrack_max=2000"
    assert (
        change.undo == "kubectl netinspect conntrack limit --node node-a --set 1000 --apply --context other"
    )
    text = render_changes(report.items)
    assert "net.netfilter.nf_conntrack_max = 2000" in text
    assert "maxPerCore:" not in text
    assert "echo 500 >/sys/module/nf_conntrack/parameters/hashsize" in text


def test_a_dry_run_by_kubeadms_config_map(client: ClusterClient, fake_api: FakeApi) -> None:
    """Where kube-proxy does not answer, its ConfigMap is read; what it would set and the lines to change are told."""
    metadata = {"name": "kube-proxy", "namespace": "kube-system"}
    fake_api.store.add("configmaps", {"metadata": metadata, "data": {"config.conf": KUBEADM}})
    silent = at(1, "kube-proxy-config", code=7, stderr=b"curl: (7) Failed to connect")
    report = report_changes(client, (read(silent),), 524288)
    (change,) = report.items
    assert (change.overwrite, change.kube_proxy_max) == (Overwrite.ANOTHER, 131072)
    assert change.kube_proxy_snippet == ("conntrack:", "  maxPerCore: 32768", "  min: 524288")
    text = render_changes(report.items)
    assert "ConfigMap kube-system/kube-proxy, config.conf" in text
    assert "    conntrack:\n      maxPerCore: 32768\n      min: 524288\n" in text
    (same,) = report_changes(client, (read(silent),), 131072).items
    assert same.overwrite is Overwrite.SAME


def test_a_kube_proxy_that_is_not_found_is_unknown(client: ClusterClient, fake_api: FakeApi) -> None:
    """It is never taken for none: not where there is no ConfigMap, and not where it may not be read."""
    silent = at(1, "kube-proxy-config", code=127, stderr=b"curl: not found")
    (change,) = report_changes(client, (read(silent),), 2000).items
    assert change.overwrite is Overwrite.UNKNOWN
    assert "there is no ConfigMap kube-system/kube-proxy" in change.overwrite_why
    fake_api.deny("get", "configmaps")
    (change,) = report_changes(client, (read(silent),), 2000).items
    assert change.overwrite is Overwrite.UNKNOWN
    assert "forbidden" in change.overwrite_why


def test_the_version_is_asked_for_where_it_matters(client: ClusterClient, fake_api: FakeApi) -> None:
    """1.36 caps the product of a node with many CPUs; 1.35 does not."""
    many = at(1, "node-facts", FACTS.replace(b"online:0-1", b"online:0-63"))
    settings = at(1, "kube-proxy-config", CONFIGZ.replace(b'"maxPerCore":0', b'"maxPerCore":32768'))
    node = {"metadata": {"name": "node-a"}, "status": {"nodeInfo": {"kubeletVersion": "v1.35.1"}}}
    with pytest.raises(ClusterError, match="node-a"):
        report_changes(client, (read(many, settings),), 2000)
    fake_api.store.add("nodes", node)
    (change,) = report_changes(client, (read(many, settings),), 2000).items
    assert change.kube_proxy_max == 2097152
    fake_api.store.update("nodes", "", "node-a", {"status": {"nodeInfo": {"kubeletVersion": "v1.36.0"}}})
    (change,) = report_changes(client, (read(many, settings),), 2000).items
    assert change.kube_proxy_max == 1048576


def test_a_size_that_the_kernel_does_not_tell_is_an_estimate(client: ClusterClient) -> None:
    """And said to be one."""
    hidden = at(1, "flow-slab", code=2, stderr=b"Permission denied")
    report = report_changes(client, (read(hidden),), 2000)
    assert report.items[0].is_flow_bytes_estimated
    assert "an estimate" in render_changes(report.items)


def test_no_limit_is_undone_by_hand(client: ClusterClient) -> None:
    """0 is no limit, which this command does not set."""
    unlimited = at(15, "conntrack-limits", sysctls(5, 0))
    (change,) = report_changes(client, (read(unlimited),), 2000).items
    assert change.undo.startswith("sysctl -w net.netfilter.nf_conntrack_max=0")


def written(limit: int, complaint: bytes = b"") -> NodeAnswer:
    """What the second trip says: sysctl ends with 0 whether the kernel took the value or not (procps 4.0)."""
    said = at(20, "set-conntrack-limit", b"net.netfilter.nf_conntrack_max = 2000\n", stderr=complaint)
    return answer(said, at(21, "conntrack-limits", sysctls(900, limit)))


def test_set_writes_and_reads_back() -> None:
    """One command that writes, in one trip; what was read before is what the undo line needs."""
    node = Nodes(whole_answer(), written(2000))
    before = set_limit(node, 2000)
    assert node.writes == [("sysctl", "-w", "net.netfilter.nf_conntrack_max=2000")]
    assert before.limits.value.max == 1000  # type: ignore[union-attr]


def test_less_than_the_table_holds_needs_a_word() -> None:
    """Nothing is sent that writes, until the user says so."""
    node = Nodes(whole_answer())
    with pytest.raises(CommandError, match="has 900 flows now, more than 899") as refused:
        set_limit(node, 899)
    assert "--below-count" in refused.value.hint
    assert node.writes == []
    node = Nodes(whole_answer(), written(899))
    set_limit(node, 899, below_count=True)
    assert len(node.writes) == 1


def test_what_was_not_written_is_an_error_with_its_reason() -> None:
    """The exit code of sysctl proves nothing: the value that is read back does."""
    complaint = b'sysctl: setting key "net.netfilter.nf_conntrack_max": Invalid argument\n'
    node = Nodes(whole_answer(at(1, "node-facts", INNER)), written(1000, complaint))
    with pytest.raises(CommandError, match=r"Invalid argument.*nothing was changed: it is 1000$") as failed:
        set_limit(node, 2000)
    assert "first network namespace" in failed.value.hint
    node = Nodes(whole_answer(), written(1000, b"Read-only file system"), privilege=Privilege.NETADMIN)
    with pytest.raises(CommandError, match="Read-only") as failed:
        set_limit(node, 2000)
    assert "--privilege sysadmin" in failed.value.hint
    node = Nodes(whole_answer(), written(1500))
    with pytest.raises(CommandError, match=r"it was 1000: it is 1500$"):
        set_limit(node, 2000)


def test_an_answer_that_is_cut_leaves_it_unknown() -> None:
    """Neither done nor undone: said so, with what tells."""
    node = Nodes(whole_answer(), answer(at(20, "set-conntrack-limit"), is_whole=False))
    with pytest.raises(CommandError, match="is not known") as failed:
        set_limit(node, 2000)
    assert "conntrack limit --node node-a" in failed.value.hint


def test_nothing_is_written_where_nothing_could_be_read() -> None:
    """Without the old value there would be no undo."""
    node = Nodes(whole_answer(at(1, "conntrack-limits", code=127, stderr=b"sh: not found")))
    with pytest.raises(CommandError, match="could not be read"):
        set_limit(node, 2000)
    assert node.writes == []

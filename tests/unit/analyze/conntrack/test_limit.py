"""How full a table is, what rose, whose table the kernel's log is about, and what is judged of it."""

from __future__ import annotations

import pytest

from netinspect.analyze.conntrack.counters import add_up, count_rise
from netinspect.analyze.conntrack.kube_proxy_max import (
    build_snippet,
    compute_max,
    depends_on_version,
    is_capped,
)
from netinspect.analyze.conntrack.limit import describe_limit, list_gaps
from netinspect.analyze.conntrack.limit_findings import RECENT_S, check_limit
from netinspect.analyze.conntrack.log import describe_table_full
from netinspect.models.conntrack import CpuStatistics
from netinspect.models.conntrack_limit import ConntrackSysctls, TableFull
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.finding import Severity
from netinspect.models.node_limit import (
    KubeProxyConntrack,
    LimitReading,
    NodeFacts,
    NodeLimit,
    TableFullLine,
    TableOwner,
)

OWN, OTHER = 4026531840, 4026532731
OLD_KERNEL, NEW_KERNEL = "6.1.0-50-amd64", "6.18.2"
RAW = "nf_conntrack: nf_conntrack: table full, dropping packet"


def cpu(number: int, **counters: int) -> CpuStatistics:
    return CpuStatistics(cpu=number, counters=counters)


def facts(release: str = NEW_KERNEL, *, initial: bool = True) -> NodeFacts:
    return NodeFacts(
        boot_time_s=1_700_000_000,
        memory_bytes=1 << 30,
        kernel_release=release,
        cpus=4,
        is_initial_netns=initial,
    )


def reading(
    first: ConntrackSysctls,
    last: ConntrackSysctls,
    window_s: float = 5.0,
    drops: tuple[int, int] = (0, 0),
) -> LimitReading:
    return LimitReading(
        node="node-a",
        netns=OWN,
        limits=Known(first),
        limits_again=Known(last),
        limits_window_s=window_s,
        statistics=Known((cpu(0, drop=drops[0]), cpu(1, drop=0))),
        statistics_again=Known((cpu(0, drop=drops[1]), cpu(1, drop=0))),
        statistics_window_s=window_s,
        facts=Known(facts()),
        log=Known(()),
        log_read_s=1000.0,
        flow_bytes=Known(256),
        kube_proxy=Unavailable(Reason.FAILED, "refused"),
    )


def limits(count: int, most: int = 1000, buckets: int = 250) -> ConntrackSysctls:
    return ConntrackSysctls(count=count, max=most, buckets=buckets, hashsize=buckets)


class TestCounters:
    def test_only_the_rise_counts(self) -> None:
        """By CPU, names that nobody knows included."""
        before = (cpu(0, drop=7, unknown1=1), cpu(1, drop=100))
        after = (cpu(0, drop=9, unknown1=4), cpu(1, drop=100))
        rise = count_rise(before, after)
        assert rise == (cpu(0, drop=2, unknown1=3), cpu(1, drop=0))
        assert add_up(rise) == {"drop": 2, "unknown1": 3}

    def test_a_counter_that_went_round_is_followed(self) -> None:
        """They are of 32 bits."""
        assert count_rise((cpu(0, drop=2**32 - 1),), (cpu(0, drop=4),)) == (cpu(0, drop=5),)

    def test_a_counter_that_was_set_back_is_not_known(self) -> None:
        """A module that was loaded anew begins at 0: no four thousand million drops."""
        assert count_rise((cpu(0, drop=9, error=1),), (cpu(0, drop=0, error=1),)) == (cpu(0, error=0),)

    def test_what_one_sample_lacks_is_not_known(self) -> None:
        """A CPU that came or went, a counter that is new."""
        before, after = (cpu(0, drop=1), cpu(1, drop=1)), (cpu(0, drop=1, new=5), cpu(2, drop=50))
        assert count_rise(before, after) == (cpu(0, drop=0),)


class TestOwner:
    def owner(
        self, line: TableFull, netns: int = OWN, node: NodeFacts | None = None, drops: int | None = 3
    ) -> TableOwner:
        (told,) = describe_table_full((line,), netns, node or facts(), drops, 100.0)
        assert told.why
        return told.owner

    def test_a_named_netns_decides(self) -> None:
        """Ours, or another's; and if the node does not tell its own, nobody knows."""
        assert self.owner(TableFull(netns=OWN, raw=RAW)) is TableOwner.OWN
        assert self.owner(TableFull(netns=OTHER, raw=RAW)) is TableOwner.ANOTHER
        assert self.owner(TableFull(netns=OTHER, raw=RAW), netns=0) is TableOwner.UNTOLD

    def test_newer_kernels_leave_the_first_netns_unnamed(self) -> None:
        """So an unnamed line is the node's own where the node lives there, and another's where not."""
        assert self.owner(TableFull(raw=RAW)) is TableOwner.OWN
        assert self.owner(TableFull(raw=RAW), node=facts(initial=False)) is TableOwner.ANOTHER

    def test_older_kernels_tell_nothing(self) -> None:
        """Unless the node's table has never dropped a packet: then it was another's."""
        old = facts(OLD_KERNEL)
        assert self.owner(TableFull(raw=RAW), node=old) is TableOwner.UNTOLD
        assert self.owner(TableFull(raw=RAW), node=old, drops=None) is TableOwner.UNTOLD
        assert self.owner(TableFull(raw=RAW), node=old, drops=0) is TableOwner.ANOTHER

    def test_a_named_line_proves_that_the_kernel_names(self) -> None:
        """Whatever its release: distributions port changes back."""
        lines = (TableFull(raw=RAW), TableFull(netns=OTHER, raw=RAW))
        told = describe_table_full(lines, OWN, facts(OLD_KERNEL), 3, 100.0)
        assert [each.owner for each in told] == [TableOwner.OWN, TableOwner.ANOTHER]

    def test_times(self) -> None:
        """Wall-clock time by the node's own clock; the age by the moment of reading; no time of the future."""
        lines = (TableFull(time_s=90.25, raw=RAW), TableFull(time_s=500.0, raw=RAW), TableFull(raw=RAW))
        told = describe_table_full(lines, OWN, facts(), 3, 100.0)
        assert [each.time for each in told] == ["2023-11-14T22:14:50Z", "2023-11-14T22:21:40Z", None]
        assert [each.age_s for each in told] == [9.8, None, None]


class TestLimit:
    def test_growth_and_time_to_full(self) -> None:
        """100 flows in 5 s, and room for 300 more."""
        limit = describe_limit(reading(limits(600), limits(700)), Known(()))
        assert (limit.count, limit.max, limit.used_percent, limit.flows_per_bucket) == (700, 1000, 70.0, 4.0)
        assert (limit.growth_per_s, limit.time_to_full_s) == (20.0, 15.0)

    @pytest.mark.parametrize("first", [700, 701])
    def test_what_does_not_grow_never_gets_full(self, first: int) -> None:
        """There is no such time, rather than a negative or an endless one."""
        assert describe_limit(reading(limits(first), limits(700)), Known(())).time_to_full_s is None

    def test_no_limit_is_no_percentage(self) -> None:
        """The kernel takes 0 for no limit."""
        limit = describe_limit(reading(limits(5, 0), limits(6, 0)), Known(()))
        assert (limit.max, limit.used_percent, limit.time_to_full_s, limit.flows_per_bucket) == (
            0,
            None,
            None,
            None,
        )
        assert check_limit(limit) == ()

    def test_what_is_missing_is_listed_once(self) -> None:
        """A missing log is none that is empty; what fails twice alike is one gap."""
        missing = Unavailable(Reason.TOOL_MISSING, "conntrack: not found")
        denied = Unavailable(Reason.PERMISSION_DENIED, "dmesg: Operation not permitted")
        whole = reading(limits(1), limits(1))
        cut = LimitReading(
            **{
                **{name: getattr(whole, name) for name in whole.__struct_fields__},
                "statistics": missing,
                "statistics_again": missing,
                "log": denied,
            }
        )
        limit = describe_limit(cut, denied)
        assert (limit.counters, limit.counters_by_cpu, limit.table_full) == (None, (), None)
        assert [(gap.subject, gap.fact, gap.reason) for gap in list_gaps(cut)] == [
            ("node/node-a", "its conntrack statistics", Reason.TOOL_MISSING),
            ("node/node-a", "its kernel log", Reason.PERMISSION_DENIED),
        ]
        assert list_gaps(whole) == ()


def line(owner: TableOwner, age_s: float | None) -> TableFullLine:
    return TableFullLine(time="2026-01-01T00:00:00Z", age_s=age_s, owner=owner, why="why", raw=RAW)


def node(
    used: float = 10.0, lines: tuple[TableFullLine, ...] = (), ratio: float = 4.0, **counters: int
) -> NodeLimit:
    return NodeLimit(
        node="node-a",
        is_initial_netns=True,
        count=int(used * 10),
        max=1000,
        used_percent=used,
        buckets=250,
        flows_per_bucket=ratio,
        window_s=5.0,
        counters=counters,
        table_full=lines,
    )


def found(limit: NodeLimit) -> list[tuple[str, str]]:
    return [(each.id, each.severity.value) for each in check_limit(limit)]


class TestFindings:
    @pytest.mark.parametrize(
        ("limit", "expected"),
        [
            (node(), []),
            (node(74.9), []),
            (node(75.0), [("conntrack-table-near-limit", "med")]),
            (node(89.9), [("conntrack-table-near-limit", "med")]),
            (node(90.0), [("conntrack-table-near-limit", "high")]),
            (node(100.0), [("conntrack-table-near-limit", "high")]),
            (node(100.0, drop=1), [("conntrack-table-full", "crit")]),
            (node(10.0, drop=1), [("conntrack-drops", "med")]),
            (node(10.0, (line(TableOwner.OWN, 5),)), [("conntrack-table-full", "crit")]),
            (node(10.0, (line(TableOwner.UNTOLD, 5),)), [("conntrack-table-full", "high")]),
            (node(95.0, (line(TableOwner.UNTOLD, 5),)), [("conntrack-table-full", "crit")]),
            (node(10.0, (line(TableOwner.UNTOLD, 5),), drop=1), [("conntrack-table-full", "crit")]),
            (node(insert_failed=2), []),
            (node(insert_failed=3), [("conntrack-insert-failed", "med")]),
            (node(clash_resolve=1000), []),
            (node(ratio=8.0), []),
            (node(ratio=8.1), [("conntrack-hash-too-small", "med")]),
            (node(chaintoolong=1), [("conntrack-hash-too-small", "med")]),
            (node(search_restart=100, invalid=100), []),
            # At the limit within the window, wherever the count stands when it is read again.
            (node(early_drop=1), [("conntrack-table-near-limit", "high")]),
            (node(drop=1, early_drop=1), [("conntrack-table-full", "crit")]),
        ],
    )
    def test_rules(self, limit: NodeLimit, expected: list[tuple[str, str]]) -> None:
        """Each rule, on both sides of its border. The worst is told, and once."""
        assert found(limit) == expected

    @pytest.mark.parametrize("owner", TableOwner)
    def test_old_lines_and_other_netns_are_no_findings(self, owner: TableOwner) -> None:
        """F17: compare the time; the limit of another netns is not the node's."""
        assert found(node(10.0, (line(owner, RECENT_S + 1),))) == []
        assert found(node(10.0, (line(owner, None),))) == []
        assert found(node(10.0, (line(TableOwner.ANOTHER, 1),))) == []

    def test_what_is_not_told_is_said(self) -> None:
        """A line of an older kernel may be another's: that is listed as not judged."""
        (untold,) = check_limit(node(95.0, (line(TableOwner.UNTOLD, 5),)))
        assert "whose table" in untold.not_judged[0]
        (own,) = check_limit(node(95.0, (line(TableOwner.OWN, 5),)))
        assert own.not_judged == ()
        assert any(RAW in each.text for each in own.evidence)

    def test_the_worst_comes_first(self) -> None:
        """Whatever was checked first."""
        assert [severity for _, severity in found(node(100.0, ratio=9, drop=5, insert_failed=100))] == [
            "crit",
            "med",
            "med",
        ]

    def test_kube_proxy_will_change_it(self) -> None:
        """A lower value is worse than a higher one; the same, or a node that cannot be written to, is none."""

        def with_proxy(wanted: int | None, *, initial: bool = True) -> NodeLimit:
            settings = KubeProxyConntrack(max_per_core=1, min=wanted, origin="there")
            return NodeLimit(
                node="node-a",
                is_initial_netns=initial,
                count=1,
                max=1000,
                used_percent=0.1,
                kube_proxy=settings,
                kube_proxy_max=wanted,
            )

        (lowered,) = check_limit(with_proxy(500))
        assert (lowered.id, lowered.severity) == ("conntrack-max-overwritten", Severity.MED)
        assert "lowers it to 500" in lowered.message
        (raised,) = check_limit(with_proxy(5000))
        assert raised.severity is Severity.INFO
        for quiet in (with_proxy(1000), with_proxy(None), with_proxy(500, initial=False)):
            assert check_limit(quiet) == ()


class TestKubeProxy:
    @pytest.mark.parametrize(
        ("per_core", "least", "cpus", "capped", "expected"),
        [
            (None, None, 2, True, 131072),  # the least wins
            (None, None, 8, True, 262144),
            (None, None, 64, True, 1048576),  # 1.36 caps the product
            (None, None, 64, False, 2097152),
            (None, 2000000, 64, True, 1048576),  # and then min does not count
            (None, 2000000, 8, True, 2000000),
            (0, 131072, 8, True, None),  # leaves it alone
            (1, 0, 4, True, 4),
        ],
    )
    def test_formula(
        self, per_core: int | None, least: int | None, cpus: int, capped: bool, expected: int | None
    ) -> None:
        """As kubernetes, pkg/proxy/conntrack/sysctls.go computes it."""
        settings = KubeProxyConntrack(max_per_core=per_core, min=least)
        assert compute_max(settings, cpus, is_capped=capped) == expected

    def test_cap_by_version(self) -> None:
        """Only where it matters is a version asked for."""
        assert [is_capped(each) for each in ("v1.35.9", "v1.36.0", "v1.36.2-eks-1", "v2.0", "")] == [
            False,
            True,
            True,
            True,
            True,
        ]
        assert depends_on_version(KubeProxyConntrack(), 64)
        assert not depends_on_version(KubeProxyConntrack(), 8)

    @pytest.mark.parametrize("per_core", [None, 0, 1, 32768, 1_000_000])
    @pytest.mark.parametrize("cpus", [1, 2, 8, 64, 256])
    @pytest.mark.parametrize("wanted", [100, 65536, 131072, 524288, 2_000_000, 2**31 - 1])
    @pytest.mark.parametrize("capped", [True, False])
    def test_the_snippet_does_what_it_promises(
        self, per_core: int | None, cpus: int, wanted: int, capped: bool
    ) -> None:
        """Fed back into the formula it gives the wanted limit, or says that kube-proxy is to leave it alone."""
        lines = build_snippet(KubeProxyConntrack(max_per_core=per_core), cpus, wanted)
        values = {key.strip(): int(value) for key, _, value in (each.partition(":") for each in lines[1:])}
        settings = KubeProxyConntrack(max_per_core=values["maxPerCore"], min=values.get("min"))
        computed = compute_max(settings, cpus, is_capped=capped)
        assert computed == (wanted if wanted >= cpus else None)

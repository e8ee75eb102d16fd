"""A node's conntrack limit: what was read of it, what that means, and what changing it would do."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from netinspect.models.conntrack import CpuStatistics
from netinspect.models.conntrack_limit import ConntrackSysctls, KernelLogLine
from netinspect.models.fact import Fact, Gap


class _LimitStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of a report; what was not read is None and left out of JSON."""


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a node's /proc and /sys say of the machine; None: not there.

    Attributes:
        boot_time_s: when it booted, in seconds since the epoch, by the node's own clock (`btime`).
        memory_bytes: its memory (`MemTotal`).
        kernel_release: of the running kernel, as `uname -r` prints it.
        cpus: the number of CPUs that are online.
        is_initial_netns: whether the node's netns is the machine's first: the only one in which limits that are one
            value for the machine can be written.
    """

    boot_time_s: int | None = None
    memory_bytes: int | None = None
    kernel_release: str | None = None
    cpus: int | None = None
    is_initial_netns: bool = False


class KubeProxyConntrack(_LimitStruct, frozen=True, kw_only=True):
    """The part of kube-proxy's settings that makes it write nf_conntrack_max when it starts.

    Source: kubeproxy.config.k8s.io/v1alpha1, KubeProxyConntrackConfiguration.

    Attributes:
        max_per_core: flows for each CPU; 0 leaves the limit alone; None takes the default (32768).
        min: the least, whatever the number of CPUs; None takes the default (131072).
        origin: where this was read.
    """

    max_per_core: int | None = None
    min: int | None = None
    origin: str = ""


class LimitReading(msgspec.Struct, frozen=True, kw_only=True):
    """All that one trip to a node told of its limit.

    Attributes:
        node: its name.
        netns: the inode of its netns; 0 where the node would not tell.
        limits: the sysctls at the beginning.
        limits_again: the sysctls at the end.
        limits_window_s: seconds between the two.
        statistics: `conntrack -S` at the beginning.
        statistics_again: at the end.
        statistics_window_s: seconds between the two.
        facts: the machine.
        log: the kernel's log.
        log_read_s: when it was read, in seconds since boot, as its lines count; None where that is not known.
        flow_bytes: bytes of one entry in the kernel's memory.
        kube_proxy: what kube-proxy on the node says of its own settings.
        gaps: what of the trip itself is missing.
    """

    node: str
    netns: int = 0
    limits: Fact[ConntrackSysctls]
    limits_again: Fact[ConntrackSysctls]
    limits_window_s: float = 0.0
    statistics: Fact[tuple[CpuStatistics, ...]]
    statistics_again: Fact[tuple[CpuStatistics, ...]]
    statistics_window_s: float = 0.0
    facts: Fact[NodeFacts]
    log: Fact[tuple[KernelLogLine, ...]]
    log_read_s: float | None = None
    flow_bytes: Fact[int]
    kube_proxy: Fact[KubeProxyConntrack]
    gaps: tuple[Gap, ...] = ()


class TableOwner(StrEnum):
    """Whose table was full: the node's OWN, that of ANOTHER netns of the machine, or UNTOLD by this kernel."""

    OWN = "own"
    ANOTHER = "another"
    UNTOLD = "untold"


class TableFullLine(_LimitStruct, frozen=True, kw_only=True):
    """A line of the kernel's log that says that a packet was dropped because a table was full.

    Attributes:
        time: when, RFC 3339 in UTC by the node's own clock.
        age_s: how many seconds before the log was read.
        owner: whose table it was.
        why: how that is known, or why it is not.
        netns: the inode that the line names.
        raw: the line.
    """

    time: str | None = None
    age_s: float | None = None
    owner: TableOwner
    why: str
    netns: int | None = None
    raw: str


class NodeLimit(_LimitStruct, frozen=True, kw_only=True):
    """What limits a node's table, how near it is, and what was lost.

    Attributes:
        node: its name.
        netns: the inode of its netns.
        is_initial_netns: whether that is the machine's first.
        count: flows of the node's netns.
        max: flows that a netns may have; 0 is no limit.
        used_percent: count of max.
        buckets: size of the hash table.
        hashsize: the same, as the module's parameter.
        flows_per_bucket: max / buckets: how long a chain of the hash table is when the table is full.
        window_s: seconds between the two samples.
        growth_per_s: flows that the table gained a second within them; negative where it shrank.
        time_to_full_s: until it is full if it goes on like that; None where it does not grow.
        counters: what each counter of `conntrack -S` rose by, all CPUs together.
        counters_by_cpu: the same for each CPU.
        counters_since_boot: their values at the end, all CPUs together. Each is of 32 bits a CPU.
        table_full: the kernel log's lines, oldest first; None where the log could not be read.
        cpus: CPUs online.
        memory_bytes: the machine's memory.
        sysctls: all conntrack sysctls of the node's netns.
        kube_proxy: its settings, where it tells them.
        kube_proxy_max: what it makes of them at its next start; None: it leaves the limit alone, or is not known.
    """

    node: str
    netns: int = 0
    is_initial_netns: bool | None = None
    count: int | None = None
    max: int | None = None
    used_percent: float | None = None
    buckets: int | None = None
    hashsize: int | None = None
    flows_per_bucket: float | None = None
    window_s: float | None = None
    growth_per_s: float | None = None
    time_to_full_s: float | None = None
    counters: dict[str, int] | None = None
    counters_by_cpu: tuple[CpuStatistics, ...] = ()
    counters_since_boot: dict[str, int] | None = None
    table_full: tuple[TableFullLine, ...] | None = None
    cpus: int | None = None
    memory_bytes: int | None = None
    sysctls: ConntrackSysctls | None = None
    kube_proxy: KubeProxyConntrack | None = None
    kube_proxy_max: int | None = None


class Overwrite(StrEnum):
    """What kube-proxy does to a limit when it starts: KEEPS it, sets ANOTHER or the SAME one; or that is UNKNOWN."""

    KEEPS = "keeps"
    ANOTHER = "another"
    SAME = "same"
    UNKNOWN = "unknown"


class LimitChange(_LimitStruct, frozen=True, kw_only=True):
    """What changing a node's limit means.

    Attributes:
        node: its name.
        is_initial_netns: whether its netns is the machine's first: the limit can be written from there only.
        old: the limit before.
        new: the wanted one.
        applied: whether it was written and read back; otherwise nothing was changed.
        count: flows of the node's netns now.
        buckets: size of the hash table.
        flows_per_bucket_old: old limit / buckets.
        flows_per_bucket_new: new limit / buckets.
        flow_bytes: bytes of one entry in the kernel's memory.
        is_flow_bytes_estimated: the kernel would not tell them.
        table_bytes_old: memory of a table that is full at the old limit, with its buckets.
        table_bytes_new: at the new one.
        memory_bytes: the machine's memory.
        cpus: CPUs online.
        kube_proxy: its settings, where they were found.
        kube_proxy_max: what it sets at its next start.
        overwrite: what it does to the new limit then.
        overwrite_why: the same in words.
        kube_proxy_snippet: what to write into its configuration, so that it sets the new limit itself.
        sysctl_file: where to write the next, for a node without kube-proxy.
        sysctl_lines: the lines.
        command: what changes the running kernel.
        undo: what puts it back.
        hints: what else to know, in sentences.
    """

    node: str
    is_initial_netns: bool | None = None
    old: int
    new: int
    applied: bool = False
    count: int | None = None
    buckets: int | None = None
    flows_per_bucket_old: float | None = None
    flows_per_bucket_new: float | None = None
    flow_bytes: int
    is_flow_bytes_estimated: bool = False
    table_bytes_old: int
    table_bytes_new: int
    memory_bytes: int | None = None
    cpus: int | None = None
    kube_proxy: KubeProxyConntrack | None = None
    kube_proxy_max: int | None = None
    overwrite: Overwrite
    overwrite_why: str
    kube_proxy_snippet: tuple[str, ...] = ()
    sysctl_file: str
    sysctl_lines: tuple[str, ...]
    command: str
    undo: str
    hints: tuple[str, ...] = ()

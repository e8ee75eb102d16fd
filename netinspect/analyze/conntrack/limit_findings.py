"""What is wrong with a node's conntrack table: full, nearly full, losing packets, badly sized, or about to be resized.

A rise of a counter within the window is evidence; its value since boot is none. A line of the kernel's log is evidence
if it is recent and about the node's own table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from netinspect.models.finding import Evidence, Finding, Severity, sort_findings
from netinspect.models.node_limit import NodeLimit, TableFullLine, TableOwner

RECENT_S = 300.0
"""An older line of the kernel's log says nothing of how it is now."""

NEAR_PERCENT, HALFWAY_PERCENT = 90.0, 75.0
LONG_CHAIN = 8.0
"""Flows in a bucket of a full table; up to 4 is what kube-proxy and older kernels aim at."""

CLASHES_A_MINUTE, FEWEST_CLASHES = 10.0, 3
"""One or two within a window of seconds are chance."""

_ENLARGE = (
    "find out what fills it (kubectl netinspect conntrack top), or raise the limit: kubectl netinspect conntrack "
    "limit --node {node} --set N shows what that takes, and where kube-proxy's conntrack.maxPerCore and min set it"
)
_STATISTICS = "conntrack -S, twice"
_SYSCTLS = "/proc/sys/net/netfilter"
_LOG = "dmesg"


def check_limit(limit: NodeLimit) -> tuple[Finding, ...]:
    """Judge a node's table; the worst first."""
    return sort_findings(finding for check in _CHECKS for finding in check(limit))


def recent_lines(limit: NodeLimit) -> list[TableFullLine]:
    """Return the lines of the last minutes that are, or may be, about the node's own table."""
    return [
        line
        for line in limit.table_full or ()
        if line.owner is not TableOwner.ANOTHER and line.age_s is not None and line.age_s <= RECENT_S
    ]


def _check_full(limit: NodeLimit) -> Iterator[Finding]:
    """F17: packets that begin a flow are dropped, as the table is full."""
    lines, drops = recent_lines(limit), _rise(limit, "drop")
    # Entries are evicted early at the limit only, wherever the count stands when it is read next.
    is_near = (limit.used_percent or 0) >= NEAR_PERCENT or bool(_rise(limit, "early_drop"))
    own = any(line.owner is TableOwner.OWN for line in lines)
    if not lines and not (drops and is_near):
        return
    certain = own or is_near or bool(drops)
    yield Finding(
        id="conntrack-table-full",
        severity=Severity.CRIT if certain else Severity.HIGH,
        subject=f"node/{limit.node}",
        node=limit.node,
        message=f"the conntrack table {_when(is_now=is_near or bool(drops))}: packets that would begin a connection "
        "are dropped, for every pod of the node",
        evidence=(
            *_usage(limit),
            *((_drop_evidence(limit, drops),) if drops else ()),
            *_line_evidence(lines),
        ),
        advice=_ENLARGE.format(node=limit.node),
        not_judged=()
        if own or not lines
        else (f"whose table the lines of the kernel's log are about: {lines[-1].why}",),
    )


def _check_near(limit: NodeLimit) -> Iterator[Finding]:
    """F17: not full yet."""
    used, evicted = limit.used_percent, _rise(limit, "early_drop")
    if used is None or (used < HALFWAY_PERCENT and not evicted) or any(_check_full(limit)):
        return
    at_limit = (
        "; within the window it was at its limit, and unassured entries were evicted" if evicted else ""
    )
    yield Finding(
        id="conntrack-table-near-limit",
        severity=Severity.HIGH if used >= NEAR_PERCENT or evicted else Severity.MED,
        subject=f"node/{limit.node}",
        node=limit.node,
        message=f"the conntrack table is {used:g} % full{at_limit}; when it is full, packets that begin a connection "
        "are dropped",
        evidence=(
            *_usage(limit),
            *(
                (Evidence(source=_STATISTICS, text=_in_window(limit, "early_drop", evicted)),)
                if evicted
                else ()
            ),
        ),
        advice=_ENLARGE.format(node=limit.node),
    )


def _check_drops(limit: NodeLimit) -> Iterator[Finding]:
    """Packets are dropped, and a full table does not explain it."""
    drops = _rise(limit, "drop")
    if not drops or any(_check_full(limit)):
        return
    yield Finding(
        id="conntrack-drops",
        severity=Severity.MED,
        subject=f"node/{limit.node}",
        node=limit.node,
        message="conntrack drops packets although the table is not near its limit when it is read: it had no memory "
        "for an entry, or a protocol's tracker refused them",
        evidence=(_drop_evidence(limit, drops), *_usage(limit)),
        advice="look in the kernel's log for failed allocations, and ask again over a longer time (--for 1m)",
        not_judged=("which packets they were: the counter does not say",),
    )


def _check_clashes(limit: NodeLimit) -> Iterator[Finding]:
    """F16: the race of two packets with one tuple, which DNS clients meet."""
    failed = _rise(limit, "insert_failed")
    if failed < FEWEST_CLASHES or failed * 60 / (limit.window_s or 60) <= CLASHES_A_MINUTE:
        return
    yield Finding(
        id="conntrack-insert-failed",
        severity=Severity.MED,
        subject=f"node/{limit.node}",
        node=limit.node,
        message="packets are lost because an equal entry was made at the same moment: where they are DNS queries, the "
        "A and the AAAA query of one lookup race, and the lookup waits 5 s",
        evidence=(Evidence(source=_STATISTICS, text=_in_window(limit, "insert_failed", failed)),),
        advice="for DNS: NodeLocal DNSCache, or in the pod's dnsConfig the options single-request-reopen or use-vc",
        not_judged=("which flows they were: the counter does not say whether it was DNS",),
    )


def _check_hash(limit: NodeLimit) -> Iterator[Finding]:
    """F19: long chains in the hash table cost CPU time, and beyond a length packets."""
    too_long, ratio = _rise(limit, "chaintoolong"), limit.flows_per_bucket or 0
    if not too_long and ratio <= LONG_CHAIN:
        return
    text = f"nf_conntrack_max={limit.max} nf_conntrack_buckets={limit.buckets}: {ratio:g} flows a bucket when full"
    size = -(-(limit.max or 0) // 4)
    yield Finding(
        id="conntrack-hash-too-small",
        severity=Severity.MED,
        subject=f"node/{limit.node}",
        node=limit.node,
        message="the hash table is too small for the number of flows: looking one up takes long, on every packet",
        evidence=(
            Evidence(source=_SYSCTLS, text=text),
            *(
                (Evidence(source=_STATISTICS, text=_in_window(limit, "chaintoolong", too_long)),)
                if too_long
                else ()
            ),
        ),
        advice="raise hashsize on the node; it takes effect at once. kube-proxy does so when it sets a limit",
        commands=(f"echo {size} >/sys/module/nf_conntrack/parameters/hashsize",)
        if ratio > LONG_CHAIN
        else (),
    )


def _check_overwrite(limit: NodeLimit) -> Iterator[Finding]:
    """F18, as far as evidence goes: the limit is not the one that kube-proxy's settings make of it."""
    wanted = limit.kube_proxy_max
    if wanted is None or not limit.max or limit.max == wanted or not limit.is_initial_netns:
        return
    lowers = wanted < limit.max
    yield Finding(
        id="conntrack-max-overwritten",
        severity=Severity.MED if lowers else Severity.INFO,
        subject=f"node/{limit.node}",
        node=limit.node,
        message=f"nf_conntrack_max is {limit.max}, and kube-proxy {'lowers' if lowers else 'raises'} it to {wanted} "
        "when it starts again: what set it does not last",
        evidence=(Evidence(source=_settings_source(limit), text=_settings(limit)),),
        advice="set the limit in kube-proxy's configuration: kubectl netinspect conntrack limit "
        f"--node {limit.node} --set {limit.max} prints the lines",
        not_judged=("what set it: files of the node, such as those of sysctl.d, are not read",),
    )


_CHECKS: tuple[Callable[[NodeLimit], Iterator[Finding]], ...] = (
    _check_full,
    _check_near,
    _check_drops,
    _check_clashes,
    _check_hash,
    _check_overwrite,
)


def _rise(limit: NodeLimit, name: str) -> int:
    return (limit.counters or {}).get(name, 0)


def _in_window(limit: NodeLimit, name: str, rise: int) -> str:
    return f"{name} rose by {rise} within {limit.window_s or 0:.1f} s"


def _drop_evidence(limit: NodeLimit, drops: int) -> Evidence:
    return Evidence(source=_STATISTICS, text=_in_window(limit, "drop", drops))


def _usage(limit: NodeLimit) -> Iterator[Evidence]:
    if limit.used_percent is not None:
        text = f"nf_conntrack_count={limit.count} nf_conntrack_max={limit.max}: {limit.used_percent:g} % used"
        yield Evidence(source=_SYSCTLS, text=text)


def _line_evidence(lines: list[TableFullLine]) -> Iterator[Evidence]:
    """Quote the last line and count the others: the kernel repeats them."""
    if lines:
        last = lines[-1]
        more = f"{len(lines)} lines in {RECENT_S / 60:g} minutes, the last " if len(lines) > 1 else ""
        text = f"{more}{last.time or 'at an unknown time'}, {last.age_s or 0:.0f} s ago: {last.raw}"
        yield Evidence(source=_LOG, text=text)


def _when(*, is_now: bool) -> str:
    return "is full" if is_now else "was full within the last minutes"


def _settings_source(limit: NodeLimit) -> str:
    return limit.kube_proxy.origin if limit.kube_proxy else ""


def _settings(limit: NodeLimit) -> str:
    settings = limit.kube_proxy
    if settings is None:
        return ""
    return f"conntrack.maxPerCore={settings.max_per_core} conntrack.min={settings.min}, {limit.cpus} CPUs"

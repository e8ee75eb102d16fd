"""What is wrong with a node's dataplane: none at all, two at a time, not the one that it should be, half of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from netinspect.analyze.dataplane.ways import NO_SERVICES
from netinspect.models.dataplane import READABLE, Confidence, Dataplane, NodeDataplane, Trace
from netinspect.models.finding import Evidence, Finding, Severity, sort_findings

_MOST_EVIDENCE = 5
_AGAIN = "whether kube-proxy was just about to mend it: ask again in half a minute"
_SILENT = "whether kube-proxy, which does not answer, runs and is about to mend it"
_REMOVE = "kube-proxy --cleanup on the node removes what kube-proxy left; a reboot removes all"
_REMOVE_CNI = (
    "links and eBPF programs stay when a CNI plugin is removed: run its own clean-up, or reboot the node"
)
_TOOLS = {
    Dataplane.CILIUM: ("cilium-dbg service list", "cilium-dbg bpf lb list"),
    Dataplane.GKE_DATAPLANE_V2: ("cilium-dbg service list", "cilium-dbg bpf lb list"),
    Dataplane.CALICO_EBPF: ("calico-node -bpf nat dump",),
    Dataplane.OVN_KUBERNETES: ("ovn-nbctl lb-list",),
    Dataplane.ANTREA: ("ovs-ofctl dump-flows br-int",),
}


def check_dataplane(node: NodeDataplane) -> tuple[Finding, ...]:
    """Judge a node's dataplane in one family; the worst first."""
    return sort_findings(finding for check in _CHECKS for finding in check(node))


def _check_none(node: NodeDataplane) -> Iterator[Finding]:
    """Packets to Services are left as they are."""
    if node.dataplane is not Dataplane.NONE or node.services == 0:
        return
    mode = node.kube_proxy_mode
    if mode:
        yield _finding(
            node,
            "dataplane-rules-missing",
            Severity.CRIT,
            f"kube-proxy runs in mode {mode}, but no packet comes to any rule of it: no Service with an "
            f"IPv{node.family} address can be reached from this node and its pods",
            evidence=_evidence_of(node.leftovers) or _nothing(node, mode),
            advice="look in kube-proxy's log for errors of its tool; a restart makes it write all rules anew",
            not_judged=(_AGAIN,),
        )
        return
    yield _finding(
        node,
        "dataplane-none",
        Severity.HIGH,
        f"nothing on the node sends packets for IPv{node.family} addresses of Services anywhere: kube-proxy does not "
        "answer, no rules of it are in use, and no other dataplane that is known is there",
        evidence=_evidence_of(node.leftovers),
        advice="does kube-proxy, or what stands in its place, run on the node?",
        not_judged=(
            "a dataplane that is not known",
            *(() if node.services else ("whether there are Services",)),
        ),
    )


_PLACES = {
    "iptables": "table nat of neither backend has a chain KUBE-SERVICES",
    "nftables": "there is no table {table} kube-proxy",
    "ipvs": "there is no link kube-ipvs0",
}


def _nothing(node: NodeDataplane, mode: str) -> tuple[Evidence, ...]:
    """Say what was looked for, where nothing of kube-proxy was found."""
    text = _PLACES.get(mode, "").format(table="ip" if node.family == 4 else "ip6")
    return (Evidence(source=f"rules of IPv{node.family}", text=text),) if text else ()


def _check_mode(node: NodeDataplane) -> Iterator[Finding]:
    """Kube-proxy says one mode, and packets meet the rules of another."""
    mode = node.kube_proxy_mode
    if mode is None or not node.is_readable or node.dataplane.value == mode:
        return
    yield _finding(
        node,
        "dataplane-mode-mismatch",
        Severity.HIGH,
        f"kube-proxy runs in mode {mode}, but packets meet rules of mode {node.dataplane} only: nobody keeps these up "
        "to date",
        evidence=node.evidence,
        advice="look in kube-proxy's log why it does not write its own rules",
        not_judged=(_AGAIN,),
    )


def _check_ways(node: NodeDataplane) -> Iterator[Finding]:
    """Rules are there, but not all packets come to them."""
    missing = [
        (trace, way)
        for trace in node.traces
        if trace.is_reached and trace.missing
        for way in trace.missing
        if way != NO_SERVICES or node.services
    ]
    if not missing or not node.is_readable:
        return
    yield _finding(
        node,
        "dataplane-jump-missing",
        Severity.CRIT,
        f"a way to the rules is missing ({', '.join(way for _, way in missing)}): {_meaning(missing)}",
        evidence=_evidence_of(trace for trace, _ in missing),
        advice="kube-proxy puts it back when it writes all rules; a restart makes it do so",
        not_judged=(_AGAIN if node.kube_proxy_mode else _SILENT,),
    )


_UNMASQUERADED = "what has to be masqueraded is not, so answers do not come back"
_MEANINGS = {
    "prerouting": "what pods and other machines send to Services is not translated",
    "output": "what the node itself sends to Services is not translated",
    "kube-svc-*": "what is sent to Services is not translated",
    "kube-nodeports": "what is sent to node ports is not translated",
    "postrouting": _UNMASQUERADED,
    "mark": _UNMASQUERADED,
    "masquerade": _UNMASQUERADED,
    "addresses": "the node does not take packets to Services for its own",
}


def _meaning(missing: list[tuple[Trace, str]]) -> str:
    words = {word.lower() for _, way in missing for word in way.partition(" (")[0].split()}
    return "; ".join(dict.fromkeys(meaning for word, meaning in _MEANINGS.items() if word in words))


def _check_backends(node: NodeDataplane) -> Iterator[Finding]:
    """F23: the kernel evaluates both backends of iptables."""
    others = [trace for trace in node.leftovers if _is_second_backend(node, trace)]
    for trace in others:
        yield _finding(
            node,
            "dataplane-two-backends",
            Severity.HIGH,
            f"both backends of iptables have rules of kube-proxy that packets meet: it writes iptables-{node.backend}, "
            f"and what {trace.place} has is left from before",
            evidence=trace.evidence,
            advice=f"remove the rules of {trace.place}: kube-proxy --cleanup with that backend, or a reboot",
            not_judged=("which of the two a packet meets first, and whether the old endpoints still exist",),
        )


def _check_leftovers(node: NodeDataplane) -> Iterator[Finding]:
    """Artefacts of a dataplane that is not in use."""
    if node.dataplane in (Dataplane.NONE, Dataplane.UNKNOWN):
        return
    for trace in node.leftovers:
        if _is_second_backend(node, trace):
            continue
        is_met = trace.is_reached is True
        effect = "packets still meet them" if is_met else "no packet is sent there by a hook"
        yield _finding(
            node,
            "dataplane-leftover-rules",
            Severity.HIGH if is_met and trace.services else Severity.INFO,
            f"{trace.place} has leftovers of {trace.dataplane}, while {node.dataplane} is in use: {effect}",
            evidence=trace.evidence,
            advice=_REMOVE if trace.dataplane in READABLE else _REMOVE_CNI,
            commands=_clean_up(trace),
            not_judged=("whether their endpoints still exist",) if is_met and trace.services else (),
        )


def _check_unknown(node: NodeDataplane) -> Iterator[Finding]:
    """Several dataplanes get packets, and nobody says which is meant."""
    met = [trace for trace in node.leftovers if trace.is_reached]
    if node.dataplane is not Dataplane.UNKNOWN or len({trace.dataplane for trace in met}) < 2:
        return
    yield _finding(
        node,
        "dataplane-several",
        Severity.HIGH,
        f"packets meet rules of several dataplanes ({', '.join(trace.place for trace in met)}), and kube-proxy "
        "does not tell which it writes",
        evidence=_evidence_of(met),
        advice="find out which mode kube-proxy has; kube-proxy --cleanup removes what it left",
    )


def _check_readable(node: NodeDataplane) -> Iterator[Finding]:
    """Honest about what this program cannot see."""
    if node.is_readable or node.dataplane not in _TOOLS:
        return
    likely = "" if node.confidence is Confidence.CERTAIN else " (likely)"
    yield _finding(
        node,
        "dataplane-not-readable",
        Severity.INFO,
        f"packets to Services are decided by {node.dataplane}{likely}, in eBPF maps or flows of Open vSwitch, which "
        "are not read here: missing rules of kube-proxy, counters of 0 and missing conntrack entries mean nothing",
        evidence=node.evidence,
        advice="ask its own tools, in its pod on the node",
        commands=_TOOLS[node.dataplane],
    )


def _check_others(node: NodeDataplane) -> Iterator[Finding]:
    """A drop elsewhere is final, whatever the Service dataplane says."""
    dropping = [
        each
        for each in node.others
        if each.policy == "drop" and each.hook in ("prerouting", "input", "forward", "output")
    ]
    if not dropping:
        return
    yield _finding(
        node,
        "dataplane-other-policy-drop",
        Severity.INFO,
        "base chains of others drop what none of their rules accepts; a drop there is final, whatever the Service "
        "dataplane says",
        evidence=tuple(
            Evidence(
                source=each.place,
                text=f"chain {each.chain}, hook {each.hook}, policy drop, {each.rules} rules",
            )
            for each in dropping
        ),
        not_judged=("whether their rules accept what pods and Services need",),
    )


_CHECKS: tuple[Callable[[NodeDataplane], Iterator[Finding]], ...] = (
    _check_none,
    _check_mode,
    _check_ways,
    _check_backends,
    _check_leftovers,
    _check_unknown,
    _check_readable,
    _check_others,
)


def _is_second_backend(node: NodeDataplane, trace: Trace) -> bool:
    return (
        node.backend is not None
        and trace.dataplane is node.dataplane
        and trace.place.startswith("iptables-")
        and trace.is_reached is True
    )


def _clean_up(trace: Trace) -> tuple[str, ...]:
    if trace.dataplane is Dataplane.NFTABLES:
        return (trace.place.replace("nft table", "nft delete table"),)
    return (
        (f"ip link delete {trace.place.removeprefix('link ')}",) if trace.place == "link kube-ipvs0" else ()
    )


def _evidence_of(traces: Iterable[Trace]) -> tuple[Evidence, ...]:
    return tuple(piece for trace in traces for piece in (*_missing_in(trace), *trace.evidence))


def _missing_in(trace: Trace) -> Iterator[Evidence]:
    if trace.missing:
        yield Evidence(source=trace.place, text=f"not there: {', '.join(trace.missing)}")


def _finding(
    node: NodeDataplane,
    id_: str,
    severity: Severity,
    message: str,
    *,
    evidence: tuple[Evidence, ...] = (),
    advice: str = "",
    commands: tuple[str, ...] = (),
    not_judged: tuple[str, ...] = (),
) -> Finding:
    return Finding(
        id=id_,
        severity=severity,
        subject=f"node/{node.node}",
        node=node.node,
        message=f"IPv{node.family}: {message}",
        evidence=tuple(dict.fromkeys(evidence))[:_MOST_EVIDENCE],
        advice=advice,
        commands=commands,
        not_judged=not_judged,
    )

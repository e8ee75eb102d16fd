"""Which dataplane a node uses for Services in one family.

Two witnesses are heard: whoever writes the rules (kube-proxy at /proxyMode, the settings of Cilium), and the rules
themselves, as far as packets come to them. What is there beside the one in use is a leftover: a mode's rules outlive
it, as kube-proxy removes only some of them when it starts in another mode (kubernetes, server_linux.go,
platformCleanup).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from netinspect.analyze.dataplane.agents import Agent, find_agents, runs_kube_proxy
from netinspect.analyze.dataplane.others import find_others
from netinspect.analyze.dataplane.traces import find_traces
from netinspect.models.dataplane import (
    READABLE,
    Confidence,
    Dataplane,
    DataplaneHints,
    DataplaneReading,
    NodeDataplane,
    Trace,
)
from netinspect.models.fact import Fact, Gap, Known, Unavailable
from netinspect.models.finding import Evidence
from netinspect.models.iptables import XtablesBackend

_HINT_CHAINS = ("KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY")


class _Verdict(msgspec.Struct, frozen=True):
    dataplane: Dataplane
    confidence: Confidence
    evidence: tuple[Evidence, ...] = ()


def describe_dataplane(reading: DataplaneReading, hints: DataplaneHints, family: int) -> NodeDataplane:
    """Say which dataplane a node uses in a family, what shows it, and what else is there."""
    traces, agents = find_traces(reading, family), find_agents(reading, hints)
    verdict = _judge(reading, hints, traces, agents, family)
    used = _used_traces(reading, verdict, traces, family)
    everything = (*traces, *(agent.trace for agent in agents))
    own = (*used, *(agent.trace for agent in agents if agent.trace.dataplane is verdict.dataplane))
    mode = reading.kube_proxy_mode
    return NodeDataplane(
        node=reading.node,
        family=family,
        dataplane=verdict.dataplane,
        is_readable=verdict.dataplane in READABLE,
        confidence=verdict.confidence,
        kube_proxy_mode=mode.value if isinstance(mode, Known) else None,
        backend=_backend_of(used),
        services=hints.services.value.get(family, 0) if isinstance(hints.services, Known) else None,
        evidence=(*verdict.evidence, *(piece for trace in own for piece in trace.evidence)),
        traces=own,
        leftovers=tuple(each for each in everything if each not in own and not _is_beside(each, agents)),
        others=find_others(reading, family),
    )


def list_gaps(
    reading: DataplaneReading, hints: DataplaneHints, nodes: Sequence[NodeDataplane]
) -> tuple[Gap, ...]:
    """Return what could not be read. That kube-proxy does not answer matters where its rules are in use, or nothing."""
    facts: list[tuple[str, Fact[Any]]] = [
        ("links", reading.links),
        *(
            (f"rules of iptables ({backend}), IPv{family}", fact)
            for (backend, family), fact in reading.saves.items()
        ),
        ("tables of nft", reading.nft),
        ("virtual servers of IPVS", reading.virtual_servers),
        ("names of ipsets", reading.ipsets),
        ("network agents on the node", hints.pods),
        ("Services", hints.services),
    ]
    if any(node.is_readable or node.dataplane in (Dataplane.NONE, Dataplane.UNKNOWN) for node in nodes):
        facts.append(("kube-proxy's mode (port 10249, /proxyMode)", reading.kube_proxy_mode))
    if any(node.dataplane is Dataplane.CILIUM or _has_cilium(node) for node in nodes):
        facts.append(("Cilium's kube-proxy-replacement", hints.kube_proxy_replacement))
    missing = (
        Gap(f"node/{reading.node}", what, fact.reason, fact.detail)
        for what, fact in facts
        if isinstance(fact, Unavailable)
    )
    return (*reading.gaps, *missing)


def _has_cilium(node: NodeDataplane) -> bool:
    return any(trace.dataplane is Dataplane.CILIUM for trace in (*node.traces, *node.leftovers))


def _judge(
    reading: DataplaneReading,
    hints: DataplaneHints,
    traces: Sequence[Trace],
    agents: Sequence[Agent],
    family: int,
) -> _Verdict:
    taker = next((agent for agent in agents if agent.replaces), None)
    if taker:
        return _Verdict(taker.trace.dataplane, Confidence.CERTAIN)
    verdict = _judge_kube_proxy(reading, hints, traces, family)
    open_agent = next((agent for agent in agents if agent.replaces is None), None)
    if open_agent is None:
        return verdict
    if verdict.dataplane in (Dataplane.NONE, Dataplane.UNKNOWN):
        return _Verdict(open_agent.trace.dataplane, Confidence.LIKELY)
    text = f"{open_agent.trace.dataplane} is there, too, and may take packets to Services before"
    return _Verdict(
        verdict.dataplane,
        Confidence.LIKELY,
        (*verdict.evidence, Evidence(source=open_agent.trace.evidence[0].source, text=text)),
    )


def _judge_kube_proxy(
    reading: DataplaneReading, hints: DataplaneHints, traces: Sequence[Trace], family: int
) -> _Verdict:
    reached = list(dict.fromkeys(trace.dataplane for trace in traces if trace.is_reached and _counts(trace)))
    said = reading.kube_proxy_mode
    evidence = tuple(_own_word(said, runs_kube_proxy(hints)))
    if isinstance(said, Known):
        mode = Dataplane(said.value)
        if mode in reached:
            return _Verdict(mode, Confidence.CERTAIN, evidence)
        if _is_unread(reading, traces, family, mode):
            return _Verdict(mode, Confidence.LIKELY, evidence)
    if len(reached) == 1:
        return _Verdict(reached[0], Confidence.LIKELY, evidence)
    if reached or _is_anything_unread(reading, traces, family):
        return _Verdict(Dataplane.UNKNOWN, Confidence.UNKNOWN, evidence)
    return _Verdict(Dataplane.NONE, Confidence.CERTAIN, evidence)


def _counts(trace: Trace) -> bool:
    """Rules of IPVS mode in iptables only go with virtual servers: they translate nothing themselves."""
    return trace.dataplane is not Dataplane.IPVS or not trace.place.startswith("iptables")


def _own_word(said: Fact[str], runs: bool | None) -> Iterator[Evidence]:
    if isinstance(said, Known):
        yield Evidence(source="kube-proxy, /proxyMode", text=said.value)
    elif runs:
        yield Evidence(source="API", text="a kube-proxy pod is on the node, but does not tell its mode")


def _is_anything_unread(reading: DataplaneReading, traces: Sequence[Trace], family: int) -> bool:
    return any(_is_unread(reading, traces, family, mode) for mode in READABLE)


def _is_unread(reading: DataplaneReading, traces: Sequence[Trace], family: int, mode: Dataplane) -> bool:
    """Whether something could not be read in which the rules of a mode would be."""
    saves: list[Fact[Any]] = [save for (_, of_family), save in reading.saves.items() if of_family == family]
    facts: dict[Dataplane, list[Fact[Any]]] = {
        Dataplane.IPTABLES: saves,
        Dataplane.NFTABLES: [reading.nft],
        Dataplane.IPVS: [reading.links, reading.virtual_servers],
    }
    in_part = any(
        trace.dataplane is mode and trace.is_reached is None and trace.place != "ipset" for trace in traces
    )
    return in_part or any(isinstance(fact, Unavailable) for fact in facts[mode])


def _used_traces(
    reading: DataplaneReading, verdict: _Verdict, traces: Sequence[Trace], family: int
) -> tuple[Trace, ...]:
    """Return the traces of the dataplane in use: of two backends of iptables, those of the one that is Kubernetes'."""
    own = [trace for trace in traces if trace.dataplane is verdict.dataplane]
    backends = [trace for trace in own if trace.place.startswith("iptables-")]
    if len(backends) < 2:
        return tuple(own)
    hinted = _hinted_place(reading, family)
    kept = min(backends, key=lambda trace: (not trace.is_reached, trace.place != hinted))
    return tuple(trace for trace in own if trace is kept or trace not in backends)


def _hinted_place(reading: DataplaneReading, family: int) -> str:
    """Return the backend that has the kubelet's mark, else nft: as iptables-wrapper chooses (detect.go)."""
    for backend in (XtablesBackend.NFT, XtablesBackend.LEGACY):
        save = reading.saves.get((backend, family))
        mangle = save.value.tables.get("mangle") if isinstance(save, Known) else None
        if mangle and any(name in mangle.chains for name in _HINT_CHAINS):
            return f"iptables-{backend.value}"
    return f"iptables-{XtablesBackend.NFT.value}"


def _backend_of(traces: Sequence[Trace]) -> XtablesBackend | None:
    places = {f"iptables-{backend.value}": backend for backend in XtablesBackend}
    return next((places[trace.place] for trace in traces if trace.place in places), None)


def _is_beside(trace: Trace, agents: Sequence[Agent]) -> bool:
    """Whether a dataplane that runs without taking packets to Services: a CNI beside kube-proxy is no leftover."""
    agent = next((each for each in agents if each.trace is trace), None)
    return agent is not None and agent.is_running is not False

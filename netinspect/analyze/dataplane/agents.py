"""Dataplanes that are not kube-proxy's, recognised by their links and pods: they work in eBPF maps or Open vSwitch.

Names of links: cilium (pkg/defaults), felix (dataplane/linux/dataplane_defs.go), ovn-kubernetes (types/const.go),
antrea (agent/config). Labels of pods: the manifests of these projects.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from netinspect.models.dataplane import AgentPod, Dataplane, DataplaneHints, DataplaneReading, Trace
from netinspect.models.fact import Known
from netinspect.models.finding import Evidence
from netinspect.models.kubernetes import Pod

KUBE_PROXY = "kube-proxy"

_ANETD = "anetd"
# Which agent a label of a pod stands for.
_LABELS = {
    ("k8s-app", "kube-proxy"): KUBE_PROXY,
    ("component", "kube-proxy"): KUBE_PROXY,
    ("k8s-app", "cilium"): "cilium",
    ("k8s-app", "calico-node"): "calico-node",
    ("app", "ovnkube-node"): "ovnkube-node",
    ("component", "antrea-agent"): "antrea-agent",
    ("k8s-app", "kube-router"): "kube-router",
}
POD_SELECTORS = (
    "k8s-app in (kube-proxy,cilium,calico-node,kube-router)",
    "component in (kube-proxy,antrea-agent)",
    "app=ovnkube-node",
)
"""What selects the pods of these agents, and no others: three lists, short ones in any cluster."""

CILIUM_AGENTS = ("cilium", _ANETD)

_LINKS = {
    Dataplane.CILIUM: ("cilium_host", "cilium_net"),
    Dataplane.CALICO_EBPF: ("bpfin.cali", "bpfout.cali", "bpfnatin", "bpfnatout"),
    Dataplane.OVN_KUBERNETES: ("ovn-k8s-mp0",),
    Dataplane.ANTREA: ("antrea-gw0",),
}
_AGENTS = {
    Dataplane.CILIUM: CILIUM_AGENTS,
    Dataplane.CALICO_EBPF: ("calico-node",),
    Dataplane.OVN_KUBERNETES: ("ovnkube-node",),
    Dataplane.ANTREA: ("antrea-agent",),
}
_REPLACES = {"true": True, "strict": True, "false": False, "disabled": False}
"""Cilium's kube-proxy-replacement: `true` and `false` since 1.14, the other words before. `partial` and `probe` leave
open what is replaced."""


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """A dataplane that is not kube-proxy's.

    Attributes:
        trace: what shows it.
        replaces: whether it takes packets to Services in kube-proxy's place; None where that is not known.
        is_running: whether its pod is on the node; None where the API would not tell.
    """

    trace: Trace
    replaces: bool | None
    is_running: bool | None


def find_agents(reading: DataplaneReading, hints: DataplaneHints) -> tuple[Agent, ...]:
    """Return the dataplanes of others that have links on the node."""
    names = [link.ifname for link in reading.links.value] if isinstance(reading.links, Known) else []
    return tuple(
        _build(dataplane, found, hints)
        for dataplane, links in _LINKS.items()
        if (found := [name for name in names if name in links])
    )


def find_agent_pods(pods: tuple[Pod, ...]) -> tuple[AgentPod, ...]:
    """Return the pods that are network agents, by their labels."""
    return tuple(_agent_pods(pods))


def runs_kube_proxy(hints: DataplaneHints) -> bool | None:
    """Whether the API knows a kube-proxy pod on the node. It may also run as a plain process: False proves nothing."""
    return _is_running(hints, (KUBE_PROXY,))


def _agent_pods(pods: tuple[Pod, ...]) -> Iterator[AgentPod]:
    for pod in pods:
        meta = pod.metadata
        agents = [_LABELS[item] for item in meta.labels.items() if item in _LABELS]
        if agents and not pod.is_completed:
            # GKE's Dataplane V2 is Cilium under another name, with Cilium's label.
            agent = _ANETD if meta.name.startswith("anetd-") else agents[0]
            yield AgentPod(agent=agent, namespace=meta.namespace, name=meta.name)


def _build(dataplane: Dataplane, links: list[str], hints: DataplaneHints) -> Agent:
    pods = [pod for pod in _pods(hints) if pod.agent in _AGENTS[dataplane]]
    is_running = _is_running(hints, _AGENTS[dataplane])
    setting = hints.kube_proxy_replacement
    evidence = [Evidence(source="ip addr show", text=f"links {', '.join(links)}")]
    evidence += [Evidence(source="API", text=f"pod {pod.namespace}/{pod.name}") for pod in pods[:1]]
    if dataplane is Dataplane.CILIUM and isinstance(setting, Known) and setting.value:
        text = f"kube-proxy-replacement: {setting.value}"
        evidence.append(Evidence(source="ConfigMap cilium-config", text=text))
    if any(pod.agent == _ANETD for pod in pods):
        dataplane = Dataplane.GKE_DATAPLANE_V2
    if is_running is False:
        evidence.append(Evidence(source="API", text="no pod of it is on the node"))
    return Agent(
        trace=Trace(dataplane=dataplane, place=f"link {links[0]}", evidence=tuple(evidence)),
        replaces=False if is_running is False else _replaces(dataplane, hints),
        is_running=is_running,
    )


def _replaces(dataplane: Dataplane, hints: DataplaneHints) -> bool | None:
    if dataplane is Dataplane.CILIUM:
        setting = hints.kube_proxy_replacement
        return _REPLACES.get(setting.value or "") if isinstance(setting, Known) else None
    # AntreaProxy takes ClusterIPs from pods; the rest only with proxyAll, which nothing on the node tells.
    return None if dataplane is Dataplane.ANTREA else True


def _pods(hints: DataplaneHints) -> tuple[AgentPod, ...]:
    return hints.pods.value if isinstance(hints.pods, Known) else ()


def _is_running(hints: DataplaneHints, agents: tuple[str, ...]) -> bool | None:
    if not isinstance(hints.pods, Known):
        return None
    return any(pod.agent in agents for pod in hints.pods.value)

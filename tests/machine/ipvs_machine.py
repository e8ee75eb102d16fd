"""A machine in which the test bench's own kube-proxy runs in ipvs mode: this machine's kernel has no IPVS.

It plays one of the bench's nodes: kube-proxy is told that node's name, and the node's addresses are on a link. So the
API needs no object more, and what is local to the node is local here. kube-proxy reaches the API server, which listens
on this machine's loopback, by qemu's user network; its host is the only neighbour, there is no default route.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

import msgspec
import yaml

from tests.cluster.bench import golang, kubeconfig, paths, pki, topology
from tests.machine.machine import Machine, MachineError, MachineOptions, booted

HOST = "10.0.2.2"
SECOND = ("192.168.77.11/24", "fd00:77::11/64")
_SETTINGS = "/run/kubernetes"
_LOG = "/run/kube-proxy.log"
_METRICS = "http://127.0.0.1:10249/metrics"
_TIMES = re.compile(
    r"^kubeproxy_sync_proxy_rules_last_(queued_)?timestamp_seconds\{ip_family=\"(IPv[46])\"\} (\S+)$",
    re.MULTILINE,
)
# What kube-proxy asks of a node beside its network, and its own programs (kubernetes, pkg/proxy/ipvs/README.md).
_PREPARE = f"""
modprobe -a virtio_net dummy ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh nf_conntrack br_netfilter
mkdir -p {_SETTINGS} /run/programs /run/settings
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 programs /run/programs
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose settings /run/settings
ip link set "$(basename "$(ls -d /sys/bus/virtio/drivers/virtio_net/virtio*/net/*)")" name api0
ip addr add 10.0.2.15/24 dev api0
ip link set api0 up
"""
TOOLS = {
    "ipvsadm-save": "ipvsadm -Sn",
    "ipvsadm-list": "ipvsadm -Ln",
    "ipvsadm-stats": "ipvsadm -Ln --stats",
    "ipvsadm-rate": "ipvsadm -Ln --rate",
    "ipset-save": "ipset save",
    "iptables-save": "iptables-save -c",
    "ip6tables-save": "ip6tables-save -c",
    "ip-addr": "ip -j -d addr show",
}


class ToolTexts(msgspec.Struct, frozen=True, kw_only=True):
    """What the node's tools said, one right after the other: see `TOOLS`."""

    ipvsadm_save: bytes
    ipvsadm_list: bytes
    ipvsadm_stats: bytes
    ipvsadm_rate: bytes
    ipset_save: bytes
    iptables_save: bytes
    ip6tables_save: bytes
    ip_addr: bytes


class IpvsMachine:
    """The machine, and kube-proxy in it.

    Attributes:
        machine: for whatever else is asked of it.
        node: the node that it plays.
    """

    def __init__(self, machine: Machine, node: topology.Node) -> None:
        self.machine = machine
        self.node = node

    def read_tools(self) -> ToolTexts:
        """Ask every tool of TOOLS. What it says may be older than the API: `wait_until` first."""
        texts = {name.replace("-", "_"): self.machine.check(command) for name, command in TOOLS.items()}
        return ToolTexts(**texts)

    def wait_until(self, is_there: Callable[[ToolTexts], bool], timeout_s: float = 300) -> ToolTexts:
        """Wait until kube-proxy has written what is expected and has nothing more to write, and return all texts.

        Virtual servers come first, ipsets and rules up to half a minute later, and the two families one after the
        other: so `is_there` is asked again once kube-proxy itself says that its last sync is done.

        Raises:
            MachineError: it did not come; with the end of kube-proxy's log.
        """
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if self.is_synced():
                texts = self.read_tools()
                if is_there(texts) and self.is_synced():
                    return texts
            time.sleep(1)
        raise MachineError(
            f"kube-proxy did not write what is expected within {timeout_s:g} s:\n{self.log()[-4000:]}"
        )

    def is_synced(self) -> bool:
        """Whether both families were written after the last change that kube-proxy knows of."""
        said = self.machine.shell(f"curl -s --max-time 5 {_METRICS}").stdout.decode()
        times = {(family, bool(queued)): float(at) for queued, family, at in _TIMES.findall(said)}
        families = {family for family, _ in times}
        return families == {"IPv4", "IPv6"} and all(
            times.get((family, False), 0.0) >= times.get((family, True), 0.0) for family in families
        )

    def log(self) -> str:
        """Return kube-proxy's log."""
        return self.machine.shell(f"cat {_LOG}").stdout.decode("utf-8", "replace")


@contextmanager
def booted_ipvs(
    node: topology.Node = topology.NODE_A,
    *,
    program: Path | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Iterator[IpvsMachine]:
    """Boot the machine, and return as soon as kube-proxy runs in it (`IpvsMachine.wait_until` waits for its rules).

    Args:
        node: the node that it plays.
        program: the kube-proxy; None is the cluster's own.
        extra: what it is told beyond the bench's configuration, in KubeProxyConfiguration's words.

    Raises:
        MachineError: it did not come up.
    """
    kube_proxy = program or golang.kubernetes_bin() / "kube-proxy"
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder)
        _write_settings(settings, node, extra or {})
        folders = {"programs": kube_proxy.parent, "settings": settings}
        options = MachineOptions(memory_mib=2048, folders=folders, has_network=True)
        with booted(options) as machine:
            machine.check(_PREPARE)
            machine.check(_make_links(node))
            started = f"/run/programs/{kube_proxy.name} --config=/run/settings/kube-proxy.yaml"
            machine.check(f"{started} >{_LOG} 2>&1 </dev/null &")
            yield IpvsMachine(machine, node)


def _make_links(node: topology.Node) -> str:
    """The node's own link and its bridge of pods, as far as their addresses matter; and one that has none of the API's.

    The links that kube-proxies of other modes are captured with have the same names and addresses.
    """
    links = {
        "eth0": ("dummy", f"{node.v4}/{topology.V4_PREFIX}", f"{node.v6}/{topology.V6_PREFIX}"),
        "eth1": ("dummy", *SECOND),
        "cni0": ("bridge", f"10.244.{node.number}.1/24", f"fd00:10:244:{node.number}::1/64"),
    }
    lines = [f"hostname {node.name}"]
    for link, (kind, v4, v6) in links.items():
        lines += [f"ip link add {link} type {kind}", f"ip addr add {v4} dev {link}"]
        lines += [f"ip addr add {v6} dev {link} nodad", f"ip link set {link} up"]
    return "\n".join(lines)


def _write_settings(folder: Path, node: topology.Node, extra: Mapping[str, Any]) -> None:
    """Write kube-proxy's configuration: the nodes' own but for the mode, and for where the API is."""
    server = json.loads(paths.kubeconfig().read_text())["clusters"][0]["cluster"]["server"]
    file = folder / "kube-proxy.conf"
    kubeconfig.write(file, f"https://{HOST}:{urlsplit(server).port}", pki.PROXY)
    access = json.loads(file.read_text())
    access["clusters"][0]["cluster"]["tls-server-name"] = "localhost"
    file.write_text(json.dumps(access))
    template = Template((paths.TEMPLATES / "kube-proxy.yaml").read_text())
    text = template.substitute(mode="ipvs", node=node.name, pod_cidrs=topology.POD_CIDRS)
    told = yaml.safe_load(text.replace("/etc/kubernetes/", "/run/settings/"))
    # JSON is YAML too.
    (folder / "kube-proxy.yaml").write_text(json.dumps({**told, **extra}))


def serves(texts: ToolTexts, services: Iterable[dict[str, Any]]) -> bool:
    """Whether the texts have a virtual server, and a member of KUBE-CLUSTER-IP, for every port of API Services.

    Services without a ClusterIP, and those that another proxy is to serve, are passed over.
    """
    for service in services:
        spec, labels = service["spec"], service["metadata"].get("labels", {})
        if "service.kubernetes.io/service-proxy-name" in labels:
            continue
        for address in spec.get("clusterIPs", []):
            for port in spec.get("ports", []) if address != "None" else []:
                if not _is_served(texts, address, port["protocol"].lower(), port["port"]):
                    return False
    return True


def _is_served(texts: ToolTexts, address: str, protocol: str, port: int) -> bool:
    option = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}[protocol]
    end, name = (f"[{address}]", "KUBE-6-CLUSTER-IP") if ":" in address else (address, "KUBE-CLUSTER-IP")
    return (
        f"-A {option} {end}:{port} ".encode() in texts.ipvsadm_save
        and f"add {name} {address},{protocol}:{port}\n".encode() in texts.ipset_save
    )

"""A node's sandbox: containerd, kubelet and kube-proxy, each finding its files at the places of a real node.

The node has its own /etc (an overlay on the machine's), /var, /run, /proc and /sys.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import NoReturn

from tests.cluster.bench import golang, host, images, kubeconfig, node_mounts, paths, pki
from tests.cluster.bench.sandbox import Gate
from tests.cluster.bench.shell import BenchError, run
from tests.cluster.bench.supervisor import Service, Supervisor
from tests.cluster.bench.topology import (
    API_PORT,
    CLUSTER_DOMAIN,
    CONTROL_PLANE_V4,
    DNS_V4,
    NODE_A,
    NODES,
    POD_CIDRS,
    Node,
)

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
KUBELET_CERTIFICATE = "/etc/kubernetes/pki/kubelet.crt"
KUBELET_KEY = "/etc/kubernetes/pki/kubelet.key"
AUTHORITY = "/etc/kubernetes/pki/ca.crt"


def logs(node: Node) -> Path:
    """The folder of the daemons' logs, seen from the machine."""
    return paths.sandbox(node.name) / "var" / "log"


def write_files(node: Node) -> None:
    """Write what the node's /etc has beyond the machine's, and the skeleton of its /var."""
    node_mounts.make_var(node.name)
    etc = node_mounts.own_etc(node.name)
    _write_identity(etc, node)
    _write_pki(etc, node)
    values = _template_values(node)
    for template, target in (
        ("containerd.toml", "containerd/config.toml"),
        ("pods.conflist", "cni/net.d/10-pods.conflist"),
        ("kubelet.yaml", "kubernetes/kubelet.yaml"),
        ("kube-proxy.yaml", "kubernetes/kube-proxy.yaml"),
    ):
        _write(etc / target, _render(template, values))
    (etc / "kubernetes" / "manifests").mkdir()
    if node == NODE_A:
        _write(etc / "kubernetes" / "manifests" / "static-web.yaml", _render("static-web.yaml", values))
    server = f"https://{CONTROL_PLANE_V4}:{API_PORT}"
    kubeconfig.write(etc / "kubernetes" / "kubelet.conf", server, pki.kubelet(node))
    kubeconfig.write(etc / "kubernetes" / "kube-proxy.conf", server, pki.PROXY)


def run_init(gate: Gate, node: Node, archives: Sequence[Path]) -> NoReturn:
    """The sandbox's init: containerd and its images first, then, once the API is ready, the rest."""
    # Settled before the mounts: a checkout below /var is out of sight afterwards.
    needs_api = (_kubelet(node), _kube_proxy())
    socket.sethostname(node.name)
    node_mounts.mount_all(node.name)
    supervisor = Supervisor(Path("/var/log"))
    supervisor.start(Service("containerd", ["containerd", "--config=/etc/containerd/config.toml"]))
    _import_images(archives)
    gate.wait()
    supervisor.start(*needs_api)
    supervisor.run()


def _kubelet(node: Node) -> Service:
    return Service(
        "kubelet",
        [
            _program("kubelet"),
            "--config=/etc/kubernetes/kubelet.yaml",
            "--kubeconfig=/etc/kubernetes/kubelet.conf",
            f"--hostname-override={node.name}",
            f"--node-ip={node.v4},{node.v6}",
        ],
    )


def _kube_proxy() -> Service:
    return Service(
        "kube-proxy",
        [_program("kube-proxy"), "--config=/etc/kubernetes/kube-proxy.yaml"],
    )


def _import_images(archives: Sequence[Path]) -> None:
    """Import every image before the kubelet starts: a pod that does not find its image waits 10 s to look again."""
    ctr = ["ctr", f"--address={CONTAINERD_SOCKET}", "--namespace=k8s.io"]
    deadline = time.monotonic() + 60
    while not Path(CONTAINERD_SOCKET).exists():
        if time.monotonic() > deadline:
            raise BenchError("containerd opens no socket")
        time.sleep(0.05)
    for archive in archives:
        run([*ctr, "images", "import", node_mounts.inside(archive)])


def _program(name: str) -> Path:
    return node_mounts.inside(golang.kubernetes_bin() / name)


def _write_identity(etc: Path, node: Node) -> None:
    _write(etc / "hostname", f"{node.name}\n")
    names = [f"{address} {each.name}" for each in NODES for address in (each.v4, each.v6)]
    _write(etc / "hosts", "\n".join(["127.0.0.1 localhost", "::1 localhost", *names, ""]))
    # Two nodes with one machine id look like one machine to whoever reads Node objects.
    _write(etc / "machine-id", f"{uuid.uuid5(uuid.NAMESPACE_DNS, node.name).hex}\n")
    _write(etc / "resolv.conf", "# no resolver: nothing outside the cluster can be asked\n")


def _write_pki(etc: Path, node: Node) -> None:
    certificate = pki.kubelet(node).file
    for source, target in (
        (pki.certificate_file(certificate), KUBELET_CERTIFICATE),
        (pki.key_file(certificate), KUBELET_KEY),
        (pki.certificate_file(pki.AUTHORITY), AUTHORITY),
    ):
        _write(etc / Path(target).relative_to("/etc"), source.read_text())


def _template_values(node: Node) -> dict[str, str]:
    return {
        "pause": images.PAUSE,
        "web": images.WEB,
        "cni_bin": str(host.cni_bin()),
        "pods_v4": node.pods_v4,
        "pods_v6": node.pods_v6,
        "pod_cidrs": POD_CIDRS,
        "dns_v4": DNS_V4,
        "cluster_domain": CLUSTER_DOMAIN,
        "ca": AUTHORITY,
        "certificate": KUBELET_CERTIFICATE,
        "key": KUBELET_KEY,
        "mode": node.proxy_mode,
        "node": node.name,
    }


def _render(template: str, values: dict[str, str]) -> str:
    return Template((paths.TEMPLATES / template).read_text()).substitute(values)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

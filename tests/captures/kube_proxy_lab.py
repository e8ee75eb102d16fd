"""A kube-proxy of any version on a node of its own: what it writes, and what it was told.

The API is a bench of its own (etcd and kube-apiserver only, beside a test cluster that may run), so that its objects
are those of the capture and no others, and nobody's cluster gets a node or a thousand endpoints. The node is a network
namespace with a link to it. Both end with this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.captures.kube_proxy_ready import ask, wait_until, wait_until_whole
from tests.cluster.bench import cgroups, control_plane, host, kubeconfig, network, paths, pki, sandbox
from tests.cluster.bench.kubectl import items, kubectl
from tests.cluster.bench.shell import BenchError
from tests.cluster.bench.topology import (
    API_PORT,
    CONTROL_PLANE,
    CONTROL_PLANE_V4,
    CONTROL_PLANE_V6,
    NODE_A,
    NODES,
    POD_CIDRS,
    V4_PREFIX,
    V6_PREFIX,
    Node,
)
from tests.cluster.service_shape import LOCAL_ZONE, OTHER_ZONE, ZONE_LABEL, Shape, as_list, objects, statuses
from tests.netns.world import Netns, new_world, run, wait_for_carrier

NODE = NODE_A
NAMESPACE = "shapes"
# Where kube-proxy finds its files, in a mount namespace of its own: what it says of itself names no folder of ours.
_PROGRAMS = Path("/run/kubernetes/bin")
CONFIGURATION, CREDENTIALS = Path("/run/kubernetes/kube-proxy.yaml"), Path("/run/kubernetes/kube-proxy.conf")
# Beside eth0 and the pods' bridge: a link that node ports may be wanted on or not.
SECOND_V4, SECOND_V6 = "192.168.77.11", "fd00:77::11"


@dataclass(frozen=True)
class Setting:
    """One kube-proxy to run: its program, what it is told beyond the bench's own configuration, and its iptables."""

    program: Path
    mode: str
    extra: dict[str, Any]
    is_legacy: bool = False

    @property
    def saves(self) -> tuple[str, str]:
        """The programs that print its iptables' rules, of each family."""
        backend = "-legacy" if self.is_legacy else ""
        return f"iptables{backend}-save", f"ip6tables{backend}-save"

    @property
    def configuration(self) -> dict[str, Any]:
        """Return the KubeProxyConfiguration, in the words that every version knows."""
        untouched = {"tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": self.mode,
            "clientConnection": {"kubeconfig": str(CREDENTIALS)},
            "hostnameOverride": NODE.name,
            "clusterCIDR": POD_CIDRS,
            "detectLocalMode": "ClusterCIDR",
            "oomScoreAdj": 0,
            "conntrack": {"maxPerCore": 0, "min": 0, **untouched},
            **self.extra,
        }


class Lab:
    """An API server with no node but those that are made by hand."""

    def __init__(self, box: sandbox.Sandbox, folder: Path) -> None:
        self._box = box
        self.folder = folder
        kubectl("create", "namespace", NAMESPACE)
        zones = (LOCAL_ZONE, OTHER_ZONE)
        made = [_node_object(node, zone) for node, zone in zip(NODES, zones, strict=True)]
        kubectl("create", "-f", "-", stdin=as_list(made))

    @contextmanager
    def services(self, shapes: Sequence[Shape]) -> Iterator[None]:
        """Have these Services, and none but the API's own beside them, while the block runs."""
        kubectl("create", "-f", "-", stdin=as_list(objects(shapes)), timeout=60)
        if published := statuses(shapes):
            flags = ("--server-side", "--force-conflicts", "--subresource=status")
            kubectl("apply", *flags, "-f", "-", stdin=as_list(published), timeout=60)
        try:
            yield
        finally:
            kubectl("delete", "services,endpointslices", "--all", "-n", NAMESPACE, timeout=60)

    @contextmanager
    def node(self) -> Iterator[Netns]:
        """Give a fresh network namespace with the node's addresses, joined to the API server."""
        with new_world() as world:
            self._wire(world.node)
            try:
                yield world.node
            finally:
                # It would go with the namespace, but a while later: the next node has the same name.
                self._ip(f"link delete {NODE.name}")

    def _wire(self, node: Netns) -> None:
        self._ip(f"link add {NODE.name} type veth peer name eth0 netns {node.pid}")
        self._ip(f"link set {NODE.name} master {network.BRIDGE} up")
        node.enter("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        for line in _node_lines():
            node.ip(line)
        wait_for_carrier(node, "eth0")

    def _ip(self, command: str) -> None:
        self._box.enter("ip", *command.split())

    @contextmanager
    def kube_proxy(self, node: Netns, setting: Setting) -> Iterator[Path]:
        """Run a kube-proxy on the node until its rules are whole, and on while the block runs; gives its log."""
        server = f"https://{CONTROL_PLANE_V4}:{API_PORT}"
        kubeconfig.write(self.folder / CREDENTIALS.name, server, pki.PROXY)
        (self.folder / CONFIGURATION.name).write_text(json.dumps(setting.configuration))
        _choose_iptables(self.folder / _PROGRAMS.name, setting)
        log = self.folder / "kube-proxy.log"
        # A /run of its own: the lock of iptables there is the machine's.
        script = 'mount -t tmpfs tmpfs /run && mkdir "$1" && mount --no-mtab --bind "$2" "$1" && shift 2 && exec "$@"'
        argv = ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net=/proc/{node.pid}/ns/net"]
        argv += ["unshare", "--mount", "sh", "-c", script, "sh", str(CONFIGURATION.parent), str(self.folder)]
        argv += [str(setting.program), f"--config={CONFIGURATION}"]
        with log.open("wb") as output:
            env = {**os.environ, "PATH": f"{_PROGRAMS}:{os.environ['PATH']}"}
            process = subprocess.Popen(argv, stdout=output, stderr=output, env=env)
        try:
            wait_until_whole(node, process, log, setting.saves)
            yield log
        finally:
            process.kill()
            process.wait()


@contextmanager
def new_lab() -> Iterator[Lab]:
    """Start an API server of its own, and end it and remove its files."""
    host.prepare()
    before = os.environ.get("NETINSPECT_BENCH_STATE")
    folder = Path(tempfile.mkdtemp(prefix="netinspect-lab-"))
    os.environ["NETINSPECT_BENCH_STATE"] = str(folder / "state")
    try:
        yield Lab(_start_api(), folder)
    finally:
        running = sandbox.find(CONTROL_PLANE)
        if running:
            running.end()
        cgroups.remove()
        shutil.rmtree(folder)
        del os.environ["NETINSPECT_BENCH_STATE"]
        if before is not None:
            os.environ["NETINSPECT_BENCH_STATE"] = before


def record(node: Netns, setting: Setting) -> dict[str, str]:
    """Return by file name all that a capture holds: rules, addresses, what kube-proxy says, and the API's objects."""
    save, save6 = setting.saves
    return {
        "iptables-save.txt": node.enter(save, "-c").decode(),
        "ip6tables-save.txt": node.enter(save6, "-c").decode(),
        "nft.json": node.enter("nft", "-j", "list", "ruleset").decode(),
        "addresses.json": node.enter("ip", "-j", "addr").decode(),
        "configz.json": ask(node, "/configz"),
        "proxy-mode.txt": ask(node, "/proxyMode"),
        "services.json": _listing("services"),
        "endpointslices.json": _listing("endpointslices"),
        "nodes.json": _listing("nodes"),
    }


def _choose_iptables(folder: Path, setting: Setting) -> None:
    """Make a folder in which the names of iptables' programs lead to the wanted backend's."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    backend = "legacy" if setting.is_legacy else "nft"
    for family in ("iptables", "ip6tables"):
        for ending in ("", "-save", "-restore"):
            (folder / f"{family}{ending}").symlink_to(f"/usr/sbin/{family}-{backend}{ending}")


def _start_api() -> sandbox.Sandbox:
    paths.state().mkdir(mode=0o700)
    pki.make_all()
    control_plane.write_files()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kubeconfig.write(paths.kubeconfig(), f"https://127.0.0.1:{listener.getsockname()[1]}", pki.ADMIN)
        number = listener.fileno()
        box, gate = sandbox.launch(
            CONTROL_PLANE, lambda gate: control_plane.run_init(gate, number), keep=[number]
        )
    network.wire(box, {})
    # The second gate, before the controllers, stays shut: nothing is to change what is made by hand.
    gate.open()
    wait_until("the API server", _api_answers)
    return box


def _api_answers() -> bool:
    """Whether the API is ready, and has made its own namespaces."""
    with contextlib.suppress(BenchError):
        return kubectl("get", "--raw=/readyz", timeout=5) == "ok" and bool(
            kubectl("get", "namespace", "default", timeout=5)
        )
    return False


def _node_lines() -> Iterator[str]:
    yield "link set lo up"
    yield "link set eth0 address 02:00:00:00:00:01"
    yield f"addr add {NODE.v4}/{V4_PREFIX} dev eth0"
    yield f"addr add {NODE.v6}/{V6_PREFIX} dev eth0 nodad"
    yield "link set eth0 up"
    yield f"route add default via {CONTROL_PLANE_V4}"
    yield f"route add default via {CONTROL_PLANE_V6}"
    # This kernel has no dummy links; a bridge without ports can carry an address as well.
    pods = ("10.244.1.1/24", "fd00:10:244:1::1/64")
    second = (f"{SECOND_V4}/24", f"{SECOND_V6}/64")
    for number, (link, addresses) in enumerate({"cni0": pods, "eth1": second}.items(), 2):
        yield f"link add {link} address 02:00:00:00:00:0{number} type bridge"
        for address in addresses:
            yield f"addr add {address} dev {link}{' nodad' if ':' in address else ''}"
        yield f"link set {link} up"


def _node_object(node: Node, zone: str) -> dict[str, Any]:
    addresses = [{"type": "InternalIP", "address": address} for address in (node.v4, node.v6)]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": {ZONE_LABEL: zone, "kubernetes.io/hostname": node.name}},
        "spec": {"podCIDR": node.pods_v4, "podCIDRs": [node.pods_v4, node.pods_v6]},
        "status": {"addresses": addresses},
    }


def _listing(kind: str) -> str:
    """Return all objects of a kind as the API gives them, one a line, without what only its writers need."""
    lines = []
    for each in items(kind, timeout=60):
        each["metadata"].pop("managedFields", None)
        lines.append(json.dumps(each, separators=(",", ":")))
    return '{"items":[\n' + ",\n".join(lines) + "\n]}\n"


def version_line(*argv: str) -> str:
    """Return the first line of what a program says of its version."""
    return run(*argv).decode().partition("\n")[0].strip()

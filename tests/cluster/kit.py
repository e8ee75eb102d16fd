"""A real cluster as the tests handle it: kubectl, the plugin run through kubectl, and witnesses on the nodes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

BENCH_IMAGE = "netinspect.test/node-tools:1"
_SELECTOR = "app.kubernetes.io/managed-by=kubectl-netinspect"


@dataclass(frozen=True)
class Ran:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as JSON."""
        return json.loads(self.out)

    def ok(self) -> Ran:
        """Return the same, after making sure that the command succeeded."""
        assert self.code == 0, f"exit code {self.code}\n{self.out}\n{self.err}"
        return self


class Cluster:
    """One cluster, and how to reach it."""

    def __init__(self, kubeconfig: str, image: str, namespace: str, path: str) -> None:
        self.kubeconfig = kubeconfig
        self.image = image
        self.namespace = namespace
        self.env = {**os.environ, "KUBECONFIG": kubeconfig, "PATH": path, "NETINSPECT_IMAGE": image}
        # The cluster may be somebody's own, with debug pods of others: ours are made and looked for apart.
        self.env["NETINSPECT_DEBUG_NAMESPACE"] = namespace
        self.env.pop("NO_COLOR", None)

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> Ran:
        """Run kubectl."""
        done = subprocess.run(
            ["kubectl", *arguments], input=stdin, capture_output=True, text=True, env=self.env, timeout=180
        )
        ran = Ran(done.returncode, done.stdout, done.stderr)
        return ran.ok() if check else ran

    def get(self, *arguments: str) -> Any:
        """Return what `kubectl get ... -o json` prints."""
        return self.kubectl("get", *arguments, "-o", "json").json

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or change objects."""
        self.kubectl(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def netinspect(
        self, *arguments: str, stdin: bytes | None = None, env: dict[str, str] | None = None
    ) -> Ran:
        """Run the plugin as a user does: `kubectl netinspect ...`."""
        done = subprocess.run(
            ["kubectl", "netinspect", *arguments],
            input=stdin if stdin is not None else b"",
            capture_output=True,
            env={**self.env, **(env or {})},
            timeout=180,
        )
        return Ran(
            done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        )

    def start(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start the plugin and return while it works, in a process group of its own."""
        return subprocess.Popen(
            ["kubectl", "netinspect", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.env, **(env or {})},
            start_new_session=True,
        )

    def nodes(self) -> list[str]:
        """Return the names of the nodes."""
        return [node["metadata"]["name"] for node in self.get("nodes")["items"]]

    def debug_pods(self) -> list[tuple[str, str]]:
        """Return namespace and name of every debug pod of the tests."""
        items = self.get("pods", "-n", self.namespace, "-l", _SELECTOR)["items"]
        return [(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in items]

    def wait_for_debug_pod(self, timeout_s: float = 20) -> str:
        """Return the name of a debug pod as soon as there is one."""
        name: str = self.until(lambda: next((name for _, name in self.debug_pods()), None), timeout_s)
        return name

    def until(self, probe: Any, timeout_s: float = 60) -> Any:
        """Call `probe` until it returns something true, and return that."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if value := probe():
                return value
            time.sleep(0.1)
        raise AssertionError(f"nothing came within {timeout_s} s")

    # Witnesses: plain privileged pods made by kubectl, which share no code with what they witness.

    def start_observers(self) -> None:
        """Run a privileged host-network pod on each node."""
        self.apply(*(_observer(node, self.image, self.namespace) for node in self.nodes()))
        for node in self.nodes():
            self.kubectl("wait", "--for=condition=Ready", f"pod/{observer_name(node)}", "-n", self.namespace)

    def on_node(self, node: str, *command: str) -> str:
        """Run a command in the node's network and PID namespaces, and return its stdout."""
        return self.kubectl("exec", "-n", self.namespace, observer_name(node), "--", *command).out

    def tx_packets(self, node: str) -> dict[str, int]:
        """Return each node link's count of packets sent (/proc/net/dev, column 10)."""
        lines = self.on_node(node, "cat", "/proc/net/dev").splitlines()[2:]
        split = (line.replace(":", " ").split() for line in lines)
        return {words[0]: int(words[10]) for words in split}

    def link_that_moves(self, node: str, address: str, count: int = 150) -> str:
        """Ping a pod from its node and return the one port that sent it all those packets."""
        before = self.tx_packets(node)
        self.on_node(node, "ping", "-q", "-i", "0.005", "-c", str(count), address)
        after = self.tx_packets(node)
        moved = {name: after[name] - before.get(name, 0) for name in after}
        bridges = set(re.findall(r"master (\S+)", self.on_node(node, "ip", "-o", "link"))) | {"lo"}
        candidates = [name for name, sent in moved.items() if sent >= count and name not in bridges]
        assert len(candidates) == 1, f"{address}: {moved}"
        return candidates[0]


def interrupt(process: subprocess.Popen[bytes], signum: int = signal.SIGINT, timeout_s: float = 30) -> Ran:
    """Send a signal to the plugin and wait for its end. (kubectl has replaced itself by the plugin: exec.)"""
    process.send_signal(signum)
    out, err = process.communicate(timeout=timeout_s)
    return Ran(process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def pods_with_own_netns(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep running pods that do not share their node's network."""
    return [
        pod
        for pod in items
        if pod["status"].get("podIPs")
        and not pod["spec"].get("hostNetwork")
        and pod["status"]["phase"] == "Running"
    ]


def observer_name(node: str) -> str:
    """Return the name of the witness on a node."""
    return f"observer-{node}"


def _observer(node: str, image: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": observer_name(node), "namespace": namespace},
        "spec": {
            "nodeName": node,
            "hostNetwork": True,
            "hostPID": True,
            "tolerations": [{"operator": "Exists"}],
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "observer",
                    "image": image,
                    "command": ["sleep", "86400"],
                    "securityContext": {"privileged": True},
                }
            ],
        },
    }

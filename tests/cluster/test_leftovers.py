"""No debug pod stays behind, whatever ends the command. (Each test's end checks it: conftest.)"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from netinspect.cluster.debug_pod import DebugPod, build_debug_pod, format_time
from netinspect.models.debug_pod import Privilege
from tests.cluster.kit import Cluster, interrupt
from tests.cluster.test_veth import simple_pod

pytestmark = pytest.mark.cluster

UNPULLABLE = "netinspect.test/no-such-image:0"


@pytest.fixture(scope="module")
def pod(cluster: Cluster) -> str:
    """A pod to look at."""
    cluster.apply(simple_pod(cluster, "looked-at"))
    cluster.kubectl(
        "wait", "-n", cluster.namespace, "--for=condition=Ready", "pod/looked-at", "--timeout=60s"
    )
    return "looked-at"


def test_after_success_the_debug_pod_is_gone(cluster: Cluster, pod: str) -> None:
    """The pod is deleted before the command ends."""
    cluster.netinspect("veth", pod, "-n", cluster.namespace).ok()
    assert cluster.debug_pods() == []


def test_an_image_that_cannot_be_pulled_is_named_with_what_helps(cluster: Cluster, pod: str) -> None:
    """The kubelet's reason and message are shown, and the flags that change it."""
    ran = cluster.netinspect("veth", pod, "-n", cluster.namespace, "--image", UNPULLABLE)
    assert (ran.code, ran.out) == (1, "")
    for text in ("ImagePullBackOff", UNPULLABLE, "--image-pull-secret"):
        assert text in ran.err


def test_an_image_that_is_missing_and_may_not_be_pulled(cluster: Cluster, pod: str) -> None:
    """ErrImageNeverPull is told apart from a failed pull."""
    flags = ("--image", UNPULLABLE, "--image-pull-policy", "Never")
    ran = cluster.netinspect("veth", pod, "-n", cluster.namespace, *flags)
    assert ran.code == 1
    assert "ErrImageNeverPull" in ran.err


def test_an_image_without_a_shell_is_named(cluster: Cluster, pod: str) -> None:
    """A container that cannot start `sleep` ends the command with the runtime's words."""
    ran = cluster.netinspect("veth", pod, "-n", cluster.namespace, "--image", "netinspect.test/web:1")
    assert ran.code == 1
    assert "debug pod" in ran.err


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_before_the_pod_runs(cluster: Cluster, pod: str, signum: int, code: int) -> None:
    """The pod that was created and never came up is deleted."""
    process = cluster.start("veth", pod, "-n", cluster.namespace, "--image", UNPULLABLE)
    cluster.wait_for_debug_pod()
    ran = interrupt(process, signum)
    assert (ran.code, ran.out) == (code, "")
    assert cluster.debug_pods() == []


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_during_exec(cluster: Cluster, pod: str, signum: int, code: int) -> None:
    """The pod in which a command ran is deleted, and the command ends with it."""
    process = cluster.start("exec", "-n", cluster.namespace, pod, "--", "sh", "-c", "echo begun; sleep 600")
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    assert interrupt(process, signum).code == code
    assert cluster.debug_pods() == []


def test_two_signals_in_a_row(cluster: Cluster, pod: str) -> None:
    """The second does not cut short what the first set going."""
    process = cluster.start("exec", "-n", cluster.namespace, pod, "--", "sh", "-c", "echo begun; sleep 600")
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGTERM)
    assert interrupt(process, signal.SIGTERM).code == 143
    assert cluster.debug_pods() == []


def test_a_signal_while_several_nodes_are_asked(cluster: Cluster) -> None:
    """Every pod of the run is deleted, not only the first."""
    process = cluster.start("veth", "--all-nodes", "--image", UNPULLABLE)
    cluster.until(lambda: len(cluster.debug_pods()) == len(cluster.nodes()), 20)
    assert interrupt(process).code == 130
    assert cluster.debug_pods() == []


@pytest.mark.parametrize("moment_s", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8])
def test_a_signal_at_any_moment(cluster: Cluster, pod: str, moment_s: float) -> None:
    """Whenever it comes, nothing stays behind, and no file with a private key."""
    before = set(Path("/tmp").iterdir())
    process = cluster.start("veth", pod, "-n", cluster.namespace)
    time.sleep(moment_s)
    if process.poll() is None:
        interrupt(process, signal.SIGTERM)
    process.wait()
    assert cluster.debug_pods() == []
    new = [path for path in set(Path("/tmp").iterdir()) - before if path.exists()]
    files = [
        each for path in new for each in ([path] if path.is_file() else path.rglob("*")) if each.is_file()
    ]
    assert not [path for path in files if b"PRIVATE KEY" in path.read_bytes()]


def test_what_a_killed_run_left_is_swept_by_the_next(cluster: Cluster, pod: str) -> None:
    """SIGKILL leaves the pod; past its expiry the next run of the same user deletes it and says so."""
    process = cluster.start("veth", pod, "-n", cluster.namespace, "--image", UNPULLABLE, "--timeout", "1s")
    left = cluster.wait_for_debug_pod()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    past = format_time(datetime.now(UTC) - timedelta(minutes=1))
    cluster.kubectl(
        "annotate", "pod", "-n", cluster.namespace, left, "--overwrite", f"kubectl-netinspect/expires={past}"
    )
    ran = cluster.netinspect("veth", pod, "-n", cluster.namespace).ok()
    assert left in ran.err


def test_a_sweep_leaves_other_users_and_kept_pods_alone(cluster: Cluster, pod: str) -> None:
    """Only this user's pods that are past their time go, by a sweep and by `cleanup` alike."""
    past = timedelta(minutes=-5)
    user = cluster.kubectl("auth", "whoami", "-o", "json").json["status"]["userInfo"]["username"]
    manifests = {
        "expired-mine": planted(cluster, "expired-mine", user, past),
        "live-mine": planted(cluster, "live-mine", user, timedelta(hours=1)),
        "expired-other": planted(cluster, "expired-other", "somebody-else", past),
        "live-other": planted(cluster, "live-other", "somebody-else", timedelta(hours=1)),
        "kept-other": planted(cluster, "kept-other", "somebody-else", timedelta(hours=1), is_kept=True),
    }
    for manifest in manifests.values():
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    try:
        cluster.netinspect("veth", pod, "-n", cluster.namespace).ok()
        assert remaining(cluster) == {"live-mine", "expired-other", "live-other", "kept-other"}
        cluster.netinspect("cleanup", "--all-users", "--dry-run").ok()
        assert remaining(cluster) == {"live-mine", "expired-other", "live-other", "kept-other"}
        cluster.netinspect("cleanup").ok()
        assert remaining(cluster) == {"live-mine", "expired-other", "live-other", "kept-other"}
        cluster.netinspect("cleanup", "--force", "--all-users").ok()
        assert remaining(cluster) == {"live-other", "kept-other"}
    finally:
        for name in remaining(cluster):
            cluster.kubectl("delete", "pod", "--now", "-n", cluster.namespace, name)


def test_a_kept_pod_serves_later_commands_until_cleanup(cluster: Cluster, pod: str) -> None:
    """The second command creates nothing; `cleanup` takes the pod away."""
    cluster.netinspect("veth", pod, "-n", cluster.namespace, "--keep", "5m").ok()
    (kept,) = cluster.debug_pods()
    cluster.netinspect("netns", pod, "-n", cluster.namespace).ok()
    assert cluster.debug_pods() == [kept]
    assert kept[1] in cluster.netinspect("cleanup", "-o", "json").ok().out
    assert cluster.debug_pods() == []


def test_an_api_server_that_stops_in_the_middle(cluster: Cluster, pod: str) -> None:
    """The command says which pod stays behind, how to delete it, and ends in bounded time; the pod is swept later."""
    with Relay(cluster) as relay:
        env = {"KUBECONFIG": relay.kubeconfig}
        command = ("exec", "-n", cluster.namespace, pod, "--", "sh", "-c", "echo begun; sleep 600")
        process = cluster.start(*command, env=env)
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        relay.stop()
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    ((namespace, left),) = cluster.debug_pods()
    assert f"kubectl delete pod --now -n {namespace} {left}".encode() in err
    past = format_time(datetime.now(UTC) - timedelta(minutes=1))
    cluster.kubectl(
        "annotate", "pod", "-n", cluster.namespace, left, "--overwrite", f"kubectl-netinspect/expires={past}"
    )
    cluster.netinspect("veth", pod, "-n", cluster.namespace).ok()
    assert cluster.debug_pods() == []


class Relay:
    """A TCP relay on loopback between the plugin and the API server, to be cut off at will."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.kubeconfig = f"/tmp/netinspect-relay-{os.getpid()}.yaml"

    def __enter__(self) -> Relay:
        view = self.cluster.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json").json
        server = view["clusters"][0]["cluster"]["server"]
        host, port = server.removeprefix("https://").rsplit(":", 1)
        if host != "127.0.0.1":
            pytest.skip("the API server is not on this machine: no relay is put in front of it")
        command = ["python3", "-c", _RELAY, host, port]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        view["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{int(self.process.stdout.readline())}"
        Path(self.kubeconfig).write_text(json.dumps(view))
        return self

    def stop(self) -> None:
        """Cut every connection, and take no new one."""
        self.process.kill()
        self.process.wait()

    def __exit__(self, *_: object) -> None:
        self.stop()
        Path(self.kubeconfig).unlink()


_RELAY = """
import socket, sys, threading
def copy(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for each in (a, b):
        each.close()
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    near, _ = listener.accept()
    far = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    for pair in ((near, far), (far, near)):
        threading.Thread(target=copy, args=pair, daemon=True).start()
"""


def planted(
    cluster: Cluster, name: str, user: str, expires_in: timedelta, *, is_kept: bool = False
) -> dict[str, object]:
    """Return a debug pod as an earlier run may have left it."""
    return build_debug_pod(
        DebugPod(
            name=name,
            namespace=cluster.namespace,
            node=cluster.nodes()[0],
            image=cluster.image,
            privilege=Privilege.NETADMIN,
            lifetime_s=3600,
            expires=format_time(datetime.now(UTC) + expires_in),
            user=user,
            run_id="planted",
            is_kept=is_kept,
        )
    )


def remaining(cluster: Cluster) -> set[str]:
    """Return the names of all debug pods."""
    return {name for _, name in cluster.debug_pods()}

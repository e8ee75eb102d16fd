"""`exec`: a tool of the debug image in a pod's netns, as the pod would run it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pty
import signal
import struct
import subprocess
import termios
import time

import pytest

from tests.cluster.kit import Cluster, interrupt
from tests.cluster.test_veth import simple_pod

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def pod(cluster: Cluster) -> str:
    """A pod to run commands in."""
    cluster.apply(simple_pod(cluster, "target"))
    cluster.kubectl("wait", "-n", cluster.namespace, "--for=condition=Ready", "pod/target", "--timeout=60s")
    return "target"


def run(cluster: Cluster, pod: str, *command: str) -> tuple[str, ...]:
    """Return the plugin's arguments for a command in a pod."""
    return ("exec", "-n", cluster.namespace, pod, "--", *command)


def test_the_command_sees_the_pods_links_and_addresses(cluster: Cluster, pod: str) -> None:
    """The netns is the pod's: its address is there, in `ip` and in /sys."""
    address = cluster.get("pod", pod, "-n", cluster.namespace)["status"]["podIP"]
    assert f" {address}/" in cluster.netinspect(*run(cluster, pod, "ip", "addr")).ok().out
    assert sorted(cluster.netinspect(*run(cluster, pod, "ls", "/sys/class/net")).ok().out.split()) == [
        "eth0",
        "lo",
    ]


@pytest.mark.parametrize("file", ["/etc/resolv.conf", "/etc/hosts"])
def test_the_command_reads_the_pods_own_files(cluster: Cluster, pod: str, file: str) -> None:
    """resolv.conf and hosts are byte for byte what the pod itself reads."""
    own = cluster.kubectl("exec", "-n", cluster.namespace, pod, "--", "cat", file).out
    assert cluster.netinspect(*run(cluster, pod, "cat", file)).ok().out == own


def test_cluster_dns_answers_short_names_as_in_the_pod(cluster: Cluster, pod: str) -> None:
    """The search list is the pod's: `kubernetes.default` is found."""
    ran = cluster.netinspect(*run(cluster, pod, "getent", "hosts", "kubernetes.default.svc"))
    assert "kubernetes.default" in ran.ok().out


@pytest.mark.parametrize("code", [0, 1, 3, 42, 255])
def test_the_exit_code_is_the_commands(cluster: Cluster, pod: str, code: int) -> None:
    """Whatever the command ends with, the plugin ends with."""
    assert cluster.netinspect(*run(cluster, pod, "sh", "-c", f"exit {code}")).code == code


def test_both_outputs_stay_apart_and_arguments_are_not_evaluated(cluster: Cluster, pod: str) -> None:
    """stdout and stderr come separately; quotes, blanks, newlines and dollars arrive as they are."""
    text = "a  b'\"$(id)`id`\n$HOME"
    ran = cluster.netinspect(
        *run(cluster, pod, "sh", "-c", 'printf %s "$1"; printf err >&2', "sh", text)
    ).ok()
    assert (ran.out, ran.err) == (text, "err")


def test_a_missing_program_is_told_from_a_failing_one(cluster: Cluster, pod: str) -> None:
    """127 and the program's name, as a shell says it."""
    ran = cluster.netinspect(*run(cluster, pod, "no-such-program"))
    assert ran.code == 127
    assert "no-such-program" in ran.err


def test_stdin_is_passed_byte_for_byte(cluster: Cluster, pod: str) -> None:
    """With -i the command reads what the plugin reads, to the end and no further."""
    data = os.urandom(3_000_000)
    ran = cluster.netinspect("exec", "-i", "-n", cluster.namespace, pod, "--", "sha256sum", stdin=data).ok()
    assert ran.out.split()[0] == hashlib.sha256(data).hexdigest()


def test_output_comes_back_byte_for_byte(cluster: Cluster, pod: str) -> None:
    """Random bytes, zeros and broken UTF-8 included, in an amount that no buffer holds."""
    script = "head -c 20000000 /dev/urandom | { tee /dev/fd/3 | sha256sum >&2; } 3>&1"
    done = subprocess.run(
        ["kubectl", "netinspect", *run(cluster, pod, "sh", "-c", script)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=cluster.env,
        timeout=120,
        check=True,
    )
    assert len(done.stdout) == 20_000_000
    assert hashlib.sha256(done.stdout).hexdigest() == done.stderr.split()[0].decode()


def test_a_terminal_is_given_with_tty(cluster: Cluster, pod: str) -> None:
    """With -it on a terminal the command has one, of this terminal's size."""
    ours, theirs = pty.openpty()
    arguments = ["exec", "-it", "-n", cluster.namespace, pod, "--", "sh", "-c", "tty && stty size"]
    process = subprocess.Popen(
        ["kubectl", "netinspect", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=cluster.env,
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 1024):
            shown += chunk
    except OSError:
        pass  # the other end of a pty that is closed reads as EIO
    assert process.wait(timeout=30) == 0, process.stderr.read() if process.stderr else b""
    assert b"/dev/pts/" in shown


def test_a_terminal_that_changes_its_size_does_not_stop_the_stream(cluster: Cluster, pod: str) -> None:
    """A window that is dragged while output flows: every size arrives or is overtaken, and a signal still ends it."""
    ours, theirs = pty.openpty()
    loop = "while :; do echo flowing; done"
    process = subprocess.Popen(
        ["kubectl", "netinspect", "exec", "-it", "-n", cluster.namespace, pod, "--", "sh", "-c", loop],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=cluster.env,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"flowing" not in shown:
        shown = shown[-100:] + os.read(ours, 65536)
    for rows in range(20, 60):
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))
        process.send_signal(signal.SIGWINCH)
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            assert os.read(ours, 65536)
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(OSError):  # the other end of a pty that is closed reads as EIO
        while os.read(ours, 65536):
            pass
    assert process.wait(timeout=30) == 143


def test_a_stdin_that_is_closed_is_at_its_end(cluster: Cluster, pod: str) -> None:
    """`<&-` is no other file that happens to have the number 0 by now."""
    command = f"kubectl netinspect exec -i -n {cluster.namespace} {pod} -- cat <&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, env=cluster.env, timeout=60, check=True)
    assert done.stdout == b""


def test_an_interrupted_command_says_its_last_words(cluster: Cluster, pod: str) -> None:
    """A capture writes what it has when it is ended: Ctrl-C ends it in good order, and what it says still arrives."""
    script = 'trap "echo last words; exit 0" TERM; echo begun; while :; do sleep 0.1; done'
    process = cluster.start("exec", "-n", cluster.namespace, pod, "--", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    ran = interrupt(process)
    assert (ran.code, ran.out) == (130, "last words\n")


@pytest.mark.parametrize("keep", [False, True])
def test_an_interrupted_command_does_not_go_on(cluster: Cluster, pod: str, keep: bool) -> None:
    """After Ctrl-C the command is gone from the node, whether the debug pod is deleted or kept."""
    node = cluster.get("pod", pod, "-n", cluster.namespace)["spec"]["nodeName"]
    seconds = "98765" if keep else "87654"
    flags = ("--keep", "2m") if keep else ()
    process = cluster.start("exec", *flags, "-n", cluster.namespace, pod, "--", "sleep", seconds)

    def is_there() -> bool:
        return seconds in cluster.on_node(node, "ps", "-eo", "args")

    cluster.until(is_there, 30)
    assert interrupt(process).code == 130
    cluster.until(lambda: not is_there(), 20)
    if keep:
        assert len(cluster.debug_pods()) == 1
        cluster.netinspect("cleanup").ok()


def test_a_pod_without_a_shell_is_entered_all_the_same(cluster: Cluster) -> None:
    """The tools are the debug image's: the pod's own image may be empty."""
    image = os.environ.get("NETINSPECT_TEST_DISTROLESS", "netinspect.test/web:1")
    if "KUBECONFIG" in os.environ and "NETINSPECT_TEST_DISTROLESS" not in os.environ:
        pytest.skip("on a cluster of your own, name a distroless server image in NETINSPECT_TEST_DISTROLESS")
    spec = simple_pod(cluster, "bare")
    spec["spec"]["containers"] = [{"name": "web", "image": image}]
    cluster.apply(spec)
    cluster.kubectl("wait", "-n", cluster.namespace, "--for=condition=Ready", "pod/bare", "--timeout=60s")
    ran = cluster.netinspect(*run(cluster, "bare", "cat", "/etc/resolv.conf")).ok()
    assert "svc.cluster.local" in ran.out


@pytest.mark.parametrize(("name", "text"), [("hostnet", "hostNetwork"), ("done", "completed pod")])
def test_pods_without_a_netns_of_their_own_are_refused_with_the_reason(
    cluster: Cluster, name: str, text: str
) -> None:
    """There is nothing to enter, and it is said why."""
    cluster.apply(
        simple_pod(cluster, "hostnet", hostNetwork=True),
        simple_pod(cluster, "done", command=["true"], restartPolicy="Never"),
    )
    wait = ("wait", "-n", cluster.namespace, "--timeout=60s")
    cluster.kubectl(*wait, "--for=jsonpath={.status.phase}=Succeeded", "pod/done")
    ran = cluster.netinspect(*run(cluster, name, "true"))
    assert ran.code == 1
    assert text in ran.err

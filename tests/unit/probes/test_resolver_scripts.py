"""resolv_conf.sh and within.sh themselves, in each shell that a node-tools image may have, on a node of our own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from netinspect.models.fact import Known
from netinspect.models.resolver_file import ResolverFile
from netinspect.parse.resolv_confs import parse_resolv_confs
from netinspect.probes.plan import read_script
from tests.unit.probes.node_world import NodeWorld, new_node, why_no_node
from tests.unit.probes.shells import SHELLS, Shell, new_shell, why_missing

UID = "0f1e2d3c-f486-45b6-b7ab-1bcf1bd63978"
OTHER = "99999999-f486-45b6-b7ab-1bcf1bd63978"

# A process in a mount namespace of its own, which has the files that its second argument makes.
_START = """
echo 0 >"$1/cgroup.procs" || exit
exec unshare --mount sh -c '
  mount -t tmpfs none /etc && mount -t tmpfs none /mnt && eval "$0" && echo $$ && exec sleep 86400
' "$2"
"""


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    reason = why_missing(request.param)
    if reason is not None:
        pytest.skip(reason)
    return new_shell(request.param, tmp_path_factory.mktemp("applets"))


class Pods:
    """A node, and processes on it that see files of their own."""

    def __init__(self, node: NodeWorld) -> None:
        self.node = node
        self.clients: list[subprocess.Popen[str]] = []

    def start(self, cgroup: str, files: str) -> int:
        """Start a process and return its PID on the node; it ends with the node."""
        made = self.node.cgroup(cgroup)
        argv = [*self.node.entry, "sh", "-c", _START, "sh", str(made), files]
        client = subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        self.clients.append(client)
        assert client.stdout is not None
        return int(client.stdout.readline())

    def read(self, shell: Shell, *needles: str) -> dict[int, ResolverFile]:
        """Run resolv_conf.sh on the node."""
        env = ("env", f"PATH={shell.path}", *shell.argv, "-c", read_script("resolv_conf.sh"), "netinspect")
        return {each.pid: each for each in parse_resolv_confs(self.node.run(*env, *needles))}


@pytest.fixture
def pods() -> Iterator[Pods]:
    reason = why_no_node()
    if reason is not None:
        pytest.skip(reason)
    with new_node() as node:
        yield Pods(node)


def test_each_cgroup_of_the_pod_shows_its_file_and_no_other_pods(shell: Shell, pods: Pods) -> None:
    """As its own processes see it: the file of the sandbox, and what an entrypoint made of it."""
    sandbox = pods.start(f"kubepods/pod{UID}/a", "echo nameserver fd00::a >/etc/resolv.conf")
    app = pods.start(f"kubepods/pod{UID}/b", "printf 'nameserver 10.0.0.2\\n\\n' >/etc/resolv.conf")
    pods.start(f"kubepods/pod{UID}/b", "echo nameserver 10.0.0.3 >/etc/resolv.conf")
    pods.start(f"kubepods/pod{OTHER}/c", "echo nameserver 10.0.0.4 >/etc/resolv.conf")
    found = pods.read(shell, UID)
    assert {pid: file.text for pid, file in found.items()} == {
        sandbox: "nameserver fd00::a",
        app: "nameserver 10.0.0.2",
    }
    conf = found[app].conf
    assert isinstance(conf, Known)
    assert [str(each) for each in conf.value.nameservers] == ["10.0.0.2"]


LINKS = {
    "absolute": "echo right >/mnt/conf; ln -s /mnt/conf /etc/resolv.conf",
    "relative": "echo right >/mnt/conf; ln -s ../mnt/conf /etc/resolv.conf",
    "folder": "mkdir /mnt/a; echo right >/mnt/a/conf; ln -s /mnt/a /mnt/b; ln -s /mnt/b/conf /etc/resolv.conf",
    "above-the-root": "echo right >/mnt/conf; ln -s ../../../../mnt/conf /etc/resolv.conf",
}


@pytest.mark.parametrize("files", LINKS.values(), ids=LINKS)
def test_a_link_is_followed_within_the_pods_root(
    shell: Shell, pods: Pods, files: str, tmp_path: Path
) -> None:
    """An absolute one as well: the file of that name on our side is another."""
    pid = pods.start(f"kubepods/pod{UID}/a", files)
    assert pods.read(shell, UID)[pid].text == "right"


@pytest.mark.parametrize(
    "files",
    [
        "true",
        "mkdir /etc/resolv.conf",
        "ln -s resolv.conf /etc/resolv.conf",
        "ln -s /nowhere /etc/resolv.conf",
        "mkfifo /etc/resolv.conf",
        "ln -s /dev/zero /etc/resolv.conf",
    ],
)
def test_what_is_no_file_is_none(shell: Shell, pods: Pods, files: str) -> None:
    """And nothing waits for it."""
    pods.start(f"kubepods/pod{UID}/a", files)
    assert pods.read(shell, UID) == {}


def test_any_of_the_needles_leads_to_a_process(shell: Shell, pods: Pods) -> None:
    """The UID as systemd writes it, or a container's id."""
    for cgroup in (f"kubepods-pod{UID.replace('-', '_')}.slice/x", "cri-containerd-abcdef012345.scope"):
        pods.start(cgroup, "echo nameserver ::1 >/etc/resolv.conf")
    assert len(pods.read(shell, UID, UID.replace("-", "_"), "abcdef012345")) == 2


def test_no_needle_is_an_error(shell: Shell, pods: Pods) -> None:
    """Not every process of the node."""
    with pytest.raises(subprocess.CalledProcessError):
        pods.read(shell)


def test_a_long_file_is_bounded(shell: Shell, pods: Pods) -> None:
    """A pod decides what is in it."""
    pid = pods.start(f"kubepods/pod{UID}/a", "head -c 300000 /dev/zero | tr '\\0' x >/etc/resolv.conf")
    assert len(pods.read(shell, UID)[pid].text) == 65536


def within(shell: Shell, node: NodeWorld, netns: int, pids: str) -> subprocess.CompletedProcess[bytes]:
    env = ("env", f"PATH={shell.path}", *shell.argv, "-c", read_script("within.sh"), "netinspect")
    argv = [*node.entry, *env, str(netns), pids, "readlink", "/proc/self/ns/net"]
    return subprocess.run(argv, capture_output=True, check=False)


def test_a_command_runs_in_the_netns_that_was_found(shell: Shell, pods: Pods) -> None:
    """By whichever of the processes is still in it."""
    first = pods.node.start(f"kubepods/pod{UID}/a")
    second = pods.node.start(f"kubepods/pod{UID}/b")
    done = within(shell, pods.node, second.netns, f"999999 {first.pid} {second.pid}")
    assert done.stdout.decode().strip() == f"net:[{second.netns}]"


def test_a_netns_that_is_gone_is_an_error(shell: Shell, pods: Pods) -> None:
    """The number of a process may be another's by now: nothing is run anywhere else."""
    other = pods.node.start(f"kubepods/pod{UID}/a")
    done = within(shell, pods.node, 4, f"999999 {other.pid}")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"is gone" in done.stderr

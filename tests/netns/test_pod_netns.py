"""From real processes in real cgroups, and from real pins, to pods' namespaces."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from netinspect.analyze.links.netns import find_pinned, locate_all
from netinspect.models.address import parse_address
from netinspect.models.fact import Fact, Known, Unavailable
from netinspect.models.kubernetes import ContainerStatus, ObjectMeta, Pod, PodIP, PodSpec, PodStatus
from netinspect.models.netns import NetnsSource, PodNetns, ProcessTable
from netinspect.parse.cgroup import parse_cgroup_grep
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.mountinfo import parse_pinned_netns
from netinspect.parse.proc import parse_comm_grep, parse_netns_listing
from tests.netns import cgroups
from tests.netns.world import Netns, World, run

pytestmark = pytest.mark.netns

UID = "47c7da73-f486-45b6-b7ab-1bcf1bd63978"
SANDBOX = "5f0e7c1d" * 8
APP = "a1b2c3d4" * 8


@pytest.fixture
def tree() -> Iterator[Path]:
    """An empty cgroup of our own. It is asked for before the world: processes go before their cgroups."""
    root = cgroups.find_root()
    if root is None:
        pytest.skip("no cgroup v2 to write to")
    with cgroups.new_tree(root) as made:
        yield made


@pytest.fixture
def slice_(tree: Path) -> Path:
    """The pod's slice, as the systemd driver makes it."""
    return tree / "kubepods.slice" / f"kubepods-pod{UID.replace('-', '_')}.slice"


def pod(*, host_network: bool = False, ips: tuple[str, ...] = ()) -> Pod:
    return Pod(
        metadata=ObjectMeta(name="web-1", namespace="demo", uid=UID),
        spec=PodSpec(node_name="node-a", host_network=host_network),
        status=PodStatus(
            phase="Running",
            pod_ips=tuple(PodIP(parse_address(ip)) for ip in ips),
            container_statuses=(ContainerStatus(name="app", container_id=f"containerd://{APP}"),),
        ),
    )


def read_processes(world: World) -> ProcessTable:
    """Read /proc as the node side does, by the same commands."""
    return ProcessTable(
        # A process may end while its file is read, which grep counts as an error.
        cgroups=parse_cgroup_grep(
            run("sh", "-c", f"grep -sF -e {UID.replace('-', '_')} -e {APP} /proc/[0-9]*/cgroup; true")
        ),
        netns=parse_netns_listing(run("sh", "-c", "ls -ld /proc/[0-9]*/ns/net 2>/dev/null; true")),
        comms=parse_comm_grep(run("sh", "-c", "grep -Hs '' /proc/[0-9]*/comm; true")),
        node_netns=world.node.inode,
    )


def located(world: World, of: Pod) -> Fact[PodNetns]:
    return locate_all([of], read_processes(world))[UID]


def found(fact: Fact[PodNetns]) -> PodNetns:
    assert isinstance(fact, Known), fact
    return fact.value


@pytest.fixture
def pause(tmp_path: Path) -> str:
    """A program called pause."""
    return shutil.copy(shutil.which("sleep") or "", str(tmp_path / "pause"))


def start(world: World, netns: Netns, cgroup: Path, program: str = "sleep") -> int:
    pid = world.join(netns, program)
    cgroups.move(pid, cgroup)
    return pid


def test_finds_the_netns_of_a_pods_processes(slice_: Path, world: World, pause: str) -> None:
    """Sandbox and application share the pod's netns; both are found, by UID and by container id."""
    netns = world.new_netns()
    pids = [
        start(world, netns, slice_ / f"cri-containerd-{SANDBOX}.scope", pause),
        start(world, netns, slice_ / f"cri-containerd-{APP}.scope" / "init.scope"),
    ]
    answer = found(located(world, pod()))
    assert (answer.inode, answer.source, answer.is_node, answer.warnings) == (
        netns.inode,
        NetnsSource.PROCESS,
        False,
        (),
    )
    shown = [(each.pid, each.container_id, each.comm) for each in answer.processes]
    assert shown == sorted([(pids[0], SANDBOX, "pause"), (pids[1], APP, "sleep")])


def test_prefers_the_sandbox_over_namespaces_of_the_workloads_own(
    slice_: Path, world: World, pause: str
) -> None:
    """docker in docker: two processes in a netns of their own do not outvote the sandbox."""
    netns, inner = world.new_netns(), world.new_netns()
    start(world, netns, slice_ / f"cri-containerd-{SANDBOX}.scope", pause)
    for _ in range(2):
        start(world, inner, slice_ / f"cri-containerd-{APP}.scope" / "docker" / SANDBOX)
    answer = found(located(world, pod()))
    assert answer.inode == netns.inode
    assert f"{inner.inode} (2 processes)" in answer.warnings[0]


def test_never_follows_conmon_to_the_nodes_netns(slice_: Path, world: World) -> None:
    """conmon bears the container's id and runs on the node; the pod's own process is elsewhere or nowhere."""
    start(world, world.node, slice_ / f"crio-conmon-{APP}.scope")
    assert isinstance(located(world, pod()), Unavailable)
    netns = world.new_netns()
    start(world, netns, slice_ / f"crio-{APP}.scope")
    assert found(located(world, pod())).inode == netns.inode


def test_a_pod_with_host_network_is_in_the_nodes_netns(slice_: Path, world: World) -> None:
    """Its processes are there, and the answer says whose netns it is."""
    pid = start(world, world.node, slice_ / f"cri-containerd-{APP}.scope")
    answer = found(located(world, pod(host_network=True)))
    assert (answer.inode, answer.source, answer.is_node) == (world.node.inode, NetnsSource.HOST, True)
    assert [each.pid for each in answer.processes] == [pid]


def test_finds_a_pod_without_processes_by_its_pin(world: World) -> None:
    """Its last process has ended, its netns is kept by a mount: the one that bears both addresses."""
    keeper = world.new_netns(mounts=True)
    inside = ("nsenter", "--mount", f"--target={keeper.pid}", "--", "sh", "-c")
    run(*inside, "mount -t tmpfs none /run && mkdir /run/netns")
    inodes = []
    for index in (1, 2):
        netns = world.new_netns()
        world.pair(netns, f"veth{index}", address=f"10.244.1.{index}/24")
        netns.ip(f"addr add fd00::{index}/64 dev eth0 nodad")
        file = f"/run/netns/pod-{index}"
        run(*inside, f"touch {file} && mount --bind /proc/{netns.pid}/ns/net {file}")
        inodes.append(netns.inode)
        world.end(netns.pid)
    pins = parse_pinned_netns(Path(f"/proc/{keeper.pid}/mountinfo").read_bytes())
    assert inodes == [pin.inode for pin in pins if pin.path.startswith("/run/netns/pod-")]
    candidates = [
        (
            pin,
            parse_ip_addr(
                run("nsenter", f"--net=/proc/{keeper.pid}/root{pin.path}", "ip", "-j", "-d", "addr", "show")
            ),
        )
        for pin in pins
        if pin.path.startswith("/run/netns/pod-")
    ]
    answer = found(find_pinned(pod(ips=("10.244.1.2", "fd00::2")), candidates))
    assert (answer.inode, answer.source, answer.path) == (inodes[1], NetnsSource.PINNED, "/run/netns/pod-2")
    assert isinstance(find_pinned(pod(ips=("10.244.1.1", "fd00::2")), candidates), Unavailable)

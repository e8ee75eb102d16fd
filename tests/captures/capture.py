"""Make the captures of `tests/captures/tools` anew from the tools of this machine.

As root: `python tests/captures/capture.py`. It works in PID, mount and network namespaces of its own, so that what it
writes shows a made-up node and nothing of the machine. Each case is `CASE.out` (the output, byte for byte) and
`CASE.meta` (command, tool, kernel, origin). Cases whose origin is not "captured" are left alone.

`--expected` writes `CASE.json` for cases that have none, by the project's own parser: read it before you commit it.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.captures.cases_conntrack import capture_conntrack
from tests.captures.cases_dns import capture_dns
from tests.captures.cases_iptables import capture_iptables
from tests.captures.cases_nft import capture_nft
from tests.netns import cgroups
from tests.netns.world import Netns, World, new_world, run, wait_for_carrier

TOOLS = Path(__file__).parent / "tools"

POD_A = "47c7da73-f486-45b6-b7ab-1bcf1bd63978"
POD_B = "0b5e1f0c-1d2e-4f3a-8b4c-5d6e7f809a1b"
STATIC = "9a3f5c21d07be4486f2f1c0d9e8b7a65"
PAUSE_A = "c9c432a09eade8ef99c2805b71f86e39f6987ab8b11cc46a215b61d5bfaa97b7"
APP_A = "322eb454a922b4f85c2c09486751945f206c00e28b0e4483eac2b66515ee976d"
PAUSE_B = "5f0e7c1d" * 8
APP_B = "a1b2c3d4" * 8
OUTER = "0d1e2f3a" * 8
GREP = "grep -sE 'pod[0-9a-f]|[0-9a-f]{64}' /proc/[0-9]*/cgroup"
_PR_SET_NAME = 15


def main() -> None:
    """Start over in namespaces of our own, unless we are there."""
    if "--expected" in sys.argv:
        write_expected()
    elif "--inside" in sys.argv:
        capture_all()
    else:
        # A shell that reads its script from stdin is PID 1: its command line, which lsns shows, is "sh".
        script = f"{shlex.quote(sys.executable)} {shlex.quote(__file__)} --inside\n"
        flags = ["--fork", "--pid", "--mount-proc", "--net", "--kill-child"]
        subprocess.run(["unshare", *flags, "sh"], input=script.encode(), check=True)


def capture_all() -> None:
    with new_world() as world:
        capture_links(world)
    with new_world() as world:
        capture_namespaces(world)
    with new_world() as world:
        capture_processes(world)
    capture_cgroups()
    capture_conntrack(save)
    capture_dns(save)
    capture_iptables(save)
    capture_nft(save)


def save(tool: str, case: str, command: str, output: bytes, version: str) -> None:
    folder = TOOLS / tool
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{case}.out").write_bytes(output)
    kernel = ".".join(os.uname().release.split(".")[:2])
    meta = f"command: {command}\ntool: {version}\nkernel: {kernel}\norigin: captured\n"
    (folder / f"{case}.meta").write_text(meta)


def version_of(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, check=False)
    return (done.stdout or done.stderr).decode().partition("\n")[0].strip()


def ip(netns: Netns, case: str, arguments: str = "-j -d addr show") -> None:
    save("ip-addr", case, f"ip {arguments}", netns.ip(arguments), version_of("ip", "-V"))


def capture_links(world: World) -> None:
    pods = [world.new_netns() for _ in range(3)]
    ends = ["veth5b8a1c02", "vethd41f7e90", "veth09ac33e1"]
    for index, (pod, end) in enumerate(zip(pods, ends, strict=True)):
        world.pair(pod, end, address=f"10.244.1.{index + 2}/24")
        pod.ip(f"addr add fd00:10:244:1::{index + 2}/64 dev eth0 nodad")
    world.bridge("cni0", *ends)
    world.node.ip("addr add 10.244.1.1/24 dev cni0")
    world.node.ip("link add flannel.1 type vxlan id 1 dstport 8472 local 10.244.1.1")
    for pod in pods:
        wait_for_carrier(pod, "eth0")
    ip(pods[0], "pod-veth")
    ip(pods[0], "pod-veth-statistics", "-j -d -s addr show")
    ip(world.node, "node-bridge")
    ip(world.node, "filtered-by-kind", "-j -d addr show type veth")
    ip(world.node, "filtered-by-scope", "-j -d addr show scope link")
    ip(world.new_netns(), "filtered-to-nothing", "-j -d addr show up")
    world.node.ip(f"link set {ends[0]} down")
    # The kernel settles operstate a while after the flags, at most once a second (net/core/link_watch.c).
    time.sleep(1.5)
    ip(pods[0], "pod-peer-down")
    ip(world.node, "node-end-down")
    capture_odd_links(world, pods[1], pods[2])


def capture_odd_links(world: World, first: Netns, second: Netns) -> None:
    macvlan = world.new_netns()
    world.node.ip("link add mv0 link cni0 type macvlan mode bridge")
    world.node.ip(f"link set mv0 netns {macvlan.pid} name eth0")
    macvlan.ip("addr add 192.168.7.5/24 dev eth0")
    ip(macvlan, "pod-macvlan")
    ipv6 = world.new_netns()
    world.pair(ipv6, "cali7d1f9e02b6c", address="2001:db8:1::7/128")
    wait_for_carrier(ipv6, "eth0")
    ip(ipv6, "pod-ipv6-only")
    ip(world.new_netns(), "pod-only-lo")
    inner = world.new_netns()
    inner.ip("link add one type veth peer name two")
    inner.ip("addr add 10.9.9.1 peer 10.9.9.2/32 dev one")
    ip(inner, "pair-in-one-netns")
    first.ip(f"link add xc type veth peer name xd netns {second.pid}")
    second.ip("addr add 10.9.0.2/30 dev xd")
    second.ip("link set xd up")
    ip(second, "pod-to-pod")


def lsns(netns: Netns, case: str, prefix: str = "") -> None:
    command = "lsns -t net -J -o NS,NETNSID,PID,COMMAND"
    save("lsns", case, prefix + command, netns.enter(*shlex.split(command)), version_of("lsns", "--version"))


def capture_namespaces(world: World) -> None:
    pods = [world.new_netns() for _ in range(2)]
    lsns(world.node, "no-ids-yet")
    for index, pod in enumerate(pods):
        world.pair(pod, f"veth{index}", address=f"10.244.1.{index + 2}/24")
    lsns(world.node, "node-with-two-pods")
    lsns(pods[1], "inside-a-pod")


def capture_processes(world: World) -> None:
    world.new_netns()
    coreutils, busybox, grep = (
        version_of("ls", "--version"),
        version_of("busybox"),
        version_of("grep", "--version"),
    )
    listing = "ls -ld /proc/[0-9]*/ns/net"
    save("netns-listing", "coreutils", listing, shell(listing), coreutils)
    save("netns-listing", "busybox", f"busybox {listing}", shell(f"busybox {listing}"), busybox)
    # Another user may read the links of its own processes only, so most lines lack the arrow.
    drop = "setpriv --reuid 65534 --regid 65534 --clear-groups --"
    own = f"{drop} sleep 60 & sleep 0.2; trap 'kill $!' EXIT;"
    for name, program, version in (("coreutils", "", coreutils), ("busybox", "busybox ", busybox)):
        denied = f"{drop} {program}{listing} 2>/dev/null"
        save("netns-listing", f"{name}-denied", denied, shell(f"{own} {denied}; true"), version)
    comms = "grep -Hs '' /proc/[0-9]*/comm"
    save("comm-grep", "gnu", comms, shell(comms), grep)
    save("comm-grep", "busybox", f"busybox {comms}", shell(f"busybox {comms}"), busybox)
    with named_process(b"two\nlines"):
        save("comm-grep", "gnu-line-end", comms, shell(comms), grep)
    with named_process(b"caf\xe9 \x1b[31m"):
        save("comm-grep", "gnu-not-utf8", f"LC_ALL=C {comms}", shell(f"LC_ALL=C {comms}"), grep)
        utf8 = f"LC_ALL=C.UTF-8 {comms}"
        save("comm-grep", "gnu-binary", utf8, shell(utf8), grep)
    capture_pins(world)


def capture_pins(world: World) -> None:
    keeper = world.new_netns(mounts=True)
    inside = ("nsenter", "--mount", f"--target={keeper.pid}", "--", "sh", "-c")
    pinned = [world.new_netns(), world.new_netns()]
    names = ["cni-2a045782-7a15-f4c3-4bc6-366c02bf3527", "odd name"]
    run(*inside, "mount -t tmpfs none /run && mkdir /run/netns")
    for netns, name in zip(pinned, names, strict=True):
        file = shlex.quote(f"/run/netns/{name}")
        run(*inside, f"touch {file} && mount --bind /proc/{netns.pid}/ns/net {file}")
    run(*inside, f"touch /run/uts && mount --bind /proc/{keeper.pid}/ns/uts /run/uts")
    command = f"grep -h ' - nsfs ' /proc/{keeper.pid}/mountinfo"
    save(
        "mountinfo",
        "pins",
        "grep -h ' - nsfs ' /proc/PID/mountinfo",
        shell(command),
        version_of("grep", "--version"),
    )


def shell(script: str) -> bytes:
    return run("sh", "-c", script)


@contextmanager
def named_process(name: bytes) -> Iterator[None]:
    """Run a process whose name is any bytes (at most 15)."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name, 0, 0, 0)
        os.write(write, b".")
        signal.pause()
    os.read(read, 1)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


_A = POD_A.replace("-", "_")
_BURSTABLE_A = f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_A}.slice"
_BEST_EFFORT_A = f"kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{_A}.slice"
_NESTED_A = (
    f"docker/{OUTER}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
    f"kubelet-kubepods-besteffort-pod{_A}.slice"
)
_SYSTEMD = [
    f"{_BURSTABLE_A}/cri-containerd-{PAUSE_A}.scope",
    f"{_BURSTABLE_A}/cri-containerd-{APP_A}.scope",
    f"kubepods.slice/kubepods-pod{STATIC}.slice/cri-containerd-{PAUSE_B}.scope",
    "system.slice/containerd.service",
]
# The cgroups of a node's processes, by driver and runtime.
CGROUPS = {
    "cgroupfs": [
        f"kubepods/besteffort/pod{POD_A}/{PAUSE_A}",
        f"kubepods/besteffort/pod{POD_A}/{APP_A}",
        f"kubepods/pod{POD_B}/{APP_B}",
        f"kubepods/burstable/pod{STATIC}/{PAUSE_B}",
        f"docker/{OUTER}",
    ],
    "systemd-containerd": _SYSTEMD,
    "systemd-crio-conmon": [
        f"{_BEST_EFFORT_A}/crio-{APP_A}.scope/container",
        f"{_BEST_EFFORT_A}/crio-conmon-{APP_A}.scope",
    ],
    "nested-node": [
        f"{_NESTED_A}/cri-containerd-{APP_A}.scope",
        f"docker/{OUTER}/system.slice/kubelet.service",
    ],
    "docker-in-pod": [
        f"kubepods/besteffort/pod{POD_A}/{APP_A}",
        f"kubepods/besteffort/pod{POD_A}/{APP_A}/docker/{OUTER}",
        f"kubepods/besteffort/pod{POD_A}/{APP_A}/init.scope",
    ],
}


def capture_cgroups() -> None:
    root = cgroups.find_root()
    if root is None:
        sys.exit("no cgroup v2 to write to: the cgroup captures stay as they are")
    for case, paths in CGROUPS.items():
        capture_cgroup_case(root, case, paths, reader="")
    reader = f"{_BURSTABLE_A}/cri-containerd-{APP_B}.scope"
    capture_cgroup_case(root, "private-cgroup-namespace", _SYSTEMD, reader=reader)


def capture_cgroup_case(root: Path, case: str, paths: list[str], reader: str) -> None:
    """Save what a process sees whose cgroup namespace begins at `reader`, a path below the tree."""
    with cgroups.new_tree(root) as tree, new_world() as world:
        for path in paths:
            cgroups.move(world.join(world.node), tree / path)
        (tree / reader).mkdir(parents=True, exist_ok=True)
        enter = f"echo $$ >{shlex.quote(str(tree / reader))}/cgroup.procs"
        output = shell(f"{enter}; exec unshare --cgroup sh -c {shlex.quote(GREP)}")
    save("cgroup-grep", case, GREP, output, version_of("grep", "--version"))


def write_expected() -> None:
    # The captures themselves need nothing but the standard library.
    import msgspec

    from netinspect.models.codec import encode_json
    from tests.captures.parsers import PARSERS, list_cases

    for tool, parse in PARSERS.items():
        for case in list_cases(tool):
            expected = case.with_suffix(".json")
            if not expected.exists():
                found = msgspec.json.format(encode_json(parse(case.read_bytes())), indent=1)
                expected.write_bytes(found + b"\n")


if __name__ == "__main__":
    main()

"""The plan of `dataplane` on real kernels' rules: a real kube-proxy's, restored into both backends, and nft tables."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from netinspect.analyze.dataplane.findings import check_dataplane
from netinspect.analyze.dataplane.in_use import describe_dataplane
from netinspect.collect.dataplane import collect_dataplane
from netinspect.models.command import NodeAnswer
from netinspect.models.dataplane import Confidence, Dataplane, DataplaneHints, NodeDataplane
from netinspect.models.debug_pod import Privilege
from netinspect.models.fact import Known
from netinspect.parse.frames import Sinks, parse_frames
from netinspect.probes.dataplane import build_dataplane_plan
from netinspect.probes.plan import Plan, encode_plan, node_script
from tests.netns.world import Netns, World

TOOLS = ("iptables-nft-restore", "iptables-legacy-restore", "nft")
CAPTURE = Path(__file__).parents[1] / "captures" / "dataplanes" / "1.36.2-iptables-cidr"
HINTS = DataplaneHints(pods=Known(()), kube_proxy_replacement=Known(None), services=Known({4: 3, 6: 3}))


class NetnsNode:
    """A netns, asked as a node is."""

    node = "node-a"
    privilege = Privilege.NETADMIN

    def __init__(self, netns: Netns) -> None:
        self._file = f"--net=/proc/{netns.pid}/ns/net"

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        """Run the package's node side in it."""
        argv = ["nsenter", self._file, "--", "sh", "-c", node_script()]
        done = subprocess.run(argv, input=encode_plan(plan), capture_output=True, check=True)
        return parse_frames([done.stdout], sinks)


@pytest.fixture
def node(world: World) -> Netns:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    return world.node


def restore(netns: Netns, tool: str, name: str) -> None:
    path = CAPTURE / name
    packed = CAPTURE / f"{name}.gz"
    text = gzip.decompress(packed.read_bytes()) if packed.exists() else path.read_bytes()
    # nfacct objects are not part of the rules, and this kernel may have none of that name.
    lines = b"\n".join(line for line in text.splitlines() if b"nfacct" not in line) + b"\n"
    argv = ["nsenter", f"--net=/proc/{netns.pid}/ns/net", "--", tool]
    subprocess.run(argv, input=lines, check=True, capture_output=True)


def state(netns: Netns) -> bytes:
    """Return what must not change: all of nft's rules, and which tables the legacy backend has."""
    tables = "cat /proc/net/ip_tables_names /proc/net/ip6_tables_names; nft list ruleset"
    return netns.enter("sh", "-c", tables)


def judge(netns: Netns, family: int) -> tuple[NodeDataplane, set[str]]:
    before = state(netns)
    reading = collect_dataplane(NetnsNode(netns), build_dataplane_plan())
    assert state(netns) == before
    described = describe_dataplane(reading, HINTS, family)
    return described, {each.id for each in check_dataplane(described)}


@pytest.mark.parametrize("family", [4, 6])
def test_an_empty_netns_has_no_dataplane(node: Netns, family: int) -> None:
    """And no table of the legacy backend is made by asking."""
    described, found = judge(node, family)
    assert (described.dataplane, described.confidence) == (Dataplane.NONE, Confidence.CERTAIN)
    assert (described.others, described.leftovers, found) == ((), (), {"dataplane-none"})


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_rules_of_one_backend(node: Netns, backend: str) -> None:
    """kube-proxy's real rules, in both families."""
    restore(node, f"iptables-{backend}-restore", "iptables-save.txt")
    restore(node, f"ip6tables-{backend}-restore", "ip6tables-save.txt")
    for family in (4, 6):
        described, found = judge(node, family)
        assert (described.dataplane, described.backend) == (Dataplane.IPTABLES, backend)
        assert (described.leftovers, found) == ((), set())
        assert (described.traces[0].services or 0) > 0


def test_rules_of_both_backends(node: Netns) -> None:
    """Only IPv6 has. Neither has the kubelet's mark: nft is then taken for Kubernetes'."""
    restore(node, "iptables-nft-restore", "iptables-save.txt")
    restore(node, "ip6tables-nft-restore", "ip6tables-save.txt")
    restore(node, "ip6tables-legacy-restore", "ip6tables-save.txt")
    assert judge(node, 4)[1] == set()
    described, found = judge(node, 6)
    assert found == {"dataplane-two-backends"}
    assert [trace.place for trace in described.leftovers] == ["iptables-legacy"]


def test_a_jump_that_is_deleted(node: Netns) -> None:
    """The chains are all there; the kernel sends what comes in past them."""
    restore(node, "ip6tables-nft-restore", "ip6tables-save.txt")
    rules = node.enter("ip6tables-nft", "-t", "nat", "-S", "PREROUTING").decode().splitlines()
    assert len(rules) == 2
    node.enter("ip6tables-nft", "-t", "nat", "-D", "PREROUTING", "1")
    described, found = judge(node, 6)
    assert found == {"dataplane-jump-missing"}
    assert described.traces[0].missing == ("nat PREROUTING -> KUBE-SERVICES",)


def test_another_table_at_the_same_hooks(node: Netns) -> None:
    """With counters and a set; its rules are counted, not judged."""
    node.enter(
        "nft", "add table inet guard; add set inet guard s { type ipv6_addr; elements = { fd00::1 }; }"
    )
    node.enter("nft", "add chain inet guard in { type filter hook input priority 5; policy drop; }")
    node.enter("nft", "add rule inet guard in ip6 saddr @s counter accept")
    described, found = judge(node, 6)
    (other,) = described.others
    assert (other.place, other.hook, other.priority) == ("nft table inet guard", "input", 5)
    assert (other.policy, other.rules) == ("drop", 1)
    assert found == {"dataplane-none", "dataplane-other-policy-drop"}

"""What a node sends to itself passes OUTPUT and then INPUT, where kube-proxy refuses node ports without endpoints.

The kernel refuses real connections by these rules; the maps that are read from them say so at OUTPUT.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest

from netinspect.analyze.iptables.service_map import read_iptables_map
from netinspect.analyze.nft.service_map import read_nft_map
from netinspect.models.address import parse_address
from netinspect.models.service_map import Branch, Hook, Outcome, ServiceMap
from netinspect.parse.iptables_save import parse_iptables_save
from netinspect.parse.nft_json import parse_nft_json
from tests.netns.world import Netns, World

NODE_PORT, CLOSED_PORT = 30080, 30081
OWN, LOOPBACK, EXTERNAL = "10.99.0.11", "127.0.0.1", "10.99.0.12"
# As kube-proxy 1.36 writes them; nat would translate what comes in again, were it asked a second time.
IPTABLES = f"""\
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
-A INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
-A FORWARD -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
-A KUBE-EXTERNAL-SERVICES -p tcp -m addrtype --dst-type LOCAL -m tcp --dport {NODE_PORT} -j REJECT
-A KUBE-EXTERNAL-SERVICES -d {EXTERNAL}/32 -p tcp -m tcp --dport 80 -j REJECT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -i lo -p tcp -m tcp --dport {NODE_PORT} -j DNAT --to-destination {OWN}:{CLOSED_PORT}
COMMIT
"""
NFTABLES = f"""\
table ip kube-proxy {{
 set nodeport-ips {{
  type ipv4_addr
  elements = {{ {OWN} }}
 }}
 map no-endpoint-nodeports {{
  type inet_proto . inet_service : verdict
  elements = {{ tcp . {NODE_PORT} : goto reject-chain }}
 }}
 map no-endpoint-services {{
  type ipv4_addr . inet_proto . inet_service : verdict
  elements = {{ {EXTERNAL} . tcp . 80 : goto reject-chain }}
 }}
 chain filter-input {{
  type filter hook input priority filter - 10; policy accept;
  ct state new jump nodeport-endpoints-check
  ct state new jump service-endpoints-check
 }}
 chain nodeport-endpoints-check {{
  ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
 }}
 chain service-endpoints-check {{
  ip daddr . meta l4proto . th dport vmap @no-endpoint-services
 }}
 chain reject-chain {{
  counter reject
 }}
}}
"""
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
except OSError as error:
    print(type(error).__name__)
"""


TOOLS = ("iptables-nft-restore", "iptables-nft-save", "nft")


@pytest.fixture
def node(world: World) -> Netns:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    world.node.ip("link set lo up")
    for address in (OWN, EXTERNAL):
        world.node.ip(f"addr add {address}/32 dev lo")
    return world.node


def restore(node: Netns, text: str, *argv: str) -> None:
    argv = ("nsenter", f"--net=/proc/{node.pid}/ns/net", "--", *argv)
    subprocess.run(argv, input=text.encode(), check=True)


def connect(node: Netns, address: str, port: int) -> str:
    return node.enter("python3", "-c", CONNECT, address, str(port)).decode().strip()


def at_output(map_: ServiceMap, address: str, port: int) -> tuple[Branch, ...]:
    found = [each for each in map_.entries if each.hook is Hook.OUTPUT and each.destination.port == port]
    exact = [each for each in found if str(each.destination.address) == address]
    any_ = [each for each in found if each.destination.address is None]
    return (exact or any_)[0].branches if exact or any_ else ()


def read_iptables(node: Netns) -> ServiceMap:
    rules = parse_iptables_save(node.enter("iptables-nft-save", "-c").decode())
    return read_iptables_map("node-a", 4, rules, [*map(parse_address, (OWN, EXTERNAL))])


def test_iptables_refuses_at_input_what_the_node_sends_to_itself(node: Netns) -> None:
    restore(node, IPTABLES, "iptables-nft-restore")
    assert [branch.rules[-1].packets for branch in at_output(read_iptables(node), OWN, NODE_PORT)] == [0]
    for number, address in enumerate((OWN, LOOPBACK), 1):
        assert connect(node, address, NODE_PORT) == "ConnectionRefusedError"
        (branch,) = at_output(read_iptables(node), address, NODE_PORT)
        assert (branch.outcome, branch.rules[-1].packets) == (Outcome.REJECT, number)
    assert connect(node, EXTERNAL, 80) == "ConnectionRefusedError"
    (branch,) = at_output(read_iptables(node), EXTERNAL, 80)
    assert (branch.outcome, branch.rules[-1].packets) == (Outcome.REJECT, 1)


def test_a_closed_port_is_refused_by_no_rule(node: Netns) -> None:
    restore(node, IPTABLES, "iptables-nft-restore")
    assert connect(node, OWN, CLOSED_PORT) == "ConnectionRefusedError"
    map_ = read_iptables(node)
    assert not at_output(map_, OWN, CLOSED_PORT)
    (branch,) = at_output(map_, OWN, NODE_PORT)
    assert branch.rules[-1].packets == 0


def test_what_is_accepted_by_lo_is_not_refused(node: Netns) -> None:
    lines = IPTABLES.replace("-A INPUT -m conntrack", "-A INPUT -i lo -j ACCEPT\n-A INPUT -m conntrack")
    restore(node, lines, "iptables-nft-restore")
    connect(node, OWN, NODE_PORT)
    saved = node.enter("iptables-nft-save", "-c").decode()
    assert "[0:0] -A KUBE-EXTERNAL-SERVICES -p tcp" in saved
    assert not at_output(read_iptables(node), OWN, NODE_PORT)


def test_nftables_refuses_at_input_what_the_node_sends_to_itself(node: Netns) -> None:
    restore(node, NFTABLES, "nft", "-f", "-")

    def refused() -> int:
        listed = node.enter("nft", "list", "chain", "ip", "kube-proxy", "reject-chain").decode()
        return int(listed.partition("packets ")[2].split()[0])

    for number, (address, port) in enumerate(((OWN, NODE_PORT), (EXTERNAL, 80)), 1):
        assert connect(node, address, port) == "ConnectionRefusedError"
        assert refused() == number
    assert connect(node, LOOPBACK, NODE_PORT) == "ConnectionRefusedError"
    assert refused() == 2  # nobody listens there
    ruleset = parse_nft_json(node.enter("nft", "-j", "list", "ruleset").decode())
    map_ = read_nft_map("node-a", 4, ruleset, [*map(parse_address, (OWN, EXTERNAL, LOOPBACK))])
    for address, port in ((OWN, NODE_PORT), (EXTERNAL, 80)):
        assert [branch.outcome for branch in at_output(map_, address, port)] == [Outcome.REJECT]
    assert not at_output(map_, LOOPBACK, NODE_PORT)

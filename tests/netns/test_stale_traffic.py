"""The kernel's own timers: what a client that sends to nobody does to its entry, and what a quiet one does."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from netinspect.analyze.conntrack.stale_traffic import idle_s, judge_traffic
from netinspect.models.conntrack import Flow
from netinspect.models.conntrack_limit import ConntrackSysctls
from netinspect.models.stale_flow import FlowPair, StaleStatus, Verdict
from netinspect.parse.conntrack import parse_flows
from netinspect.parse.conntrack_limit import parse_sysctls
from netinspect.probes.conntrack import LIMITS
from tests.netns.world import Netns, World

pytestmark = pytest.mark.netns

BETWEEN_S = 6
FAMILIES = {
    "ipv6": ("fd00:1::", "fd00:2::", "fd00:96::a", "ip6tables"),
    "ipv4": ("10.1.0.", "10.2.0.", "10.96.0.10", "iptables"),
}

# On 8001 an echo of datagrams, on 8002 and 8003 connections whose first byte is answered.
_SERVER = """
import socket, threading
def serve(port):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    kept = []
    while True:
        kept.append(listener.accept()[0])
        kept[-1].sendall(kept[-1].recv(1))
for port in (8002, 8003):
    threading.Thread(target=serve, args=(port,)).start()
datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
datagrams.bind(("::", 8001))
print("ready", flush=True)
while True:
    data, sender = datagrams.recvfrom(9)
    datagrams.sendto(data, sender)
"""
# Datagrams each half second, a connection that is told to send on and on, one that says no more, and one that never
# comes about.
_CLIENT = """
import socket, sys, time
to = sys.argv[1]
family = socket.AF_INET6 if ":" in to else socket.AF_INET
udp = socket.socket(family, socket.SOCK_DGRAM)
udp.connect((to, 8001))
talks, quiet = (socket.create_connection((to, port), 5) for port in (8002, 8003))
for each in (talks, quiet):
    each.sendall(b"x")
    each.recv(1)
syn = socket.socket(family, socket.SOCK_STREAM)
syn.setblocking(False)
syn.connect_ex((to, 8004))
for _ in range(6):
    udp.send(b"x")
    udp.recv(9)
    time.sleep(0.5)
print("ready", flush=True)
sys.stdin.readline()
while True:
    for each in (udp, talks):
        try:
            each.send(b"x")
        except OSError:
            pass
    time.sleep(0.5)
"""


@pytest.fixture
def node(world: World, request: pytest.FixtureRequest) -> Iterator[tuple[Netns, str, Netns]]:
    """A node that leads a Service's address to one server, a client that has spoken with it, and the server's end."""
    missing = [
        tool for tool in ("conntrack", "iptables", "ip6tables", "python3") if shutil.which(tool) is None
    ]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    client_net, server_net, front, iptables = FAMILIES[request.param]
    node, client, server = world.node, world.new_netns(), world.new_netns()
    length = "64" if request.param == "ipv6" else "24"
    for pod, name, net in ((client, "veth-c", client_net), (server, "veth-s", server_net)):
        world.pair(pod, name, address=f"{net}2/{length}")
        node.ip(f"addr add {net}1/{length} dev {name}" + (" nodad" if request.param == "ipv6" else ""))
        pod.ip(f"route add default via {net}1")
    family = "ipv6.conf.all.forwarding" if request.param == "ipv6" else "ipv4.ip_forward"
    node.enter("sysctl", "-qw", f"net.{family}=1", f"net.netfilter.nf_conntrack_acct={int(acct_of(request))}")
    backend = f"[{server_net}2]" if request.param == "ipv6" else f"{server_net}2"
    for protocol in ("udp", "tcp"):
        rule = ("-p", protocol, "-d", front, "-j", "DNAT", "--to-destination", backend)
        node.enter(iptables, "-t", "nat", "-A", "PREROUTING", *rule)
    server.enter(iptables, "-A", "INPUT", "-p", "tcp", "--dport", "8004", "-j", "DROP")
    with running(server, _SERVER), running(client, _CLIENT, front) as speaker:
        server.ip("link set eth0 down")
        assert speaker.stdin is not None
        speaker.stdin.write(b"\n")
        speaker.stdin.flush()
        yield node, request.param, server


def acct_of(request: pytest.FixtureRequest) -> bool:
    return bool(request.node.callspec.params["acct"])


@contextmanager
def running(netns: Netns, script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a script of Python in a namespace until the block ends; it has said that it is ready."""
    argv = ("nsenter", f"--net=/proc/{netns.pid}/ns/net", "--", "setpriv", "--pdeathsig", "KILL")
    process = subprocess.Popen(
        [*argv, "python3", "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


def flows(node: Netns, family: str) -> dict[int | None, Flow]:
    listed = parse_flows(node.enter("conntrack", "-L", "-f", family, "-o", "extended,id"))
    return {each.original.dport: each for each in listed if each.is_dnat}


@pytest.mark.parametrize("acct", [False, True], ids=["timers", "counters"])
@pytest.mark.parametrize("node", ["ipv6", "ipv4"], indirect=True)
def test_what_sends_to_nobody_is_told_from_what_is_quiet(
    node: tuple[Netns, str, Netns], *, acct: bool
) -> None:
    """By counters where there are some, else by the timers that the kernel sets for data without acknowledgement."""
    router, family, _ = node
    time.sleep(1)
    first = flows(router, family)
    time.sleep(BETWEEN_S)
    second = flows(router, family)
    assert set(first) == set(second) == {8001, 8002, 8003, 8004}
    timers = parse_sysctls(router.enter(*LIMITS.argv))
    told = {
        port: judge(FlowPair(first=first[port], second=second[port], elapsed_s=BETWEEN_S), timers)
        for port in first
    }
    lines = "\n".join(each.raw for pair in (first, second) for each in pair.values())
    assert (told[8001].status, told[8002].status) == (StaleStatus.SENDS, StaleStatus.SENDS), lines
    assert told[8003].status is StaleStatus.QUIET, lines
    assert told[8002].answered is False
    assert told[8001].answered is (False if acct else None)
    assert (second[8001].original.packets is not None) is acct
    if not acct:  # counted, it sends until the router says that there is no way
        assert told[8004].status is StaleStatus.NOT_JUDGED, lines
    assert idle_s(second[8004], timers) is None
    idle = idle_s(second[8003], timers)
    assert idle is not None
    assert BETWEEN_S <= idle < 60


def judge(pair: FlowPair, timers: ConntrackSysctls) -> Verdict:
    return judge_traffic(pair, timers, is_gone=True)

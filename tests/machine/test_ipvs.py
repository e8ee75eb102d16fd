"""What the kernel does with packets to virtual servers: the facts that the reader of IPVS builds on.

A client in a netns of its own and the node itself ask for virtual servers whose only real server is a pod's HTTP
server, in both families. What is seen here is said in docs and code as fact.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from netinspect.models.ipvs import Forwarding, ServiceAddress
from netinspect.parse.ipvsadm import parse_listed, parse_saved
from netinspect.parse.ipvsadm_traffic import parse_rates, parse_statistics
from netinspect.render.ipvsadm import render_virtual_servers
from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

VIPS = ("10.96.7.7", "fd00:10:96::77")
PODS = {
    "10.96.7.7": ("10.244.1.88", "10.244.1.89"),
    "fd00:10:96::77": ("fd00:10:244:1::88", "fd00:10:244:1::89"),
}
PORT = 80
# Sends a line and reads one, and says what came of it; a UDP socket that is connected hears of ICMP errors.
_ASK = r"""
use strict; use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6);
my ($protocol, $host, $port, $count) = @ARGV;
my ($family, $kind) = ($host =~ /:/ ? AF_INET6 : AF_INET, $protocol eq "udp" ? SOCK_DGRAM : SOCK_STREAM);
my $packed = inet_pton($family, $host);
my $to = $family == AF_INET6 ? pack_sockaddr_in6($port, $packed) : sockaddr_in($port, $packed);
$SIG{ALRM} = sub { die "silence\n" };
for (1 .. $count) {
  eval {
    alarm 4;
    socket(my $socket, $family, $kind, 0) or die "$!\n";
    connect($socket, $to) or die "$!\n";
    syswrite($socket, "GET / HTTP/1.0\n\n");
    my $size = sysread($socket, my $got, 4096);
    die defined $size ? "an end without an answer\n" : "$!\n" unless $size;
    print "answer\n";
  };
  alarm 0;
  print $@;
}
"""

_WORLD = """
modprobe -a ip_vs ip_vs_rr ip_vs_wrr dummy bridge veth nf_conntrack
sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.vs.conntrack=1 net.ipv6.conf.all.accept_dad=0
ip link add kube-ipvs0 type dummy
ip link add cni0 type bridge
ip addr add 10.244.1.1/24 dev cni0
ip addr add fd00:10:244:1::1/64 dev cni0 nodad
ip link set cni0 up
join() {
  ip netns add "$1"
  ip link add "veth-$1" type veth peer name eth0 netns "$1"
  ip -n "$1" addr add "$2" dev eth0
  ip -n "$1" addr add "$3" dev eth0 nodad
  ip -n "$1" link set lo up
  ip -n "$1" link set eth0 up
  ip link set "veth-$1" up
}
join pod 10.244.1.88/24 fd00:10:244:1::88/64
ip link set veth-pod master cni0
ip -n pod addr add 10.244.1.89/24 dev eth0
ip -n pod addr add fd00:10:244:1::89/64 dev eth0 nodad
ip -n pod route add default via 10.244.1.1
ip -n pod route add default via fd00:10:244:1::1
# Not on the pod's bridge: answers have to come back by the node.
join client 10.9.9.77/24 fd00:9::77/64
ip addr add 10.9.9.1/24 dev veth-client
ip addr add fd00:9::1/64 dev veth-client nodad
ip -n client route add default via 10.9.9.1
ip -n client route add default via fd00:9::1
mkdir -p /run/www
echo hello >/run/www/index.html
ip netns exec pod busybox httpd -p 8080 -h /run/www
"""


@pytest.fixture(scope="module")
def world(own_machine: Machine) -> Machine:
    """Give the machine a client, a pod, and links as a node has them.

    It is not the other tests' machine: IPVS holds connection tracking until its last connection times out, and they
    unload that.
    """
    own_machine.check(_WORLD)
    own_machine.check(f"cat >/run/ask.pl <<'END'\n{_ASK}END")
    return own_machine


@pytest.fixture(autouse=True)
def _empty(world: Machine) -> Iterator[None]:
    """Each test has virtual servers and addresses of its own."""
    yield
    world.check("ipvsadm -C; ip addr flush dev kube-ipvs0; iptables -F; ip6tables -F")


def endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def bind(machine: Machine, vip: str) -> None:
    """Put an address where kube-proxy puts it."""
    machine.check(
        f"ip addr add {vip}/{128 if ':' in vip else 32} dev kube-ipvs0{' nodad' if ':' in vip else ''}"
    )


def serve(machine: Machine, vip: str, *weights: int, scheduler: str = "rr", options: str = "") -> None:
    """Make a virtual server with a real server for each weight."""
    at = endpoint(vip, PORT)
    lines = [f"ipvsadm -A -t {at} -s {scheduler} {options}"]
    for pod, weight in zip(PODS[vip], weights, strict=False):
        lines.append(f"ipvsadm -a -t {at} -r {endpoint(pod, 8080)} -m -w {weight}")
    machine.check("\n".join(lines))


def ask(machine: Machine, vip: str, prefix: str = "", *, protocol: str = "tcp", count: int = 1) -> set[str]:
    """Ask so often, one after the other, and return what came of it: `answer`, or why not."""
    return set(
        machine.check(f"{prefix} perl /run/ask.pl {protocol} {vip} {PORT} {count}").decode().splitlines()
    )


CLIENT = "ip netns exec client"
REFUSED, SILENCE, ANSWER = {"Connection refused"}, {"silence"}, {"answer"}
both_families = pytest.mark.parametrize("vip", VIPS)
from_both = pytest.mark.parametrize("prefix", [CLIENT, ""], ids=["comes-in", "own"])


@from_both
@both_families
def test_without_a_real_server_packets_are_refused(world: Machine, vip: str, prefix: str) -> None:
    """ICMP port unreachable, to TCP and UDP, whoever asks (ip_vs_core.c ip_vs_leave): no silence."""
    bind(world, vip)
    serve(world, vip)
    world.check(f"ipvsadm -A -u {endpoint(vip, PORT)} -s rr")
    assert ask(world, vip, prefix) == REFUSED
    assert ask(world, vip, prefix, protocol="udp") == REFUSED


@pytest.mark.parametrize(("options", "prefix"), [("", CLIENT), ("-p 60", "")], ids=["plain", "persistent"])
@both_families
def test_weight_0_alone_is_like_no_real_server(world: Machine, vip: str, options: str, prefix: str) -> None:
    """It takes no new connections; with a weight it does."""
    bind(world, vip)
    serve(world, vip, 0, options=options)
    assert ask(world, vip, prefix) == REFUSED
    world.check(f"ipvsadm -e -t {endpoint(vip, PORT)} -r {endpoint(PODS[vip][0], 8080)} -m -w 1")
    assert ask(world, vip, prefix) == ANSWER


@both_families
def test_an_address_that_is_not_bound_is_served_to_the_node_only(world: Machine, vip: str) -> None:
    """What comes in is forwarded like any packet: IPVS looks at LOCAL_IN and at LOCAL_OUT (ip_vs_core.c ip_vs_ops4)."""
    serve(world, vip, 1)
    # Some route is needed before a packet is sent at all; this one leads to nobody.
    flag = "-6" if ":" in vip else "-4"
    world.check(f"ip link set kube-ipvs0 up; ip {flag} route add {vip} dev kube-ipvs0")
    assert ask(world, vip, CLIENT) == SILENCE
    assert ask(world, vip) == ANSWER
    bind(world, vip)
    assert ask(world, vip, CLIENT) == ANSWER
    world.check("ip link set kube-ipvs0 down")


@both_families
def test_filter_input_stands_before_ipvs(world: Machine, vip: str) -> None:
    """A packet that comes in is filtered as one to the virtual server: LOCAL_IN is at priority 99, filter at 0."""
    bind(world, vip)
    serve(world, vip, 1)
    iptables = "ip6tables" if ":" in vip else "iptables"
    world.check(f"{iptables} -A INPUT -d {vip} -p tcp --dport {PORT} -j REJECT --reject-with tcp-reset")
    assert ask(world, vip, CLIENT) == REFUSED
    assert ask(world, vip) == ANSWER


@both_families
def test_filter_output_stands_behind_ipvs(world: Machine, vip: str) -> None:
    """The node's own packets are translated first: LOCAL_OUT is at priority -98, filter at 0.

    There also come those that came in and are sent on: they are filtered as packets to the real server.
    """
    bind(world, vip)
    serve(world, vip, 1)
    iptables = "ip6tables" if ":" in vip else "iptables"
    world.check(f"{iptables} -A OUTPUT -d {vip} -p tcp --dport {PORT} -j REJECT --reject-with tcp-reset")
    assert ask(world, vip) == ANSWER
    world.check(f"{iptables} -A OUTPUT -d {PODS[vip][0]} -p tcp --dport 8080 -j DROP")
    assert ask(world, vip) == SILENCE
    assert ask(world, vip, CLIENT) == SILENCE


@both_families
def test_the_source_of_own_packets_is_the_virtual_server(world: Machine, vip: str) -> None:
    """The node's own packets to a bound address have that address as source, as the rules against it assume."""
    bind(world, vip)
    assert f"src {vip}" in world.check(f"ip route get {vip}").decode()


@pytest.mark.parametrize(
    ("scheduler", "weights", "shares"),
    [("rr", (3, 1), (4, 4)), ("wrr", (3, 1), (6, 2))],
)
@both_families
def test_weights_are_shares_by_wrr_only(
    world: Machine, vip: str, scheduler: str, weights: tuple[int, int], shares: tuple[int, int]
) -> None:
    """rr gives each the same, whatever its weight; wrr gives by weight."""
    bind(world, vip)
    serve(world, vip, *weights, scheduler=scheduler)
    world.check("ipvsadm -Z")
    assert ask(world, vip, CLIENT, count=8) == ANSWER
    # The kernel sums the counters of its processors up every two seconds (ip_vs_est.c).
    (server,) = parse_statistics(world.check("sleep 3; ipvsadm -Ln --stats"))
    assert server.traffic.connections == 8
    assert server.traffic.in_packets > 0
    assert tuple(each.traffic.connections for each in server.real_servers) == shares
    (listed,) = parse_listed(world.check("ipvsadm -Ln"))
    counts = [
        (each.active_connections or 0) + (each.inactive_connections or 0) for each in listed.real_servers
    ]
    # Connections of earlier tests that wait for their end are counted too: the kernel finds the real server again.
    assert all(count >= share for count, share in zip(counts, shares, strict=True))
    (rates,) = parse_rates(world.check("ipvsadm -Ln --rate"))
    assert [each.address for each in rates.real_servers] == [each.address for each in server.real_servers]


@pytest.mark.parametrize(("switch", "method"), [("-m", Forwarding.MASQ), ("-g", Forwarding.ROUTE)])
def test_a_real_server_on_the_node_is_as_it_was_asked_for(
    world: Machine, switch: str, method: Forwarding
) -> None:
    """Kernels of today leave the method; ipvsadm(8) still says that it becomes Local."""
    world.check(f"ipvsadm -A -t 10.96.0.20:80 -s rr; ipvsadm -a -t 10.96.0.20:80 -r 10.244.1.1:80 {switch}")
    (saved,) = parse_saved(world.check("ipvsadm -Sn"))
    (listed,) = parse_listed(world.check("ipvsadm -Ln"))
    assert saved.real_servers[0].forwarding is listed.real_servers[0].forwarding is method


def test_what_is_written_can_be_restored(world: Machine) -> None:
    """`ipvsadm -R` takes what the package writes, and saves the same again."""
    world.check("ipvsadm -A -f 7 -6 -s rr -p 300 -M 64; ipvsadm -a -f 7 -6 -r [fd00::9]:0 -g -w 3")
    serve(world, VIPS[1], 2, 0, scheduler="wrr", options="-p 60 -M 64")
    serve(world, VIPS[0], 1)
    before = parse_saved(world.check("ipvsadm -Sn"))
    assert ServiceAddress(family=6, fwmark=7) in [each.service for each in before]
    text = render_virtual_servers(before)
    world.check(f"ipvsadm -C; ipvsadm -R <<'END'\n{text}END")
    assert parse_saved(world.check("ipvsadm -Sn")) == before

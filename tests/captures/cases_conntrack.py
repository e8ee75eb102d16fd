"""Captures of conntrack-tools, of the conntrack sysctls and of what the kernel's log says of a full table.

A node with three pods, a Service or two in nft's words, and real packets between them; what real packets cannot make
here (a state between two others, a protocol that this kernel has no tracker for) the tool itself puts into the table.

No table is listed twice with the same ids and times. So a case that is there stays: to capture one anew, remove its
files first.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from tests.captures.conntrack_lab import (
    SERVER,
    SERVER6,
    Lab,
    ask,
    close_sockets,
    connect,
    events,
    family_of,
    inside,
    let_expire,
    listen,
    send_raw,
    talk,
)
from tests.netns.table import fill_table, send_one
from tests.netns.world import new_world

Save = Callable[[str, str, str, bytes, str], None]

LIST = "conntrack -L -o extended,id"
FAMILIES = ("ipv4", "ipv6")
EVENTS = "conntrack -E -o extended,id,timestamp"
SYSCTLS = "grep -Hs '' /proc/sys/net/netfilter/nf_conntrack_* /sys/module/nf_conntrack/parameters/hashsize"
TOOLS = Path(__file__).parent / "tools"


def capture_conntrack(save: Save) -> None:
    """Make every case that is not there yet."""
    conntrack = _version("conntrack", "--version")

    def keep(tool: str, case: str, command: str, output: bytes, version: str = conntrack) -> None:
        if not (TOOLS / tool / f"{case}.out").exists():
            save(tool, case, command, output, version)

    for capture in (
        capture_tcp,
        capture_nat,
        capture_protocols,
        capture_zones,
        capture_times,
        capture_labels,
        capture_events,
        capture_limits,
    ):
        with new_world() as world:
            capture(Lab(world), keep)
        close_sockets()


Keep = Callable[..., None]


def _version(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, check=True)
    return done.stdout.decode().partition("\n")[0].strip()


def listing_of(family: str) -> str:
    """The probe's command."""
    return f"conntrack -L -f {family} -o extended,id"


def capture_tcp(lab: Lab, keep: Keep) -> None:
    """Connections in the states that they rest in, and in those that they only pass."""
    server, ftp, marked = (listen(lab.server, port) for port in (8080, 21, 9090))
    listen(lab.server, 8081)
    for address in (SERVER, SERVER6):
        talk(connect(lab.client, address, 8080, 40001), server)
        talk(connect(lab.neighbour, address, 8080, 40001), server)
        accepted = talk(closed := connect(lab.client, address, 8080, 40002), server)
        closed.close()
        time.sleep(0.1)
        accepted.close()
        half = connect(lab.client, address, 8080, 40003)
        talk(half, server)
        half.shutdown(socket.SHUT_WR)
        connect(lab.client, address, 8081, 40004)
        talk(reset := connect(lab.client, address, 8080, 40005), server)
        # Closed so, a socket sends RST.
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reset.close()
        talk(connect(lab.client, address, 21, 40006), ftp)
        talk(connect(lab.client, address, 9090, 40007), marked)
    connect(lab.client, "10.244.2.77", 80, 40008)
    connect(lab.client, "fd00:10:244:2::77", 80, 40008)
    for port, state in enumerate(("NONE", "SYN_SENT2", "FIN_WAIT", "LAST_ACK"), 41000):
        lab.insert(f"-s 10.0.0.1 -d 10.0.0.2 -p tcp --sport {port} --dport 8 --state {state} -t 99 -m 99")
        lab.insert(f"-s fd00::1 -d fd00::2 -p tcp --sport {port} --dport 8 --state {state} -t 99 -m 99")
    for family in FAMILIES:
        keep("conntrack-list", f"tcp-{family}", listing_of(family), lab.shell(listing_of(family)))


def capture_nat(lab: Lab, keep: Keep) -> None:
    """Through Services, a node port, a Service that leads back to the pod itself; and one that no rule knows."""
    server = listen(lab.server, 8080)
    own = listen(lab.client, 8080)
    for service, itself, node, dns, unknown in (
        ("10.96.0.20", "10.96.0.21", "10.244.1.1", "10.96.0.10", "10.96.0.99"),
        ("fd00:10:96::20", "fd00:10:96::21", "fd00:10:244:1::1", "fd00:10:96::10", "fd00:10:96::99"),
    ):
        lab.node.ip(f"route replace {unknown} dev veth9")
        talk(connect(lab.client, service, 80, 42001), server)
        talk(connect(lab.client, itself, 80, 42002), own)
        talk(connect(lab.neighbour, node, 30080, 42003), server)
        ask(lab.client, lab.server, dns, (53, 5353), 42004)
        with inside(lab.client), socket.socket(family_of(dns), socket.SOCK_DGRAM) as lost:
            lost.bind(("::" if ":" in dns else "0.0.0.0", 42005))
            lost.sendto(b"question", (unknown, 53))
    for family in FAMILIES:
        keep("conntrack-list", f"nat-{family}", listing_of(family), lab.shell(listing_of(family)))
    keep("conntrack-list", "nat-not-extended", "conntrack -L", lab.shell("conntrack -L"))
    keep("conntrack-list", "empty", "conntrack -L -p udplite", lab.shell("conntrack -L -p udplite"))


def capture_protocols(lab: Lab, keep: Keep) -> None:
    """All that have keys of their own, and one that has none."""
    for address in (SERVER, SERVER6):
        ask(lab.client, lab.server, address, (5300, 5300), 43001)
        lab.client.enter("busybox", "ping6" if ":" in address else "ping", "-c", "2", "-W", "2", address)
        send_raw(lab.client, address, 89, b"\2\1\0\x2c" + bytes(40))
        send_raw(lab.client, address, 47, b"\0\0\x08\0" + bytes(20))
    ask(lab.client, lab.server, SERVER, (5301, 5301), 43002)
    time.sleep(2.2)
    # A flow of UDP becomes [ASSURED] only if it has lived for two seconds by the time of an answer.
    ask(lab.client, lab.server, SERVER, (5301, 5301), 43002, times=2)
    # Nobody wrote the checksum of this association's first chunk.
    lab.sysctl("netfilter/nf_conntrack_checksum", 0)
    init = struct.pack("!HHII", 4000, 9999, 0, 0) + struct.pack("!BBHIIHHI", 1, 0, 20, 7, 65535, 1, 1, 1)
    send_raw(lab.client, SERVER, 132, init)
    send_raw(lab.client, SERVER6, 132, init)
    for pair in ("-s 10.0.0.1 -d 10.0.0.2", "-s fd00::1 -d fd00::2"):
        for port, state in enumerate(("CLOSED", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_ACK_SENT"), 4001):
            lab.insert(
                f"{pair} -p sctp --sport {port} --dport 9999 --state {state} -t 199 "
                f"--orig-vtag 1 --reply-vtag 2 -u SEEN_REPLY,ASSURED"
            )
        lab.insert(f"{pair} -p udplite --sport 7 --dport 8 -t 99")
        lab.insert(f"{pair} -p dccp --sport 7 --dport 8 --state OPEN --role client -t 99")
        lab.insert(f"{pair} -p gre --srckey 0x7 --dstkey 0x100 -t 99")
    for family in FAMILIES:
        keep("conntrack-list", f"protocols-{family}", listing_of(family), lab.shell(listing_of(family)))
    keep("conntrack-list", "protocols-not-extended", "conntrack -L", lab.shell("conntrack -L"))


def capture_zones(lab: Lab, keep: Keep) -> None:
    """Zones of both directions and of one."""
    for address in (SERVER, SERVER6):
        ask(lab.client, lab.server, address, (7007, 7007), 44001)
        for port in (7009, 7011):
            with inside(lab.client), socket.socket(family_of(address), socket.SOCK_DGRAM) as one:
                one.bind(("::" if ":" in address else "0.0.0.0", 44002))
                one.sendto(b"question", (address, port))
    for pair in ("-s 10.0.0.1 -d 10.0.0.2", "-s fd00::1 -d fd00::2"):
        lab.insert(f"{pair} -p tcp --sport 7 --dport 8 --state ESTABLISHED -t 99 -w 7 -m 99")
        lab.insert(f"{pair} -p tcp --sport 7 --dport 8 --state ESTABLISHED -t 99 --orig-zone 9")
        lab.insert(f"{pair} -p tcp --sport 9 --dport 8 --state ESTABLISHED -t 99 --reply-zone 65535")
    for family in FAMILIES:
        keep("conntrack-list", f"zones-{family}", listing_of(family), lab.shell(listing_of(family)))


def capture_times(lab: Lab, keep: Keep) -> None:
    """Flows that are not counted, as accounting was off when they began; and when flows began."""
    lab.sysctl("netfilter/nf_conntrack_acct", 0)
    for address in (SERVER, SERVER6):
        ask(lab.client, lab.server, address, (5300, 5300), 45001)
    lab.sysctl("netfilter/nf_conntrack_acct", 1)
    lab.sysctl("netfilter/nf_conntrack_timestamp", 1)
    for address in (SERVER, SERVER6):
        ask(lab.client, lab.server, address, (5301, 5301), 45002)
    time.sleep(1.1)
    keep("conntrack-list", "accounting-and-times", LIST, lab.shell(LIST))
    command = "conntrack -L -o extended,id,ktimestamp"
    keep("conntrack-list", "kernel-times", command, lab.shell(command))


def capture_labels(lab: Lab, keep: Keep) -> None:
    """Labels by name; and so many of them that the line fills the tool's buffer and loses its end."""
    names = [f"label-{number}-{'x' * 100}" if number > 1 else f"label-{number}" for number in range(128)]
    config = "".join(f"{number} {name}\n" for number, name in enumerate(names))
    prepare = 'mount -t tmpfs none /etc && mkdir /etc/xtables && printf %s "$1" >/etc/xtables/connlabel.conf'
    lines = [
        "conntrack -I -s 10.0.0.1 -d 10.0.0.2 -p udp --sport 7 --dport 8 -t 99",
        "conntrack -I -s fd00::1 -d fd00::2 -p udp --sport 7 --dport 8 -t 99",
        f"conntrack -U -s 10.0.0.1 -d 10.0.0.2 --label-add {names[0]},{names[1]}",
        f"conntrack -U -f ipv6 -s fd00::1 -d fd00::2 --label-add {names[0]}",
    ]
    # A rule on labels makes the kernel give each new entry room for them.
    lab.load(
        "table inet labels {\n chain any {\n type filter hook input priority 0\n ct label 5 accept\n }\n}\n"
    )
    command = "conntrack -L -o extended,id,labels"

    def labelled(*commands: str) -> bytes:
        script = f"({prepare}; {'; '.join(commands)}) >/dev/null 2>&1; {command}"
        return lab.node.enter("unshare", "--mount", "sh", "-c", script, "sh", config)

    keep("conntrack-list", "labels", command, labelled(*lines))
    for case, count in (("long", 20), ("cut-by-the-tool", 128)):
        output = labelled(f"conntrack -U -s 10.0.0.1 -d 10.0.0.2 --label-add {','.join(names[:count])}")
        keep("conntrack-list", case, command, output)


def capture_events(lab: Lab, keep: Keep) -> None:
    """Flows that begin, change and end, by packets and by a program."""
    lab.sysctl("netfilter/nf_conntrack_timestamp", 1)
    for name in ("udp_timeout", "udp_timeout_stream", "icmpv6_timeout", "tcp_timeout_time_wait"):
        lab.sysctl(f"netfilter/nf_conntrack_{name}", 1)
    server = listen(lab.server, 8080)
    with events(lab, EVENTS) as output:
        for service, dns in (("10.96.0.20", "10.96.0.10"), ("fd00:10:96::20", "fd00:10:96::10")):
            client = connect(lab.client, service, 80, 46001)
            accepted = talk(client, server)
            client.close()
            time.sleep(0.1)
            accepted.close()
            ask(lab.client, lab.server, dns, (53, 5353), 46002)
        lab.client.enter("busybox", "ping6", "-c", "1", "-W", "2", SERVER6)
        let_expire(lab)
    keep("conntrack-event", "packets", EVENTS, output[0])
    with events(lab, EVENTS) as output:
        for pair in ("-s 10.0.0.1 -d 10.0.0.2", "-s fd00::1 -d fd00::2"):
            lab.insert(f"{pair} -p udp --sport 7 --dport 8 -t 99")
            lab.node.enter("conntrack", "-U", *pair.split(), "-p", "udp", "-m", "5")
            lab.node.enter("conntrack", "-D", *pair.split(), "-p", "udp")
    keep("conntrack-event", "programs", EVENTS, output[0])
    lab.sysctl("netfilter/nf_conntrack_timestamp", 0)
    with events(lab, "conntrack -E") as output:
        ask(lab.client, lab.server, SERVER6, (5300, 5300), 46003)
        ask(lab.client, lab.server, SERVER, (5300, 5300), 46003)
        let_expire(lab)
    keep("conntrack-event", "not-extended", "conntrack -E", output[0])


def capture_limits(lab: Lab, keep: Keep) -> None:
    """Statistics and sysctls before and after a table is full, and what the kernel's log says then."""
    dmesg = _version("dmesg", "--version")
    ask(lab.client, lab.server, SERVER6, (5300, 5300), 47001)
    keep("conntrack-stat", "quiet", "conntrack -S", lab.shell("conntrack -S"))
    keep("conntrack-sysctl", "in-a-netns", SYSCTLS, lab.shell(SYSCTLS), _version("grep", "--version"))
    busybox = f"busybox {SYSCTLS}"
    keep("conntrack-sysctl", "busybox", busybox, lab.shell(busybox), _version("busybox"))
    none = "dmesg --json --since 2100-01-01"
    keep("dmesg", "no-records", none, lab.shell(none), dmesg)
    if all((TOOLS / "dmesg" / f"{case}.out").exists() for case in ("table-full-in-netns", "with-names")):
        return  # the kernel's log is the machine's: no line of ours without need
    since = (datetime.now() - timedelta(seconds=1)).strftime("%F %T")
    fill_table(lab.node)
    send_one(lab.node, "127.0.0.1")
    send_one(lab.node, "::1")
    keep("conntrack-stat", "full-table", "conntrack -S", lab.shell("conntrack -S"))
    # Any program may write to the log; the kernel marks such a record as a user's.
    with contextlib.suppress(OSError):
        Path("/dev/kmsg").write_text("<4>nf_conntrack: nf_conntrack: table full, dropping packet\n")
    for case, command in (("table-full-in-netns", "dmesg --json"), ("with-names", "dmesg --json -x")):
        keep("dmesg", case, command, lab.shell(f"{command} --since '{since}'"), dmesg)

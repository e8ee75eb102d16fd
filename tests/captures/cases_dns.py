"""Captures of dig's answers, and of the series that `probes/dns.sh` makes of them.

The name server is the tests' own, on loopback addresses, so that every answer is one that was chosen. As ids and times
never come twice, a case that is there stays: to capture one anew, remove its files first.

dig's output without its exit code would be half of what the parser reads: each case is the output of a command line
that prints the exit code behind it.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.fake.dns_server import (
    AD,
    NODATA,
    RA,
    REFUSED,
    SERVFAIL,
    SILENCE,
    TC,
    Record,
    Reply,
    serve_dns,
)

Save = Callable[[str, str, str, bytes, str], None]

TOOLS = Path(__file__).parent / "tools"
SCRIPT = Path(__file__).parents[2] / "netinspect" / "probes" / "dns.sh"
SERVERS = ("127.0.0.10", "::1")
# What dns.sh tells dig, with a shorter wait.
_DIG = "dig -r -u +nocmd +tries=1 +time=1 +nosearch +noedns +ignore"
_ROUTES = ("unreachable 192.0.2.1", "prohibit 192.0.2.2", "blackhole 192.0.2.3", "unreachable 2001:db8::1")

_A, _AAAA = Record("A", "10.96.0.1"), Record("AAAA", "fd00:10:96::1")
_CHAIN = (Record("CNAME", "two.test."), Record("CNAME", "three.test.", owner="two.test."))
_MANY = tuple(Record("A", f"10.244.1.{number}") for number in range(1, 41))
_COOKIE = (10, bytes.fromhex("0102030405060708" * 2))
_EDE = (15, (22).to_bytes(2) + b"no upstream answers")

TABLE: Mapping[tuple[str, str], Reply] = {
    ("a.test.", "A"): Reply(answer=(_A,)),
    ("a.test.", "AAAA"): Reply(answer=(_AAAA,)),
    ("chain.test.", "A"): Reply(
        answer=(*_CHAIN, Record("A", "192.0.2.7", owner="three.test.")), flags=RA | AD
    ),
    ("chain.test.", "AAAA"): Reply(
        answer=(*_CHAIN, Record("AAAA", "2001:db8::7", owner="three.test.")), flags=RA
    ),
    ("srv.test.", "SRV"): Reply(
        answer=(Record("SRV", "0 50 53 one.test."), Record("SRV", "0 50 53 two.test.")),
        additional=(
            Record("A", "10.244.1.5", owner="one.test."),
            Record("AAAA", "fd00::5", owner="one.test."),
        ),
    ),
    ("txt.test.", "TXT"): Reply(
        answer=(Record("TXT", 'a "quoted" \\ word|é|'), Record("TXT", "; no remark"))
    ),
    ("ptr.test.", "PTR"): Reply(answer=(Record("PTR", "web.demo.svc.cluster.local."),)),
    ("other.test.", "TYPE65280"): Reply(answer=(Record("TYPE65280", "00ff10"),)),
    ("svc.cluster.local.", "A"): NODATA,
    ("empty.test.", "A"): Reply(flags=0),
    ("servfail.test.", "A"): SERVFAIL,
    ("refused.test.", "A"): REFUSED,
    ("notimp.test.", "A"): Reply("NOTIMP", flags=0),
    ("formerr.test.", "A"): Reply("FORMERR", flags=0, question=""),
    ("yxdomain.test.", "A"): Reply(6),
    ("reserved.test.", "A"): Reply(13),
    ("extended.test.", "A"): Reply(100, opt=()),
    ("badvers.test.", "A"): Reply(16, opt=()),
    ("edns.test.", "A"): Reply(answer=(_A,), opt=()),
    ("options.test.", "A"): Reply("SERVFAIL", flags=RA, opt=(_EDE, _COOKIE, (3, b"ns-1"))),
    ("silent.test.", "A"): SILENCE,
    ("reset.test.", "A"): Reply(reset=True),
    ("id.test.", "A"): Reply(answer=(_A,), change_id=1),
    ("question.test.", "A"): Reply(answer=(_A,), question=("forged.test.", "A")),
    ("noquestion.test.", "A"): Reply(
        answer=(Record("A", "10.96.0.1", owner="noquestion.test."),), question=""
    ),
    ("many.test.", "A/udp"): Reply(answer=_MANY[:5], flags=TC),
    ("many.test.", "A/tcp"): Reply(answer=_MANY),
    ("short.test.", "A"): Reply(raw=b"\x80\0\0"),
    ("nothing.test.", "A"): Reply(raw=b""),
    # A header that announces an answer which is not there.
    ("cut.test.", "A"): Reply(raw=bytes.fromhex("8400 0001 0001 0000 0000 03637574 0474657374 00 0001 0001")),
    # A question only, without the bit that makes it an answer.
    ("query.test.", "A"): Reply(
        raw=bytes.fromhex("0100 0001 0000 0000 0000 05717565727904 74657374 00 0001 0001")
    ),
    ("trailing.test.", "A"): Reply(
        raw=bytes.fromhex("8400 0001 0000 0000 0000 08747261696c696e67 0474657374 00 0001 0001 ffff")
    ),
}

# By case: the server and what else dig is told.
CASES: Mapping[str, str] = {
    "noerror-a": "@127.0.0.10 -t A -q a.test.",
    "noerror-a-tcp": "+tcp @127.0.0.10 -t A -q a.test.",
    "noerror-aaaa-by-ipv6": "@::1 -t AAAA -q a.test.",
    "noerror-aaaa-by-ipv6-tcp": "+tcp @::1 -t AAAA -q a.test.",
    "noerror-cname-chain": "@127.0.0.10 -t A -q chain.test.",
    "noerror-cname-chain-ipv6": "@::1 -t AAAA -q chain.test.",
    "noerror-srv-additional": "@127.0.0.10 -t SRV -q srv.test.",
    "noerror-txt": "@127.0.0.10 -t TXT -q txt.test.",
    "noerror-ptr": "@127.0.0.10 -t PTR -q ptr.test.",
    "noerror-unknown-type": "@127.0.0.10 -t TYPE65280 -q other.test.",
    "noerror-milliseconds-and-command": "NO-U @127.0.0.10 -t A -q a.test.",
    "nxdomain": "@127.0.0.10 -t A -q nosuch.svc.cluster.local.",
    "nodata": "@127.0.0.10 -t A -q svc.cluster.local.",
    "nodata-without-soa": "@127.0.0.10 -t A -q empty.test.",
    "servfail": "@127.0.0.10 -t A -q servfail.test.",
    "refused": "@127.0.0.10 -t A -q refused.test.",
    "notimp": "@127.0.0.10 -t A -q notimp.test.",
    "formerr-without-question": "@127.0.0.10 -t A -q formerr.test.",
    "yxdomain": "@127.0.0.10 -t A -q yxdomain.test.",
    "rcode-reserved": "@127.0.0.10 -t A -q reserved.test.",
    "rcode-without-name": "@127.0.0.10 -t A -q extended.test.",
    "badvers": "@127.0.0.10 -t A -q badvers.test.",
    "edns": "+edns @127.0.0.10 -t A -q edns.test.",
    "edns-ede-cookie-nsid": "+edns +dnssec +nsid @127.0.0.10 -t A -q options.test.",
    "timed-out": "@127.0.0.10 -t A -q silent.test.",
    "timed-out-ipv6": "@::1 -t A -q silent.test.",
    "eof-tcp": "+tcp @127.0.0.10 -t A -q silent.test.",
    "reset-tcp": "+tcp @127.0.0.10 -t A -q reset.test.",
    "reset-tcp-ipv6": "+tcp @::1 -t A -q reset.test.",
    "connection-refused": "@127.0.0.99 -t A -q a.test.",
    "connection-refused-tcp": "+tcp @127.0.0.99 -t A -q a.test.",
    "connection-refused-ipv6": "@::1 -p 54 -t A -q a.test.",
    "connection-refused-ipv6-tcp": "+tcp @::1 -p 54 -t A -q a.test.",
    "network-unreachable": "@10.255.0.1 -t A -q a.test.",
    "network-unreachable-tcp": "+tcp @10.255.0.1 -t A -q a.test.",
    "network-unreachable-ipv6": "@2001:db8:9::1 -t A -q a.test.",
    "host-unreachable": "@192.0.2.1 -t A -q a.test.",
    "host-unreachable-ipv6-tcp": "+tcp @2001:db8::1 -t A -q a.test.",
    "prohibited": "@192.0.2.2 -t A -q a.test.",
    "blackhole": "@192.0.2.3 -t A -q a.test.",
    "id-mismatch": "@127.0.0.10 -t A -q id.test.",
    "id-mismatch-tcp": "+tcp @127.0.0.10 -t A -q id.test.",
    "question-mismatch": "@127.0.0.10 -t A -q question.test.",
    "question-mismatch-tcp": "+tcp @127.0.0.10 -t A -q question.test.",
    "question-missing": "@127.0.0.10 -t A -q noquestion.test.",
    "truncated": "@127.0.0.10 -t A -q many.test.",
    "truncated-asked-again": "+noignore @127.0.0.10 -t A -q many.test.",
    "short-message": "@127.0.0.10 -t A -q short.test.",
    "short-message-tcp": "+tcp @127.0.0.10 -t A -q short.test.",
    "empty-message": "@127.0.0.10 -t A -q nothing.test.",
    "malformed": "@127.0.0.10 -t A -q cut.test.",
    "malformed-tcp": "+tcp @::1 -t A -q cut.test.",
    "no-answer-bit": "@127.0.0.10 -t A -q query.test.",
    "bytes-behind-the-message": "@127.0.0.10 -t A -q trailing.test.",
    "name-too-long": f"@127.0.0.10 -t A -q {'x' * 64}.test.",
    "name-with-empty-label": "@127.0.0.10 -t A -q a..test.",
    "name-empty": "@127.0.0.10 -t A -q ''",
    "name-odd": """@127.0.0.10 -t A -q '+@ "é;.test.'""",
    "type-unknown": "@127.0.0.10 -t NOSUCH -q a.test.",
    "server-unknown": "@nosuch.invalid -t A -q a.test.",
    "server-link-local-without-link": "@fe80::1 -t A -q a.test.",
}

_QUESTIONS = (
    *("127.0.0.10", "53", "udp", "A", "a.test."),
    *("::1", "53", "tcp", "AAAA", "a.test."),
    *("::1", "53", "udp", "A", "nosuch.svc.cluster.local."),
    *("127.0.0.99", "53", "udp", "A", "a.test."),
    *("127.0.0.10", "53", "udp", "TXT", "txt.test."),
    *("127.0.0.10", "53", "udp", "A", '+@ "é\n.test.'),
    *("127.0.0.10", "53", "udp", "A", "a..test."),
)
_RUNS: Mapping[str, tuple[str, ...]] = {
    "two-rounds": ("2", "0", "60", *_QUESTIONS),
    "no-time": ("2", "0", "0", *_QUESTIONS),
    "nothing-to-ask": ("1", "0", "60"),
}


def capture_dns(save: Save) -> None:
    """Capture in the network namespace that we are in, which has to be one of our own."""
    if shutil.which("dig") is None:
        sys.stderr.write("no dig here (Debian: bind9-dnsutils): its captures stay as they are\n")
        return
    shell("ip link set lo up")
    for route in _ROUTES:
        shell(f"ip route add {route}")
    with ExitStack() as stack:
        for address in SERVERS:
            stack.enter_context(serve_dns(TABLE, address=address, port=53))
        version = shell("dig -v 2>&1").decode().strip()
        for case, told in CASES.items():
            if not _is_there("dig", case):
                capture_dig(save, case, told, version)
        for case, arguments in _RUNS.items():
            if not _is_there("dig-runs", case):
                capture_runs(save, case, arguments, version)


def capture_dig(save: Save, case: str, told: str, version: str) -> None:
    start = "dig -r +tries=1 +time=1 +noedns" if told.startswith("NO-U ") else _DIG
    command = f'{start} {told.removeprefix("NO-U ")} 2>&1; echo "exit $?"'
    save("dig", case, command, shell(f"export LC_ALL=C; {command}"), version)


def capture_runs(save: Save, case: str, arguments: tuple[str, ...], version: str) -> None:
    argv = ("sh", "-c", SCRIPT.read_text(), "sh", *arguments)
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
    words = re.sub(r"\n", r"\\n", shlex.join(arguments))
    save("dig-runs", case, f"sh netinspect/probes/dns.sh {words}", done.stdout, version)


def shell(script: str) -> bytes:
    return subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, check=True).stdout


def _is_there(tool: str, case: str) -> bool:
    return (TOOLS / tool / f"{case}.out").exists()

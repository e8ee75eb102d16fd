"""Real resolvers under observation: getaddrinfo of glibc and of musl, with a resolv.conf and name servers of our own.

Run as a program it is the laboratory: in network and mount namespaces that it makes for itself, it serves names on
loopback addresses at port 53, looks names up, and tells what was asked and what came of it. Cases come as JSON on
stdin, results go as JSON to stdout. `run_lab` starts it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.fake.dns_server import NODATA, NXDOMAIN, REFUSED, SERVFAIL, SILENCE, Record, Reply, serve_dns

GLIBC_LOOKUP = """
import os, socket, sys
try:
    # Bytes: Python's own rules for names (IDNA) stay out.
    found = socket.getaddrinfo(os.fsencode(sys.argv[1]), None, type=socket.SOCK_STREAM)
except socket.gaierror as error:
    print(error.errno)
else:
    print(0, *(each[4][0] for each in found), sep="\\n")
"""
REPLIES = {
    "nodata": NODATA,
    "nxdomain": NXDOMAIN,
    "servfail": SERVFAIL,
    "refused": REFUSED,
    "notimp": Reply("NOTIMP"),
    "formerr": Reply("FORMERR"),
    "lame": Reply(flags=0),
    "silent": SILENCE,
    "cname": Reply(answer=(Record("CNAME", "nowhere.test."),)),
}


@dataclass(frozen=True)
class Case:
    """A lookup.

    Attributes:
        name: what to look up.
        resolv_conf: the text of the file.
        servers: for each address that is served, what it says: by "NAME TYPE", an address or a word of `REPLIES`. All
            else does not exist.
        libc: `glibc` or `musl`.
    """

    name: str
    resolv_conf: str
    servers: Mapping[str, Mapping[str, str]]
    libc: str = "glibc"


@dataclass(frozen=True)
class Seen:
    """What was seen of a lookup.

    Attributes:
        code: getaddrinfo's result: 0, or the EAI_ number; the signal's as below zero if that killed it.
        addresses: what it returned.
        asked: (server, protocol, name, type) of each question, in the order in which they came in.
        took_s: how long it took.
    """

    code: int
    addresses: tuple[str, ...]
    asked: tuple[tuple[str, str, str, str], ...]
    took_s: float


def why_not(libc: str) -> str | None:
    """Say why this libc's resolver cannot be observed here; None where it can."""
    if os.geteuid() != 0:
        return "needs root"
    if libc == "musl":
        return None if shutil.which("musl-gcc") else "musl-gcc is not installed"
    return None if platform.libc_ver()[0] == "glibc" else "this Python has another libc than glibc"


def musl_version() -> tuple[int, ...]:
    """Return the version of the musl that is observed here, as its loader prints it."""
    wrapper = Path(shutil.which("musl-gcc") or "").read_text()
    (specs,) = re.findall(r'"([^"]+\.specs)"', wrapper)
    (loader,) = re.findall(r"-dynamic-linker (\S+)", Path(specs).read_text())
    printed = subprocess.run([loader], capture_output=True, text=True, check=False).stderr
    (version,) = re.findall(r"^Version ([0-9.]+)", printed, re.MULTILINE)
    return tuple(int(part) for part in version.split("."))


def run_lab(cases: Sequence[Case]) -> list[Seen]:
    """Run the cases one after the other, in namespaces of their own."""
    argv = ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, __file__]
    sent = json.dumps([asdict(case) for case in cases])
    done = subprocess.run(argv, input=sent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [
        Seen(
            code=each["code"],
            addresses=tuple(each["addresses"]),
            asked=tuple(tuple(question) for question in each["asked"]),
            took_s=each["took_s"],
        )
        for each in json.loads(done.stdout)
    ]


@dataclass
class _Bench:
    folder: Path
    programs: dict[str, list[str]] = field(default_factory=dict)

    def program(self, libc: str) -> list[str]:
        if libc == "glibc":
            return [sys.executable, "-I", "-S", "-c", GLIBC_LOOKUP]
        if libc not in self.programs:
            built = self.folder / "lookup"
            source = Path(__file__).with_name("lookup.c")
            subprocess.run(["musl-gcc", "-static", "-o", str(built), str(source)], check=True)
            self.programs[libc] = [str(built)]
        return self.programs[libc]


def _table(said: Mapping[str, str]) -> dict[tuple[str, str], Reply]:
    table = {}
    for key, word in said.items():
        name, kind = key.split()
        table[name, kind] = REPLIES.get(word) or Reply(answer=(Record(kind, word),))
    return table


def _observe(bench: _Bench, case: Case) -> Seen:
    (bench.folder / "resolv.conf").write_text(case.resolv_conf)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(serve_dns(_table(said), address=address, port=53))
            for address, said in case.servers.items()
        ]
        begun = time.monotonic()
        argv = [*bench.program(case.libc), case.name]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        took_s = time.monotonic() - begun
        asked = [
            (each.at, (server.address, each.protocol, _as_given(each.name), each.type))
            for server in servers
            for each in server.asked
        ]
    lines = done.stdout.split("\n")
    code = int(lines[0]) if done.returncode == 0 else done.returncode
    addresses = tuple(dict.fromkeys(line for line in lines[1:] if line))
    return Seen(code, addresses, tuple(question for _, question in sorted(asked)), took_s)


def _as_given(name: str) -> str:
    """The server keeps bytes as Latin-1; names are given in UTF-8."""
    return name.encode("latin-1").decode("utf-8", "backslashreplace")


def main() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "resolv.conf").write_text("")
        (folder / "nsswitch.conf").write_text("hosts: dns\n")
        for file in ("resolv.conf", "nsswitch.conf"):
            subprocess.run(["mount", "--bind", str(folder / file), f"/etc/{file}"], check=True)
        bench = _Bench(folder)
        cases = [Case(**each) for each in json.loads(sys.stdin.read())]
        sys.stdout.write(json.dumps([asdict(_observe(bench, case)) for case in cases]))


if __name__ == "__main__":
    main()

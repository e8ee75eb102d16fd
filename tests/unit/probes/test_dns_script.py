"""dns.sh itself, in each shell that a node-tools image may have, with the real dig and a name server of our own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import pytest

import netinspect.probes
from netinspect.models.dns import DnsAnswer, DnsOutcome, DnsRun
from netinspect.models.fact import Known
from netinspect.parse.dig_runs import parse_dig_runs
from tests.fake.dns_server import TC, DnsServer, Record, Reply, serve_dns
from tests.unit.probes.shells import SHELLS, Shell, new_shell, why_missing

SCRIPT = Path(netinspect.probes.__file__).with_name("dns.sh").read_text()
SLOW = Reply(answer=(Record("A", "192.0.2.9"),), delay_s=0.4)
TABLE: Mapping[tuple[str, str], Reply] = {
    ("a.test.", "A"): Reply(answer=(Record("A", "10.96.0.1"),)),
    ("a.test.", "AAAA"): Reply(answer=(Record("AAAA", "fd00:10:96::1"),)),
    ("slow.test.", "A"): SLOW,
    ("many.test.", "A/udp"): Reply(answer=(Record("A", "192.0.2.1"),), flags=TC),
    ("many.test.", "A/tcp"): Reply(answer=(Record("A", "192.0.2.1"), Record("A", "192.0.2.2"))),
}


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell with its own tools, and dig."""
    dig = shutil.which("dig")
    reason = why_missing(request.param) or (None if dig else "dig is not installed (Debian: bind9-dnsutils)")
    if reason is not None:
        pytest.skip(reason)
    made = new_shell(request.param, tmp_path_factory.mktemp("applets"))
    only_dig = tmp_path_factory.mktemp("dig")
    (only_dig / "dig").symlink_to(str(dig))
    return Shell(made.argv, f"{only_dig}:{made.path}")


@pytest.fixture(scope="module", params=["::1", "127.0.0.1"])
def server(request: pytest.FixtureRequest) -> Iterator[DnsServer]:
    with ExitStack() as stack:
        try:
            made = stack.enter_context(serve_dns(TABLE, address=request.param))
        except OSError as error:
            pytest.skip(f"{request.param} cannot be listened on: {error}")
        yield made


def start(shell: Shell, *arguments: str, locale: str = "C.UTF-8") -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "PATH": shell.path, "LC_ALL": locale}
    return subprocess.run(
        [*shell.argv, "-c", SCRIPT, "sh", *arguments], capture_output=True, env=env, check=False
    )


def ask(shell: Shell, *questions: tuple[str, ...], rounds: str = "1", pause: str = "0") -> tuple[DnsRun, ...]:
    done = start(shell, rounds, pause, "60", *(word for question in questions for word in question))
    assert (done.returncode, done.stderr) == (0, b"")
    return parse_dig_runs(done.stdout)


def question(server: DnsServer, name: str, kind: str = "A", protocol: str = "udp") -> tuple[str, ...]:
    return (server.address, str(server.port), protocol, kind, name)


def answer_of(run: DnsRun) -> DnsAnswer:
    assert isinstance(run.answer, Known), run.answer
    return run.answer.value


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_question_is_put_as_told(shell: Shell, server: DnsServer, protocol: str) -> None:
    """To this server, at this port, by this protocol; what came and who answered is in the run."""
    server.asked.clear()
    a, aaaa = ask(
        shell, question(server, "a.test.", "A", protocol), question(server, "a.test.", "AAAA", protocol)
    )
    assert [(each.protocol, each.name, each.type) for each in server.asked] == [
        (protocol, "a.test.", "A"),
        (protocol, "a.test.", "AAAA"),
    ]
    assert [each.rdata for each in (*answer_of(a).records, *answer_of(aaaa).records)] == [
        "10.96.0.1",
        "fd00:10:96::1",
    ]
    for run in (a, aaaa):
        answer = answer_of(run)
        assert (run.server, run.port, run.protocol) == (ip_address(server.address), server.port, protocol)
        assert (answer.server, answer.port, answer.protocol) == (run.server, run.port, run.protocol)
        assert answer.query_time_us is not None
        assert not answer.is_time_coarse


NAMES = [
    *("+tcp", "+short.test.", "@192.0.2.1", "@::1.test.", "-t", "-x.test.", "--", "a b.test.", " a.test."),
    *(
        'a"b.test.',
        "a'b.test.",
        "$(id).test.",
        "`id`",
        "$HOME.test.",
        "*",
        "a;b.test.",
        "(a).test.",
        "%s.test.",
    ),
    *(
        "a\nb.test.",
        "\ta.test.",
        "\u00e9.test.",
        "AXFR",
        "ANY",
        "0",
        "run 1 2 3.test.",
        "done 0",
        "#.test.",
        "a|b&c.",
    ),
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_a_name(shell: Shell, server: DnsServer, name: str) -> None:
    """However it begins and whatever it holds, it is asked for as it is, and comes back as it was given."""
    server.asked.clear()
    (run,) = ask(shell, question(server, name))
    assert run.name == name
    assert answer_of(run).status == "NXDOMAIN"
    (asked,) = server.asked
    assert asked.type == "A"
    assert asked.name.encode("latin-1").decode() == name.removesuffix(".") + "."


@pytest.mark.parametrize("name", ["", "a..test.", "x" * 64 + ".test."])
def test_a_name_that_is_none_is_told(shell: Shell, server: DnsServer, name: str) -> None:
    """dig refuses it: the series goes on."""
    server.asked.clear()
    first, second = ask(shell, question(server, name), question(server, "a.test."))
    assert (answer_of(first).outcome, first.exit_code) == (DnsOutcome.NOT_SENT, 10)
    assert answer_of(second).status == "NOERROR"
    assert len(server.asked) == 1


def test_questions_are_put_round_by_round(shell: Shell, server: DnsServer) -> None:
    """All of them in each round, in their order, with the pause between."""
    server.asked.clear()
    names = ["a.test.", "b.test.", "c.test."]
    runs = ask(shell, *(question(server, name) for name in names), rounds="2", pause="0.2")
    assert [run.name for run in runs] == names * 2
    assert [each.name for each in server.asked] == names * 2
    times = [each.at for each in server.asked]
    assert all(later - earlier >= 0.19 for earlier, later in pairwise(times))
    starts = [run.start_s for run in runs]
    assert all(later - earlier >= 0.18 for earlier, later in pairwise(starts))


def test_no_question_is_begun_after_the_limit(shell: Shell, server: DnsServer) -> None:
    """The series ends there, whole."""
    begun = time.monotonic()
    done = start(shell, "100", "0", "2", *question(server, "slow.test."))
    assert time.monotonic() - begun < 10
    assert done.returncode == 0
    runs = parse_dig_runs(done.stdout)
    assert 1 <= len(runs) < 30
    assert runs[-1].start_s - runs[0].start_s < 2.1


def test_no_time_is_no_question(shell: Shell, server: DnsServer) -> None:
    """A limit of nothing."""
    server.asked.clear()
    assert start(shell, "5", "0", "0", *question(server, "a.test.")).stdout == b"done 0\n"
    assert server.asked == []


def test_a_truncated_answer_is_shown_as_it_came(shell: Shell, server: DnsServer) -> None:
    """Not asked again by TCP: that is another question of the series."""
    server.asked.clear()
    udp, tcp = ask(shell, question(server, "many.test."), question(server, "many.test.", protocol="tcp"))
    if not answer_of(tcp).records:  # a busy machine: the fake server took longer than dig waits
        server.asked.clear()
        udp, tcp = ask(shell, question(server, "many.test."), question(server, "many.test.", protocol="tcp"))
    assert "tc" in answer_of(udp).flags
    assert [len(answer_of(run).records) for run in (udp, tcp)] == [1, 2]
    assert [each.protocol for each in server.asked] == ["udp", "tcp"]


def test_nobody_listens(shell: Shell, server: DnsServer) -> None:
    """By either protocol: refused, with dig's exit code."""
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    with socket.socket(family) as stream, socket.socket(family, socket.SOCK_DGRAM) as udp:
        # Bound to a port that is then closed again: nobody else gets it meanwhile.
        udp.bind((server.address, 0))
        port = udp.getsockname()[1]
        stream.bind((server.address, port))
        udp.close()
        runs = ask(
            shell, *((server.address, str(port), protocol, "A", "a.test.") for protocol in ("udp", "tcp"))
        )
    for run in runs:
        assert (answer_of(run).outcome, run.exit_code) == (DnsOutcome.CONNECTION_REFUSED, 9)


def test_the_users_own_settings_do_not_count(shell: Shell, server: DnsServer, tmp_path: Path) -> None:
    """No ~/.digrc, and no search list."""
    (tmp_path / ".digrc").write_text("+short +search +domain=search.test\n")
    env = {**os.environ, "PATH": shell.path, "HOME": str(tmp_path), "LOCALDOMAIN": "search.test"}
    argv = [*shell.argv, "-c", SCRIPT, "sh", "1", "0", "60", *question(server, "a")]
    server.asked.clear()
    done = subprocess.run(argv, capture_output=True, env=env, check=True)
    (run,) = parse_dig_runs(done.stdout)
    assert answer_of(run).status == "NXDOMAIN"
    assert [each.name for each in server.asked] == ["a."]


def test_no_edns_is_asked_with(shell: Shell) -> None:
    """As getaddrinfo asks: what a server does with EDNS is no measure of what applications see."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(10)
        argv = [
            *shell.argv,
            "-c",
            SCRIPT,
            "sh",
            "1",
            "0",
            "60",
            "127.0.0.1",
            str(udp.getsockname()[1]),
            "udp",
            "A",
            "a.",
        ]
        env = {**os.environ, "PATH": shell.path}
        with subprocess.Popen(argv, stdout=subprocess.PIPE, env=env) as process:
            query = udp.recv(4096)
            process.communicate()
    # One question, and no record behind it.
    assert query[4:12] == bytes((0, 1, 0, 0, 0, 0, 0, 0))
    assert len(query) == 12 + 3 + 4


def test_without_dig_it_says_so(shell: Shell, tmp_path: Path) -> None:
    """As a shell does for a program that is missing; no series is begun."""
    done = start(Shell(shell.argv, str(tmp_path)), "1", "0", "60", "::1", "53", "udp", "A", "a.test.")
    assert (done.returncode, done.stdout, done.stderr) == (127, b"", b"dig: not found\n")


def test_a_pause_that_sleep_does_not_take_ends_the_series_as_cut(shell: Shell, server: DnsServer) -> None:
    """Without "done": what was asked too fast is no measure."""
    done = start(shell, "2", "soon", "60", *question(server, "a.test."))
    assert done.returncode != 0
    assert b"done" not in done.stdout

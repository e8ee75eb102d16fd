"""The command that deletes one entry, as it is printed. tests/netns runs it."""

from __future__ import annotations

import shlex

import pytest

from netinspect.probes.conntrack_delete import format_delete_command
from netinspect.probes.conntrack_stale import build_stale_plan
from tests.unit.analyze.stale_build import flow


@pytest.mark.parametrize(
    ("backend", "family", "src", "dst"),
    [
        ("fd00:244:2::7", "ipv6", "fd00:244:1::5", "fd00:96::a"),
        ("10.244.2.7", "ipv4", "10.244.1.5", "10.96.0.10"),
    ],
)
def test_both_tuples_family_protocol_and_zone_are_named(
    backend: str, family: str, src: str, dst: str
) -> None:
    """Every one of them can be what tells two entries apart."""
    assert format_delete_command(flow(backend)) == (
        f"conntrack -D -f {family} -p udp --orig-src {src} --orig-dst {dst} --sport 4242 --dport 53 "
        f"--reply-src {backend} --reply-dst {src} --reply-port-src 5353 --reply-port-dst 4242 -w 0"
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("mark=0", "mark=0 zone=7", "-w 7"),
        ("dport=53 ", "dport=53 zone-orig=8 ", "--orig-zone 8"),
        ("dport=4242 ", "dport=4242 zone-reply=9 ", "--reply-zone 9"),
    ],
)
def test_a_zone_of_one_direction_is_named_as_such(old: str, new: str, words: str) -> None:
    """The tool takes one or the other."""
    from netinspect.parse.conntrack import parse_flow

    line = flow("fd00:244:2::7").raw.replace(old, new)
    command = format_delete_command(parse_flow(line))
    assert command.endswith(words)
    assert command.count("zone") + command.count("-w") == 1


def test_the_plan_reads_and_sends_no_such_command() -> None:
    """Sysctls, links, the table twice; the command is for people."""
    probes = build_stale_plan(12).node_probes
    assert [each.name for each in probes] == [
        "conntrack-limits",
        "links",
        "flows-ipv4",
        "flows-ipv6",
        "pause",
        "flows-ipv4-again",
        "flows-ipv6-again",
    ]
    assert ("sleep", "12") in [each.argv for each in probes]
    assert not any("-D" in each.argv for each in probes)
    assert shlex.split(format_delete_command(flow("fd00:244:2::7")))[:2] == ["conntrack", "-D"]

"""`ipset save`: what the captures do not show, and what is loud."""

from __future__ import annotations

from pathlib import Path

import pytest

from netinspect.errors import ParseError
from netinspect.models.ipset import IpSet, SetMember, SetOption
from netinspect.parse.ipset_save import parse_ipsets
from netinspect.render.ipset_save import render_ipsets
from tests.captures.parsers import list_cases

CREATE6 = (
    "create KUBE-6-CLUSTER-IP hash:ip,port family inet6 hashsize 1024 maxelem 65536 comment bucketsize 12\n"
)
PORTS = "create KUBE-NODE-PORT-TCP bitmap:port range 0-65535\n"


def read(text: str) -> dict[str, IpSet]:
    return parse_ipsets(text.encode())


def test_reads_a_set_of_ipv6() -> None:
    """Its header, and members with their parts; a comment is whatever stands between its quotation marks."""
    found = read(
        CREATE6
        + "add KUBE-6-CLUSTER-IP fd00:10:96::a,udp:53\n"
        + "add KUBE-6-CLUSTER-IP fd00:10:96::1,tcp:443 comment \"default/kubernetes  https # 'x'\"\n"
    )["KUBE-6-CLUSTER-IP"]
    assert (found.type, found.family, found.dimensions) == ("hash:ip,port", 6, ("ip", "port"))
    assert found.options == (
        SetOption("family", "inet6"),
        SetOption("hashsize", "1024"),
        SetOption("maxelem", "65536"),
        SetOption("comment"),
        SetOption("bucketsize", "12"),
    )
    assert [each.parts for each in found.members] == [
        ("fd00:10:96::a", "udp:53"),
        ("fd00:10:96::1", "tcp:443"),
    ]
    assert [each.comment for each in found.members] == ["", "default/kubernetes  https # 'x'"]
    assert found.members[0].raw == "add KUBE-6-CLUSTER-IP fd00:10:96::a,udp:53"


def test_a_bitmap_has_no_family() -> None:
    """Nor has a list; an empty set is a set."""
    rest = "add KUBE-NODE-PORT-TCP 30080\ncreate all list:set size 8\ncreate no hash:net family inet\n"
    found = read(PORTS + rest)
    assert found["KUBE-NODE-PORT-TCP"].family is None
    assert found["KUBE-NODE-PORT-TCP"].get("range") == SetOption("range", "0-65535")
    assert found["KUBE-NODE-PORT-TCP"].members == (SetMember(("30080",), (), "add KUBE-NODE-PORT-TCP 30080"),)
    assert found["all"].family is None
    assert (found["no"].family, found["no"].members) == (4, ())
    assert list(found) == ["KUBE-NODE-PORT-TCP", "all", "no"]


def test_reads_every_option_of_a_member() -> None:
    """In the order in which the tool prints them; `nomatch` makes it an exception."""
    (plain, other) = read(
        "create cali40all hash:net family inet hashsize 1 maxelem 9 timeout 30 counters comment skbinfo forceadd\n"
        'add cali40all 10.0.0.0/8 timeout 99 packets 5 bytes 420 comment "x" skbmark 0x1/0xff skbprio 1:2 skbqueue 3\n'
        "add cali40all 10.1.0.0/16 timeout 0 nomatch packets 0 bytes 0\n"
    )["cali40all"].members
    assert [(each.name, each.value) for each in plain.options] == [
        ("timeout", "99"),
        ("packets", "5"),
        ("bytes", "420"),
        ("comment", "x"),
        ("skbmark", "0x1/0xff"),
        ("skbprio", "1:2"),
        ("skbqueue", "3"),
    ]
    assert (plain.is_exception, other.is_exception) == (False, True)


def test_names_with_blanks_are_not_quoted() -> None:
    """The tool itself prints them so; members stand below their set, whose name is then known."""
    found = read("create a b hash:ip family inet\nadd a b 10.0.0.1\n")
    assert list(found) == ["a b"]
    assert found["a b"].members[0].parts == ("10.0.0.1",)


def test_nothing_saved_is_no_set() -> None:
    """No title, no end mark."""
    assert read("") == {}


@pytest.mark.parametrize("case", list_cases("ipset-save"), ids=lambda path: path.stem)
def test_writes_every_capture_again(case: Path) -> None:
    """What was read can be restored; the blank behind `bitmap:port range ...` is the only thing that goes."""
    lines = [line.rstrip() for line in case.read_text().splitlines()]
    assert render_ipsets(parse_ipsets(case.read_bytes()).values()).splitlines() == lines


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        (PORTS.rstrip("\n"), "ends within a line", None),
        ("flush x\n", "expected create", None),
        ("create x hash\n", "expected create", None),
        ("create x tree:ip family inet\n", "expected create", None),
        ("add KUBE-NODE-PORT-TCP 1\n", "expected create", None),
        (PORTS + "add KUBE-NODE-PORT-UDP 1\n", "expected create", None),
        (PORTS + PORTS, "was there before", None),
        (PORTS + "add KUBE-NODE-PORT-TCP 1,2\n", "expected a member of a bitmap:port", 23),
        (CREATE6 + "add KUBE-6-CLUSTER-IP fd00::1\n", "expected a member of a hash:ip,port", 22),
        (CREATE6 + "add KUBE-6-CLUSTER-IP fd00::1,\n", "expected a member of a hash:ip,port", 22),
        (PORTS + "add KUBE-NODE-PORT-TCP 1 colour red\n", "not known here", 25),
        (PORTS + "add KUBE-NODE-PORT-TCP 1 timeout\n", "lacks its value", 25),
        (PORTS + 'add KUBE-NODE-PORT-TCP 1 comment "a" b"\n', "not known here", 37),
        ("create x hash:ip family inet shape round\n", "not known here", 29),
        ("create x hash:ip family\n", "lacks its value", 17),
    ],
)
def test_what_is_not_known_is_loud(text: str, message: str, column: int | None) -> None:
    """The error names the line and the place in it."""
    with pytest.raises(ParseError, match=message) as raised:
        read(text)
    assert raised.value.column == column
    assert raised.value.line == text.splitlines()[-1]

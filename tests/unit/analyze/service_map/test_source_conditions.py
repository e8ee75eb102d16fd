"""What follows from conditions on a packet's source."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.analyze.service_map.source_conditions import (
    decide,
    holds_for_link,
    holds_for_network,
    witnesses_of_links,
    witnesses_of_networks,
)
from netinspect.models.address import parse_address
from netinspect.models.service_map import SourceCondition, SourceKind


def network(*values: str, negated: bool = False) -> SourceCondition:
    return SourceCondition(kind=SourceKind.NETWORK, values=values, negated=negated)


def link(*values: str, negated: bool = False) -> SourceCondition:
    return SourceCondition(kind=SourceKind.LINK, values=values, negated=negated)


@pytest.mark.parametrize(
    ("wide", "narrow", "aside"),
    [
        ("fd00:10:244::/48", "fd00:10:244:1::/64", "fd00:10:245::/48"),
        ("10.244.0.0/16", "10.244.1.0/24", "10.245.0.0/16"),
    ],
)
def test_networks_follow_from_networks(wide: str, narrow: str, aside: str) -> None:
    """Inside is certain, aside is impossible, wider is open; each turned over by a negation."""
    assert decide([network(narrow)], network(wide)) is True
    assert decide([network(narrow)], network(aside)) is False
    assert decide([network(wide)], network(narrow)) is None
    assert decide([network(narrow)], network(wide, negated=True)) is False
    assert decide([network(narrow)], network(aside, negated=True)) is True
    assert decide([network(wide, negated=True)], network(narrow)) is False
    assert decide([network(narrow, negated=True)], network(wide)) is None
    assert decide([], network(wide)) is None
    assert decide([network(wide)], network(wide)) is True


def test_networks_that_only_together_cover_what_is_asked() -> None:
    """Halves make a whole, and a whole without one half is the other."""
    low, high, whole = "fd00::/65", "fd00:0:0:0:8000::/65", "fd00::/64"
    assert decide([network(whole)], network(low, high)) is True
    assert decide([network(low, high)], network(whole)) is True
    assert decide([network(whole), network(low, negated=True)], network(high)) is True
    assert decide([network(whole), network(high, negated=True)], network(high)) is False


@pytest.mark.parametrize("everything", ["::/0", "0.0.0.0/0"])
def test_every_address_is_in_the_network_of_all(everything: str) -> None:
    """No path is needed for what holds for all, or for none."""
    assert decide([], network(everything)) is True
    assert decide([], network(everything, negated=True)) is False
    assert decide([], network()) is False
    assert decide([], network(negated=True)) is True


def test_links_follow_from_links() -> None:
    """A name is in its prefix, and another link always exists."""
    assert decide([link("cali12")], link("cali+")) is True
    assert decide([link("cali+")], link("cali12")) is None
    assert decide([link("eth0")], link("cali+")) is False
    assert decide([link("cali+", negated=True)], link("cali12")) is False
    assert decide([link("cali+")], link("cali1+")) is None
    assert decide([link("cali1+")], link("cali+", "eth0")) is True
    assert decide([link("eth0", "eth1"), link("eth0", negated=True)], link("eth1")) is True
    assert decide([], link("cni0")) is None
    assert decide([], link("+")) is True


def test_one_kind_says_nothing_of_the_other() -> None:
    """Where a packet came in does not say from whom."""
    assert decide([link("cni0")], network("fd00:10:244::/48")) is None
    assert decide([network("fd00:10:244::/48")], link("cni0")) is None


def test_a_path_that_nothing_can_take() -> None:
    """Any condition holds for every one of no sources."""
    nobody = [network("fd00::/64"), network("fd01::/64")]
    assert decide(nobody, network("fd02::/64")) is True
    assert decide(nobody, network("fd02::/64", negated=True)) is True


def test_what_is_no_network_is_refused() -> None:
    """Host bits are not canonical, and names are no networks."""
    with pytest.raises(ValueError, match="host bits"):
        decide([], network("fd00::1/64"))


def test_packets_of_the_node_have_no_link() -> None:
    """A link is never theirs, so its negation holds."""
    assert not holds_for_link(link("+"), None)
    assert holds_for_link(link("cni0", negated=True), None)
    assert holds_for_link(link("cni+"), "cni0")
    assert not holds_for_link(link("cni0", negated=True), "cni0")


def test_a_source_in_a_network() -> None:
    """Borders are inside, an address of the other family is not."""
    condition = network("fd00::/126")
    assert holds_for_network(condition, parse_address("fd00::3"))
    assert not holds_for_network(condition, parse_address("fd00::4"))
    assert not holds_for_network(network("0.0.0.0/0"), parse_address("::1"))
    assert not holds_for_network(network("0.0.0.0/0", "fd00::/126", negated=True), parse_address("fd00::"))


def test_witnesses_stand_for_every_region() -> None:
    """One for each region and the rest."""
    conditions = [network("fd00::/64"), link("cni0", "cali+")]
    assert [str(each) for each in witnesses_of_networks(conditions, 6)] == ["::", "fd00::", "fd00:0:0:1::"]
    assert [str(each) for each in witnesses_of_networks([network("255.0.0.0/8")], 4)] == [
        "0.0.0.0",
        "255.0.0.0",
    ]
    assert witnesses_of_links(conditions) == ("/", "cali/", "cni0")


_small = st.builds(
    lambda number, length: str(ipaddress.ip_network((number, length), strict=False)),
    st.integers(min_value=0xFD << 120, max_value=(0xFD << 120) + 15),
    st.integers(min_value=124, max_value=128),
)
_conditions = st.builds(
    lambda values, negated: network(*sorted(set(values)), negated=negated),
    st.lists(_small, min_size=1, max_size=3),
    st.booleans(),
)


@given(st.lists(_conditions, max_size=3), _conditions)
def test_every_address_agrees(path: list[SourceCondition], asked: SourceCondition) -> None:
    """Sixteen addresses and one outside, asked one by one, say the same."""
    base = 0xFD << 120
    sources = [ipaddress.IPv6Address(base + number) for number in range(16)] + [ipaddress.IPv6Address(1)]
    verdicts = {
        holds_for_network(asked, source)
        for source in sources
        if all(holds_for_network(each, source) for each in path)
    }
    expected = None if len(verdicts) == 2 else True in verdicts or not verdicts
    assert decide(path, asked) is expected

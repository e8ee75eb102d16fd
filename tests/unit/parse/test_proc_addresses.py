"""Addresses of a netns, from outside of it. The texts are those of a pod of the test cluster."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.address import parse_address
from netinspect.parse.proc_addresses import parse_fib_trie, parse_if_inet6

TRIE = """\
Main:
  +-- 0.0.0.0/1 2 0 2
     +-- 0.0.0.0/4 2 0 2
        |-- 0.0.0.0
           /0 universe UNICAST
        +-- 10.244.1.0/24 2 0 2
           +-- 10.244.1.0/30 2 0 2
              |-- 10.244.1.0
                 /24 link UNICAST
              |-- 10.244.1.3
                 /32 host LOCAL
           |-- 10.244.1.255
              /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
"""
INET6 = """\
fd000010024400010000000000000003 02 40 00 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
fe8000000000000008a7a6fffee6be66 02 40 20 80     eth0
"""


def test_a_pods_own_address_is_what_is_left() -> None:
    """Not the network, not its broadcast address, not loopback; and once, though both tables have it."""
    assert parse_fib_trie(TRIE + TRIE.replace("Main", "Local")) == (parse_address("10.244.1.3"),)


def test_a_host_route_is_no_address() -> None:
    """A route to a single address (Calico's gateway) is a /32, but not of type LOCAL."""
    trie = "Main:\n  |-- 169.254.1.1\n     /32 link UNICAST\n  |-- 10.0.0.9\n     /32 host LOCAL\n"
    assert parse_fib_trie(trie) == (parse_address("10.0.0.9"),)


def test_ipv6_without_loopback_and_link_local() -> None:
    """Only the pod's own is left."""
    assert parse_if_inet6(INET6) == (parse_address("fd00:10:244:1::3"),)


def test_nothing_is_no_address() -> None:
    """A netns without links, a kernel without IPv6."""
    assert parse_fib_trie("") == ()
    assert parse_if_inet6("") == ()


@pytest.mark.parametrize("text", ["fd00 02 40 00 80 eth0\n", "No such file\n", INET6[:70]])
def test_another_form_is_loud(text: str) -> None:
    """A line that is cut is not half an address."""
    with pytest.raises(ParseError):
        parse_if_inet6(text)


def test_an_address_that_is_none_is_loud() -> None:
    """The kernel prints no such thing."""
    with pytest.raises(ParseError):
        parse_fib_trie("  |-- 10.0.0.999\n     /32 host LOCAL\n")


@given(st.text())
def test_nothing_but_parse_errors_is_raised(text: str) -> None:
    """Whatever the text."""
    with contextlib.suppress(ParseError):
        parse_fib_trie(text)
    with contextlib.suppress(ParseError):
        parse_if_inet6(text)

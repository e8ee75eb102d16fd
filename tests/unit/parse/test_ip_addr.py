"""`ip -j -d addr show`, where the captures do not reach: faults and cuts."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.parse.ip_addr import parse_ip_addr
from tests.captures.parsers import list_cases

LINK = '"ifname":"eth0","flags":["UP"],"mtu":1500'


@pytest.mark.parametrize(
    "stdout",
    [
        b"",
        b"\n",
        b"{}",
        b"null",
        b'"eth0"',
        b"[1]",
        b"[null]",
        b"[[]]",
        b"[{}] [{}]",
        b'Device "nosuch" does not exist.\n',
        b'[{"ifname":"eth0","mtu":1500}]',
        b'[{"unknown":1}]',
        b'[{"ifindex":2}]',
        b'[{"ifindex":2,"ifname":"","flags":[],"mtu":1500}]',
        f'[{{"ifindex":0,{LINK}}}]'.encode(),
        f'[{{"ifindex":"2",{LINK}}}]'.encode(),
        f'[{{"ifindex":2,{LINK},"link_index":"x"}}]'.encode(),
        f'[{{"ifindex":2,{LINK},"addr_info":[{{"family":"inet","local":"1.2.3","prefixlen":24}}]}}]'.encode(),
        f'[{{"ifindex":2,{LINK},"addr_info":[{{"family":"inet","prefixlen":24}}]}}]'.encode(),
        f'[{{"ifindex":2,{LINK},"addr_info":[{{"family":"inet","local":"::1","prefixlen":129}}]}}]'.encode(),
        b"[" * 100_000,
    ],
    ids=lambda stdout: stdout[:48].decode(),
)
def test_refuses_what_is_not_the_format(stdout: bytes) -> None:
    """Nothing but a whole array of links, or of `{}`, is taken; the message names the command."""
    with pytest.raises(ParseError, match=r"^ip -j -d addr show: "):
        parse_ip_addr(stdout)


def test_quotes_the_link_that_is_wrong() -> None:
    """Of many links the message shows the one that does not fit."""
    stdout = f'[{{}},{{"ifindex":1,{LINK}}},{{"ifindex":2,"ifname":"odd","flags":[],"mtu":"big"}}]'
    with pytest.raises(ParseError) as caught:
        parse_ip_addr(stdout.encode())
    assert '"ifname":"odd"' in str(caught.value)
    assert "eth0" not in str(caught.value)


def test_leaves_out_what_ip_filtered_out() -> None:
    """`{}` stands for a link, or an address, that a filter hid; spaces in it do not matter."""
    (link,) = parse_ip_addr(f'[{{}},{{ }},{{"ifindex":7,{LINK},"addr_info":[{{}}]}},{{\n}}]'.encode())
    assert (link.ifindex, link.addresses) == (7, ())


def test_leaves_out_addresses_of_other_families() -> None:
    """A link can bear MCTP or other addresses, which no command here asks about."""
    stdout = f'[{{"ifindex":7,{LINK},"addr_info":[{{"family":"mctp","local":"8","prefixlen":0}}]}}]'
    (link,) = parse_ip_addr(stdout.encode())
    assert link.addresses == ()


def test_keeps_the_kernels_mark_for_a_netns_without_number() -> None:
    """-1 says "in a netns that has no number here", which is not the same as "in this netns" (None)."""
    (link,) = parse_ip_addr(f'[{{"ifindex":7,{LINK},"link_index":3,"link_netnsid":-1}}]'.encode())
    assert link.link_netnsid == -1


@pytest.mark.parametrize("case", list_cases("ip-addr"), ids=lambda path: path.stem)
def test_a_cut_output_is_never_a_shorter_list(case: Path) -> None:
    """Cut at any byte before its end, the output is refused."""
    stdout = case.read_bytes().rstrip()
    for end in range(len(stdout)):
        with pytest.raises(ParseError):
            parse_ip_addr(stdout[:end])


@given(st.binary())
def test_arbitrary_bytes_raise_nothing_else(stdout: bytes) -> None:
    """Whatever comes, it is links or a ParseError."""
    with contextlib.suppress(ParseError):
        parse_ip_addr(stdout)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                ["ifindex", "ifname", "flags", "mtu", "addr_info", "linkinfo", "local", "family"]
            ),
            inner,
        )
    ),
    max_leaves=20,
)


@given(st.lists(JSON))
def test_arbitrary_json_raises_nothing_else(document: list[object]) -> None:
    """JSON of another shape is a ParseError, whatever it holds under the known keys."""

    with contextlib.suppress(ParseError):
        parse_ip_addr(msgspec.json.encode(document))

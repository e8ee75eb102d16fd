"""What `ipset restore` is given: whatever a set can be, it is read again as the same."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from netinspect.models.ipset import IpSet, SetMember, SetOption
from netinspect.parse.ipset_save import parse_ipsets
from netinspect.render.ipset_save import render_ipsets

parts = {
    "ip": st.sampled_from(["10.96.0.10", "fd00:10:96::a"]),
    "net": st.sampled_from(["10.0.0.0/8", "fd00::/64"]),
    "port": st.sampled_from(["tcp:80", "udp:53", "30080", "icmp:echo-request"]),
    "iface": st.sampled_from(["eth0", "physdev:eth0"]),
}
types = st.sampled_from(["hash:ip", "hash:ip,port", "hash:ip,port,ip", "hash:net,iface", "bitmap:port"])
# A comment may hold anything but its own quotation mark and the end of the line.
comments = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters='"'), min_size=1)
set_options = st.sampled_from(
    [SetOption("family", "inet6"), SetOption("maxelem", "65536"), SetOption("comment"), SetOption("counters")]
)
member_options = st.sampled_from(
    [SetOption("timeout", "9"), SetOption("nomatch"), SetOption("packets", "3")]
) | comments.map(lambda text: SetOption("comment", text))


@st.composite
def ipsets(draw: st.DrawFn) -> IpSet:
    kind = draw(types)
    dimensions = kind.partition(":")[2].split(",")
    made = st.builds(
        SetMember,
        parts=st.tuples(*(parts[each] for each in dimensions)),
        options=st.lists(member_options, max_size=3).map(tuple),
    )
    return IpSet(
        name=draw(st.sampled_from(["KUBE-CLUSTER-IP", "cali60s:a_B-1", "a b"])),
        type=kind,
        options=tuple(draw(st.lists(set_options, max_size=3))),
        members=tuple(draw(st.lists(made, max_size=3))),
    )


def without_lines(each: IpSet) -> IpSet:
    members = tuple(msgspec.structs.replace(member, raw="") for member in each.members)
    return msgspec.structs.replace(each, raw="", members=members)


@settings(deadline=None)
@given(st.lists(ipsets(), max_size=3, unique_by=lambda each: each.name))
def test_whatever_is_written_is_read_as_the_same(sets: list[IpSet]) -> None:
    """Names with blanks, comments with anything in them: write, then read, is identity."""
    read = parse_ipsets(render_ipsets(sets).encode())
    assert [without_lines(each) for each in read.values()] == sets


def test_only_comments_are_quoted() -> None:
    """As the tool itself does."""
    member = SetMember(("fd00::1", "tcp:443"), (SetOption("comment", "a  b"), SetOption("timeout", "9")))
    made = IpSet(name="X", type="hash:ip,port", options=(SetOption("comment"),), members=(member,))
    assert render_ipsets([made]) == (
        'create X hash:ip,port comment\nadd X fd00::1,tcp:443 comment "a  b" timeout 9\n'
    )
    assert render_ipsets([]) == ""

"""Walks through chains of iptables: jumps, returns, marks, chance, affinity, and splits by source."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from netinspect.analyze.iptables.chain import RuleIndex
from netinspect.analyze.iptables.endpoint import read_balancing_part, read_endpoint_chain
from netinspect.analyze.iptables.leaf import End, Leaf
from netinspect.analyze.iptables.packet import Asked, Packet, PacketView
from netinspect.analyze.iptables.walk import RuleWalker
from netinspect.analyze.service_map.packet_mark import UNTOUCHED, Mark, Marking, set_xmark
from netinspect.models.address import parse_address, show_endpoint
from netinspect.models.service_map import Hook
from tests.unit.analyze.rules_build import rule, ruleset, tell_condition

PODS = "fd00:10:244::/48"
MASK = ":".join(8 * ["ffff"])
PACKET = Packet(
    hook=Hook.PREROUTING,
    family=6,
    protocol="tcp",
    address=parse_address("fd00:10:96::a"),
    port=80,
    is_local=False,
)
NONE = Mark()


def walk(*lines: str, packet: Packet = PACKET, table: str = "nat", mark: Mark = NONE) -> list[str]:
    """Walk chain X; lines as `X -j Y`. Each leaf as text."""
    rules = ruleset(**{table: lines})
    return [tell(leaf, mark) for leaf in RuleWalker(rules).walk(table, "X", PacketView(packet), mark)]


def tell(leaf: Leaf, mark: Mark = NONE) -> str:
    when = " and ".join(map(tell_condition, leaf.when))
    words = [f"{when}:"] if when else []
    words.append(", ".join(_tell_end(end, leaf.mark.then(end.mark).apply(mark)) for end in leaf.ends))
    words.extend(f"? {doubt.text}" for doubt in leaf.doubts)
    return " ".join(words)


def _tell_end(end: End, mark: Mark) -> str:
    words: list[str] = [end.verdict.value if end.address is None else show_endpoint(end.address, end.port)]
    if end.share != 1:
        words.append(f"{end.share:.4g}")
    if mark.value or mark.unknown:
        words.append(f"{mark.value:#x}" + (f" but {mark.unknown:#x}" if mark.unknown else ""))
    if end.affinity_s is not None:
        words.append(f"for {end.affinity_s}s")
    words.extend(f"({host} {marking.apply(NONE).value:#x})" for host, marking in end.hosts)
    return " ".join(words)


def to(number: int) -> str:
    return f"-j DNAT --to-destination [fd00:10:244::{number}]:8080"


@pytest.mark.parametrize(
    ("lines", "leaf"),
    [
        (["X -p udp -j DROP"], "return"),
        (["X -j DROP"], "drop"),
        (["X -j RETURN", "X -j DROP"], "return"),
        (["X -j Y", "X -j DROP", "Y -j RETURN", "Y -j ACCEPT"], "drop"),
        (["X -j Y", "X -j DROP", "Y -j ACCEPT"], "accept"),
        (["X -g Y", "X -j DROP", "Y -j RETURN"], "return"),
        (["X -j Y", "X -j DROP", "Y -g Z", "Y -j ACCEPT", "Z"], "drop"),
        (["X -j Y", "X -j DROP", "Y -g Z", "Y -j ACCEPT", "Z -j REJECT"], "reject"),
        (["X", "Y -j DROP"], "return"),
        (["X -j NOTRACK"], "untrack"),
        (["X -j CT --notrack"], "untrack"),
        (["X -j CT --zone 7", "X -j DROP"], "drop"),
        (["X -j LOG", "X -j TCPMSS --set-mss 1400", "X", "X -j ACCEPT"], "accept"),
        ([f"X -p tcp {to(5)}", "X -j DROP"], "[fd00:10:244::5]:8080"),
        (["X -p tcp -j DNAT --to-destination fd00:10:244::5"], "fd00:10:244::5"),
        (["X -p tcp -j DNAT --to-destination :81"], "[fd00:10:96::a]:81"),
        (
            ["X -j NFQUEUE --queue-num 1", "X -j DROP"],
            "drop ? target NFQUEUE: nat X -j NFQUEUE --queue-num 1",
        ),
        (["X -m limit --limit 3/min -j DROP"], "return ? limit match: nat X -m limit --limit 3/min -j DROP"),
        (["X -m limit --limit 3/min"], "return"),
        (["X -m limit --limit 3/min -j LOG", "X -j DROP"], "drop"),
    ],
)
def test_one_way_for_all(lines: list[str], leaf: str) -> None:
    assert walk(*lines) == [leaf]


def test_what_the_target_says_is_a_range_is_no_backend() -> None:
    (leaf,) = walk("X -p tcp -j DNAT --to-destination [fd00::1-fd00::9]:80", "X -j DROP")
    assert leaf.startswith("drop ? target DNAT to [fd00::1-fd00::9]:80: nat X")


def test_redirect_leads_to_loopback_only_what_the_node_sends() -> None:
    line = "X -p tcp -j REDIRECT --to-ports 8080"
    assert walk(line, packet=replace(PACKET, hook=Hook.OUTPUT)) == ["[::1]:8080"]
    (leaf,) = walk(line)
    assert leaf.startswith("return ? target REDIRECT to an address of the link 8080: nat X")


def test_the_rest_of_a_split_comes_after_it() -> None:
    assert walk(f"X -s {PODS} -j DROP", "X -j ACCEPT") == [f"{PODS}: drop", "accept"]
    assert walk(f"X ! -s {PODS} -j DROP") == [f"not {PODS}: drop", "return"]


def test_two_conditions_have_to_hold_both() -> None:
    leaves = [f"by cni0 and {PODS}: drop", "by cni0: accept", "accept"]
    assert walk(f"X -s {PODS} -i cni0 -j DROP", "X -j ACCEPT") == leaves


def test_a_condition_is_decided_by_the_path() -> None:
    """What was asked once is not asked again, not even in a chain that was walked before."""
    lines = [
        f"X -s {PODS} -j Y",
        "X -j Y",
        f"Y -s {PODS} -j ACCEPT",
        "Y -s fd00:10:244:1::/64 -j DROP",
        "Y -j REJECT",
    ]
    assert walk(*lines) == [f"{PODS}: accept", "reject"]


def test_a_split_that_makes_no_difference_is_none() -> None:
    assert walk(f"X -s {PODS} -j Y", "X -j DROP", "Y -p udp -j ACCEPT") == ["drop"]
    assert walk(f"X -s {PODS} -j DROP", "X -i cni0 -j DROP", "X -j DROP") == ["drop"]


def test_more_conditions_than_anyone_can_follow_are_undecided() -> None:
    """Marks double the branches with each condition: the walk ends all the same, and says what it left."""
    links = [f"X -i link{each} -j MARK --set-xmark {each:#x}/0xff" for each in range(1, 21)]
    networks = [f"X -s fd00:{each}::/32 -j MARK --set-xmark {each:#x}00/0xff00" for each in range(1, 21)]
    assert len(walk(*links, *networks[:5])) == 21 * 6
    leaves = walk(*links, *networks)
    assert len(leaves) < 600
    assert "source, one of too many: nat X -s fd00:20::/32 -j MARK --set-xmark 0x1400/0xff00" in leaves[-1]


def test_marks_are_followed_bit_by_bit() -> None:
    assert walk("X -j MARK --set-xmark 0x4000/0x4000") == ["return 0x4000"]
    assert walk("X -j MARK --set-xmark 0x4000/0x4000", mark=Mark(0x4001)) == ["return 0x4001"]
    assert walk("X -j MARK --set-xmark 0x4000/0x0", mark=Mark(0x4001)) == ["return 0x1"]
    assert walk("X -j MARK --set-xmark 0x0/0xffff", mark=Mark(0x14001)) == ["return 0x10000"]
    assert walk(
        "X -j Y", "X -m mark --mark 0x4000/0x4000 -j DROP", "Y -j MARK --set-xmark 0x4000/0x4000"
    ) == ["drop 0x4000"]
    assert walk("X -m mark ! --mark 0x4000/0x4000 -j RETURN", "X -j DROP") == ["return"]
    assert walk("X -m mark ! --mark 0x4000/0x4000 -j RETURN", "X -j DROP", mark=Mark(0x4000)) == [
        "drop 0x4000"
    ]


@pytest.mark.parametrize(
    ("words", "leaf"),
    [
        ("--set-mark 0x4000/0xf000", "return 0x4f03"),
        ("--set-mark 0x7", "return 0x7"),
        ("--or-mark 0x4", "return 0x8f07"),
        ("--and-mark 0xf", "return 0x3"),
        ("--xor-mark 0x8001", "return 0xf02"),
    ],
)
def test_marks_in_the_words_of_other_versions(words: str, leaf: str) -> None:
    assert walk(f"X -j MARK {words}", mark=Mark(0x8F03)) == [leaf]


def test_a_mark_of_the_connection_is_not_known() -> None:
    """Only a rule that looks at such bits is undecided; setting them makes them known again."""
    restore = "X -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80"
    assert walk(restore, "X -m mark --mark 0x4000/0x4000 -j DROP") == ["return 0x0 but 0x80"]
    (leaf,) = walk(restore, "X -m mark --mark 0x80/0x80 -j DROP", "X -j ACCEPT")
    assert leaf == "accept 0x0 but 0x80 ? mark match: nat X -m mark --mark 0x80/0x80 -j DROP"
    both_bits = "X -m mark --mark 0x1/0x1 -m mark --mark 0x80/0x80 -j DROP"
    (both,) = walk("X -j MARK --set-xmark 0x1/0x1", restore, both_bits)
    assert both.startswith("return 0x1 but 0x80 ? mark match: nat X -m mark")
    assert walk(restore, both_bits) == ["return 0x0 but 0x80"]
    assert walk(restore, "X -j MARK --set-xmark 0x80/0x80", "X -m mark --mark 0x80/0x80 -j DROP") == [
        "drop 0x80"
    ]
    assert walk("X -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff", "X -j DROP") == ["drop"]


def test_marks_hang_on_the_source() -> None:
    lines = [
        f"X ! -s {PODS} -j M",
        "X -m mark --mark 0x1/0x1 -j DROP",
        "X -j ACCEPT",
        "M -j MARK --set-xmark 0x1/0x1",
    ]
    assert walk(*lines) == [f"not {PODS}: drop 0x1", "accept"]


def test_chance_parts_what_is_left() -> None:
    lines = [
        f"X -p tcp -m statistic --mode random --probability 0.33333333349 {to(1)}",
        f"X -p tcp -m statistic --mode random --probability 0.50000000000 {to(2)}",
        f"X -p tcp {to(3)}",
    ]
    ends = ["[fd00:10:244::1]:8080 0.3333", "[fd00:10:244::2]:8080 0.3333", "[fd00:10:244::3]:8080 0.3333"]
    assert walk(*lines) == [", ".join(ends)]
    assert walk(*lines[:2]) == [", ".join((*ends[:2], "return 0.3333"))]
    assert walk(*lines[1:]) == ["[fd00:10:244::2]:8080 0.5, [fd00:10:244::3]:8080 0.5"]


def test_chance_in_chains_below() -> None:
    """What comes back of a part goes on with the rest."""
    half = "-m statistic --mode random --probability 0.50000000000"
    lines = [f"X {half} -j Y", f"X -p tcp {to(3)}", f"Y -p tcp {half} {to(1)}"]
    assert walk(*lines) == ["[fd00:10:244::1]:8080 0.25, [fd00:10:244::3]:8080 0.75"]
    marked = [f"X {half} -j Y", f"X -p tcp {to(3)}", "Y -j MARK --set-xmark 0x1/0x1"]
    assert walk(*marked) == ["[fd00:10:244::3]:8080 0x0 but 0x1"]
    empty = [f"X {half} -j Y", f"X -p tcp {to(3)}", "Y"]
    assert walk(*empty) == ["[fd00:10:244::3]:8080"]


def test_chance_outside_nat_is_undecided() -> None:
    (leaf,) = walk("X -m statistic --mode random --probability 0.5 -j DROP", table="filter")
    assert leaf.startswith("return ? statistic match: filter X")


def sticky(number: int, seconds: int = 10800, name: str = "", target: str = "") -> str:
    return (
        f"X -m recent --rcheck --seconds {seconds} --reap --name {name or f'S{number}'} --mask {MASK} --rsource "
        f"-j {target or f'S{number}'}"
    )


def endpoint(number: int, *, recorded: bool = True) -> list[str]:
    record = f"-m recent --set --name S{number} --mask {MASK} --rsource " if recorded else ""
    return [
        f"S{number} -s fd00:10:244::{number}/128 -j M",
        f"S{number} -p tcp {record}-m tcp {to(number)}",
        "M -j MARK --set-xmark 0x4000/0x4000",
    ]


BALANCED = ["X -m statistic --mode random --probability 0.5 -j S1", "X -j S2"]
ONE = "[fd00:10:244::1]:8080 0.5 for 10800s (fd00:10:244::1 0x4000)"
TWO = "[fd00:10:244::2]:8080 0.5 for 10800s (fd00:10:244::2 0x4000)"


def test_affinity_is_a_trait_of_the_end() -> None:
    lines = [sticky(1), sticky(2), *BALANCED, *endpoint(1), *endpoint(2)[:2]]
    assert walk(*lines) == [f"{ONE}, {TWO}"]


def test_affinity_needs_a_list_that_is_written_and_read_by_rules_of_one_endpoint() -> None:
    plain = ONE.replace("for 10800s ", "")
    never_read = [sticky(2), *BALANCED, *endpoint(1), *endpoint(2)[:2]]
    assert walk(*never_read) == [f"{plain}, {TWO}"]
    never_written = [sticky(1), sticky(2), *BALANCED, *endpoint(1, recorded=False), *endpoint(2)[:2]]
    assert walk(*never_written) == [f"{plain}, {TWO}"]
    another_list = [sticky(1, name="S9"), sticky(2), *BALANCED, *endpoint(1), *endpoint(2)[:2]]
    assert walk(*another_list) == [f"{plain}, {TWO}"]
    elsewhere = [sticky(1, target="S2"), sticky(2), *BALANCED, *endpoint(1), *endpoint(2)[:2]]
    assert walk(*elsewhere) == [f"{plain}, {TWO} ? recent list S1: the rule that looks at it leads elsewhere"]
    shorter = [sticky(1, 60), sticky(2), *BALANCED, *endpoint(1), *endpoint(2)[:2]]
    assert walk(*shorter) == [f"{ONE.replace('10800', '60')}, {TWO}"]


def test_a_mark_of_one_host_is_no_branch_in_an_endpoints_chain() -> None:
    """By its form and by a walk it is the same."""
    by_form = endpoint(1)
    by_walk = [by_form[0], "S1 -p udp -j DROP", *by_form[1:]]
    for lines in (by_form, by_walk):
        assert walk("X -j S1", *lines) == ["[fd00:10:244::1]:8080 (fd00:10:244::1 0x4000)"]


def test_a_mark_of_a_part_of_a_hosts_packets_is_not_known() -> None:
    lines = endpoint(1)
    lines[0] = lines[0].replace("-j M", "-m statistic --mode random --probability 0.5 -j M")
    assert walk("X -j S1", *lines) == [
        "fd00:10:244::1/128: [fd00:10:244::1]:8080 0x0 but 0x4000",
        "[fd00:10:244::1]:8080",
    ]


def test_hosts_that_are_not_translated_are_a_branch() -> None:
    lines = endpoint(1)
    lines[1] = lines[1].replace("-p tcp", "-p udp")
    assert walk("X -j S1", *lines) == ["fd00:10:244::1/128: return 0x4000", "return"]


def test_a_condition_on_many_is_a_branch_in_an_endpoints_chain_too() -> None:
    lines = endpoint(1)
    lines[0] = f"S1 -s {PODS} -j M"
    assert walk("X -j S1", *lines) == [f"{PODS}: [fd00:10:244::1]:8080 0x4000", "[fd00:10:244::1]:8080"]


@pytest.mark.parametrize(
    "change",
    [
        ("-s fd00:10:244::1/128 -j M", "-s fd00:10:244::9/128 -j M"),
        ("-s fd00:10:244::1/128 -j M", "! -s fd00:10:244::1/128 -j M"),
        ("-s fd00:10:244::1/128 -j M", "-s fd00:10:244::1/128 -i cni0 -j M"),
        ("-s fd00:10:244::1/128 -j M", "-s fd00:10:244::1/128 -m limit --limit 3/min -j M"),
        ("-s fd00:10:244::1/128 -j M", "-s fd00:10:244::1/128 -d fd00::/128 -j M"),
        ("-s fd00:10:244::1/128 -j M", "-s fd00:10:244::1/128 -p udp -j M"),
        ("-s fd00:10:244::1/128 -j M", "-s fd00:10:244::1/128 -g M"),
        ("-s fd00:10:244::1/128 -j M", "-s fd00:10:244::1/128 -j DROP"),
        ("M -j MARK --set-xmark 0x4000/0x4000", "M -j DROP"),
        ("M -j MARK --set-xmark 0x4000/0x4000", "M -p udp -j MARK --set-xmark 0x4000/0x4000"),
        ("-p tcp -m recent", "! -p tcp -m recent"),
        ("-p tcp -m recent", "-p udp -m recent"),
        ("-p tcp -m recent", "-o eth0 -p tcp -m recent"),
        ("-p tcp -m recent", "-i cni0 -p tcp -m recent"),
        ("-p tcp -m recent", f"-s {PODS} -p tcp -m recent"),
        ("-p tcp -m recent", "-d fd00::/128 -p tcp -m recent"),
        ("-m tcp -j DNAT", "-m tcp --dport 81 -j DNAT"),
        ("-m tcp -j DNAT", "-m limit --limit 3/min -m tcp -j DNAT"),
        ("-m recent --set", "-m recent ! --set"),
        ("--set --name S1", "--rcheck --seconds 9 --name S1"),
        ("-j DNAT --to-destination [fd00:10:244::1]:8080", "-j DNAT --to-destination [fd00:10:244::1]:80-90"),
        ("-j DNAT --to-destination [fd00:10:244::1]:8080", "-j DNAT --to-destination :8080"),
    ],
)
def test_an_endpoints_chain_means_what_a_walk_through_it_means(change: tuple[str, str]) -> None:
    """A third rule that matches nothing makes it a chain that is walked."""
    lines = [line.replace(*change) for line in endpoint(1)]
    assert lines != endpoint(1)
    by_walk = [lines[0], "S1 -p icmpv6 -j DROP", *lines[1:]]
    assert walk("X -j S1", *lines) == walk("X -j S1", *by_walk)


def test_most_rules_are_read_by_their_form() -> None:
    """That is what makes the walk fast; that it means the same is tested above."""
    rules = ruleset(nat=[*BALANCED, *endpoint(1)])
    found = rules.chain("nat", "S1")
    assert found is not None
    endpoint_chain = read_endpoint_chain(found.rules)
    assert endpoint_chain is not None
    assert (str(endpoint_chain.host), endpoint_chain.protocol, endpoint_chain.recorded) == (
        "fd00:10:244::1",
        "tcp",
        ("S1",),
    )
    assert (
        read_balancing_part(rule("-m comment --comment a -m statistic --mode random --probability 0.25 -j Y"))
        == 0.25
    )
    assert read_balancing_part(rule("-m comment --comment a -j Y")) == 1


@pytest.mark.parametrize(
    "text",
    [
        "-m statistic --mode random ! --probability 0.25 -j Y",
        "-m statistic --mode nth --every 4 --packet 0 -j Y",
        "-m limit --limit 3/min -j Y",
        "-s fd00::/8 -j Y",
        "-d fd00::/8 -j Y",
        "-p tcp -j Y",
        "-i cni0 -j Y",
        "-o cni0 -j Y",
        "-g Y",
        "-m comment --comment a",
    ],
)
def test_other_rules_do_not_just_balance(text: str) -> None:
    assert read_balancing_part(rule(text)) is None


def test_loops_end() -> None:
    (leaf,) = walk("X -j Y", "X -j DROP", "Y -j X")
    assert leaf == "drop ? loop by X: nat Y -j X"


def test_a_chain_that_does_not_exist_is_a_target_that_nobody_knows() -> None:
    """iptables lets no such rule in; a text may hold one."""
    (leaf,) = walk("X -j KUBE-SVC-GONE", "X -j DROP")
    assert leaf == "drop ? target KUBE-SVC-GONE: nat X -j KUBE-SVC-GONE"


def test_many_rules_are_found_by_what_they_name() -> None:
    """The order counts all the same."""
    lines = [f"X -d fd00:10:96::{number:x}/128 -p tcp -m tcp --dport 80 -j DROP" for number in range(0x100)]
    assert walk(*lines) == ["drop"]
    assert walk("X -p tcp -m tcp --dport 80 -j ACCEPT", *lines) == ["accept"]
    assert walk("X -d fd00:10:96::a/128 -j ACCEPT", *lines) == ["accept"]
    assert walk("X -d fd00:10:96::/112 -j ACCEPT", *lines) == ["accept"]
    assert walk("X ! -d fd00:10:96::b/128 -j ACCEPT", *lines) == ["accept"]
    assert walk(*lines, "X -j ACCEPT") == ["drop"]
    assert walk(*lines, packet=replace(PACKET, port=81)) == ["return"]
    assert walk(*lines, "X -j ACCEPT", packet=replace(PACKET, address=None, is_local=True)) == ["accept"]


def test_a_chain_is_walked_once_for_packets_that_it_treats_alike() -> None:
    """And again for others: by what its rules and those below asked."""
    walker = RuleWalker(
        ruleset(nat=["X -p tcp -j Y", "Y -p tcp -m tcp --dport 80 -j DROP", "Z -p udp -j DROP"])
    )

    def leaves(chain: str, packet: Packet) -> tuple[tuple[Leaf, ...], Asked]:
        view = PacketView(packet)
        return walker.walk("nat", chain, view), Asked(view.asked)

    first, asked = leaves("X", PACKET)
    assert asked == Asked.PROTOCOL | Asked.PORT
    again, asked_again = leaves("X", replace(PACKET, address=parse_address("::1"), hook=Hook.OUTPUT))
    assert again is first
    assert asked_again == asked
    assert [tell(leaf) for leaf in leaves("X", replace(PACKET, port=81))[0]] == ["return"]
    assert [tell(leaf) for leaf in leaves("X", replace(PACKET, protocol="udp"))[0]] == ["return"]
    assert leaves("Z", PACKET)[1] == Asked.PROTOCOL


def test_the_mark_counts_for_what_is_walked_once() -> None:
    walker = RuleWalker(ruleset(nat=["X -m mark --mark 0x1/0x1 -j DROP"]))
    view = PacketView(PACKET)
    assert [tell(leaf) for leaf in walker.walk("nat", "X", view)] == ["return"]
    assert [tell(leaf) for leaf in walker.walk("nat", "X", view, Mark(1))] == ["drop"]


def test_rules_that_lead_there_are_told_in_order() -> None:
    lines = [f"X ! -s {PODS} -j M", *BALANCED, *endpoint(1), *endpoint(2)[:2], "X -j DROP"]
    masqueraded, others = RuleWalker(ruleset(nat=lines)).walk("nat", "X", PacketView(PACKET))
    assert [each.text for each in masqueraded.rules] == [
        f"-A X ! -s {PODS} -j M",
        "-A M -j MARK --set-xmark 0x4000/0x4000",
    ]
    assert not others.rules
    assert others.ends is masqueraded.ends
    assert [[each.where for each in end.rules] for end in others.ends] == [
        ["nat X", "nat S1", "nat S1"],
        ["nat X", "nat S2", "nat S2"],
    ]


def test_rules_that_choose_stand_with_the_end_and_those_before_with_the_leaf() -> None:
    lines = ["X -j Y", "Y -j Z", *(line.replace("X ", "Z ") for line in [sticky(1), *BALANCED])]
    (leaf,) = RuleWalker(ruleset(nat=[*lines, *endpoint(1), *endpoint(2)[:2]])).walk(
        "nat", "X", PacketView(PACKET)
    )
    assert [each.where for each in leaf.rules] == ["nat X", "nat Y"]
    assert [[each.where for each in end.rules] for end in leaf.ends] == [
        ["nat Z", "nat Z", "nat S1", "nat S1"],
        ["nat Z", "nat S2", "nat S2"],
    ]


def test_an_index_leaves_out_what_names_other_destinations() -> None:
    lines = [f"X -d fd00:10:96::{number:x}/128 -p tcp -m tcp --dport 80 -j DROP" for number in range(0x100)]
    chain = ruleset(nat=["X -j RETURN", *lines, "X -p tcp -m tcp --dport 80 -j Y", "X -j Y"]).chain(
        "nat", "X"
    )
    assert chain is not None
    found = RuleIndex(chain.rules).candidates(PacketView(PACKET))
    assert [chain.rules.index(each) for each in found] == [0, 11, 257, 258]


def test_markings_compose() -> None:
    set_, clear = set_xmark(0x4000, 0x4000), set_xmark(0, 0x4000)
    assert set_.then(clear).apply(Mark(0x4001)) == Mark(1)
    assert clear.then(set_).apply(Mark(1)) == Mark(0x4001)
    assert set_xmark(0x4000, 0).then(set_xmark(0x4000, 0)).apply(Mark(3)) == Mark(3)
    assert UNTOUCHED.then(set_) is set_
    assert set_.then(UNTOUCHED) is set_
    assert set_.join(UNTOUCHED).apply(Mark(1)) == Mark(1, unknown=0x4000)
    assert Marking().join(Marking()) == UNTOUCHED


def test_a_mark_is_tested_by_the_bits_that_are_known() -> None:
    mark = Mark(0x4000, unknown=0xFF)
    assert mark.test(0x4000, 0x4000) is True
    assert mark.test(0x4000, 0xFF00) is True
    assert mark.test(0x8000, 0x8000) is False
    assert mark.test(0x4001, 0x4001) is None
    assert mark.test(0x8001, 0x8001) is False
    assert mark.test(0x4000, 0x0F00) is False

"""The words of a rule: options, quotes, negations, and the remainder."""

from __future__ import annotations

import pytest

from netinspect.errors import ParseError
from netinspect.models.iptables import Extension, Match, Option, Rule, Target, Value
from netinspect.parse.iptables_save import parse_iptables_save
from tests.unit.parse.iptables_text import GENERATED, rule_text


def read(text: str) -> Rule:
    """Read `-A X` with this behind it."""
    (rule,) = parse_iptables_save(rule_text(f"-A X{text}")).tables["nat"].chains["X"].rules
    assert rule.raw == f"-A X{text}"
    return rule


def options(extension: Extension | None) -> list[tuple[object, ...]]:
    assert extension is not None
    return [("!",) * each.negated + (each.name, *each.values) for each in extension.options]


def test_reads_every_part_in_its_order() -> None:
    """What kube-proxy writes for IPv6, with everything negated that can be."""
    rule = read(
        " ! -s fd00:10:244::/48 ! -d ::/0 ! -i cni0 ! -o lo ! -p tcp -m comment --comment web -m tcp ! --dport 80"
        " -j DNAT --to-destination [fd00::5]:8080"
    )
    assert rule.source == Value("fd00:10:244::/48", True)
    assert rule.destination == Value("::/0", True)
    assert (rule.in_link, rule.out_link) == (Value("cni0", True), Value("lo", True))
    assert rule.protocol == Value("tcp", True)
    assert [match.name for match in rule.matches] == ["comment", "tcp"]
    assert options(rule.match("tcp")) == [("!", "--dport", "80")]
    assert rule.target == Target("DNAT", (Option("--to-destination", ("[fd00::5]:8080",)),))
    assert (rule.comment, rule.remainder) == ("web", "")


@pytest.mark.parametrize(("text", "fragment"), [(" -f", True), (" ! -f", False), ("", None)])
def test_reads_the_flag_of_fragments(text: str, fragment: bool | None) -> None:
    """It stands behind the protocol, and may be negated."""
    assert read(f" -p udp{text} -j DROP").fragment is fragment


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("bare-_9", "bare-_9"),
        ('""', ""),
        (r'"it\'s a \"quoted\" \\ back"', 'it\'s a "quoted" \\ back'),
        ('"ends with \\\\"', "ends with \\"),
        ('"a\\\nb"', "a\nb"),
        ('"a -j B -m c ! -s d"', "a -j B -m c ! -s d"),
        (
            '"two\nlines\n\n-A X -j DROP\nCOMMIT\n# Completed"',
            "two\nlines\n\n-A X -j DROP\nCOMMIT\n# Completed",
        ),
        ('"tab\tand \u2028 \x85 ümlaut"', "tab\tand \u2028 \x85 ümlaut"),
        ("-m", "-m"),
        ("-j", "-j"),
        ("--comment", "--comment"),
    ],
)
def test_reads_strings_as_the_tool_quotes_them(printed: str, said: str) -> None:
    """A string of safe characters is bare, even one that looks like an option."""
    rule = read(f" -m comment --comment {printed} -m tcp -j ACCEPT")
    assert rule.comment == said
    assert [match.name for match in rule.matches] == ["comment", "tcp"]
    assert rule.target == Target("ACCEPT")


def test_reads_two_blanks_before_the_name_of_an_accounting_object() -> None:
    """As the tool prints it."""
    rule = read(" -m nfacct --nfacct-name  ct_state_invalid_dropped_pkts -j DROP")
    assert options(rule.match("nfacct")) == [("--nfacct-name", "ct_state_invalid_dropped_pkts")]


def test_reads_options_of_none_and_of_two_values() -> None:
    """Flags, TCP flags, sets, and a negation of each."""
    rule = read(
        " -p tcp -m tcp ! --tcp-flags SYN,ACK SYN ! --syn -m set ! --match-set a src,dst --return-nomatch"
        " ! --update-counters -m physdev ! --physdev-is-in -j SET --add-set b dst --exist --timeout 5"
    )
    assert options(rule.match("tcp")) == [("!", "--tcp-flags", "SYN,ACK", "SYN"), ("!", "--syn")]
    assert options(rule.match("set")) == [
        ("!", "--match-set", "a", "src,dst"),
        ("--return-nomatch",),
        ("!", "--update-counters"),
    ]
    assert options(rule.match("physdev")) == [("!", "--physdev-is-in")]
    assert options(rule.target) == [("--add-set", "b", "dst"), ("--exist",), ("--timeout", "5")]


def test_an_optional_value_is_taken_where_there_is_one() -> None:
    """The only options of this kind are those of a rate."""
    rule = read(
        " -m rateest --rateest a --rateest-bps1 --rateest-bps ! --rateest-gt --rateest-pps2 5"
        ' --rateest-bps2 "-1" -j DROP'
    )
    assert options(rule.match("rateest")) == [
        ("--rateest", "a"),
        ("--rateest-bps1",),
        ("--rateest-bps",),
        ("!", "--rateest-gt"),
        ("--rateest-pps2", "5"),
        ("--rateest-bps2", "-1"),
    ]
    assert rule.target == Target("DROP")


def test_the_same_match_twice_stays_twice() -> None:
    """Two sets are two matches."""
    rule = read(" -m set --match-set a src -m set --match-set b dst -j ACCEPT")
    assert [options(match) for match in rule.matches] == [
        [("--match-set", "a", "src")],
        [("--match-set", "b", "dst")],
    ]


def test_tells_goto_from_jump() -> None:
    """`-g` names a chain, also where the chain is called as an extension."""
    assert read(" -g LOG").target == Target("LOG", (), True)
    assert read(" -p tcp -m tcp --dport 1 -g Y").target == Target("Y", is_goto=True)


@pytest.mark.parametrize(
    ("text", "matches", "target", "remainder"),
    [
        (" -m geoip --source-country DE -j DROP", 0, None, "-m geoip --source-country DE -j DROP"),
        (" -m tcp --new 1 -j DROP", 1, None, "--new 1 -j DROP"),
        (" -m tcp ! --new 1 -j DROP", 1, None, "! --new 1 -j DROP"),
        (" -m udp --sport 1 extra -j DROP", 1, None, "extra -j DROP"),
        (" -j FANCY --level 5", 0, Target("FANCY"), "--level 5"),
        (" -j LOG --log-new", 0, Target("LOG"), "--log-new"),
        (" -j ACCEPT -m tcp", 0, Target("ACCEPT"), "-m tcp"),
        (" -g LOG --log-level 4", 0, Target("LOG", (), True), "--log-level 4"),
        (" -m set [unsupported revision] -j DROP", 1, None, "[unsupported revision] -j DROP"),
        (" -x 5 -j DROP", 0, None, "-x 5 -j DROP"),
        (" -s 10.0.0.1/32 -s 10.0.0.2/32", 0, None, "-s 10.0.0.2/32"),
        (" -f ! -f", 0, None, "! -f"),
        (" ! -m tcp", 0, None, "! -m tcp"),
        (" ! -j DROP", 0, None, "! -j DROP"),
        (" -m", 0, None, "-m"),
        (" -j", 0, None, "-j"),
        (" -s", 0, None, "-s"),
        (" -m tcp --dport", 1, None, "--dport"),
        (' -m comment "--comment" a -j DROP', 1, None, '"--comment" a -j DROP'),
        (' "-j" DROP', 0, None, '"-j" DROP'),
        (' -m tcp "!" --dport 1', 1, None, '"!" --dport 1'),
    ],
)
def test_keeps_what_it_does_not_understand(
    text: str, matches: int, target: Target | None, remainder: str
) -> None:
    """From the first word that is not understood on, as printed."""
    rule = read(text)
    assert (len(rule.matches), rule.target, rule.remainder) == (matches, target, remainder)


def test_a_remainder_begins_at_its_place_behind_counters_too() -> None:
    """Its place is one of the line without counters."""
    (rule,) = (
        parse_iptables_save(rule_text("[12:3456] -A X -p tcp -m new --x y")).tables["nat"].chains["X"].rules
    )
    assert (rule.raw, rule.remainder) == ("-A X -p tcp -m new --x y", "-m new --x y")
    assert (rule.packets, rule.bytes, rule.protocol) == (12, 3456, Value("tcp"))


def test_a_quote_within_a_bare_word_is_a_character() -> None:
    """Names of `recent` are printed as they are."""
    rule = read(' -m recent --rcheck --name a"b --mask 255.255.255.255 --rsource -j DROP')
    assert ("--name", 'a"b') in options(rule.match("recent"))
    assert rule.target == Target("DROP")


@pytest.mark.parametrize(
    "rules",
    [
        ['-A X -m comment --comment "a -j ACCEPT'],
        ['-A X -m comment --comment "a"b'],
        ['-A X -m recent --name "a --rsource -j DROP', '-A X -m comment --comment "b" -j DROP'],
        ['-A X -m comment --comment "a\\" -j ACCEPT'],
    ],
)
def test_refuses_a_quote_that_has_no_partner(rules: list[str]) -> None:
    """Never is half a string taken for a whole one, nor the next rule for a part of it."""
    with pytest.raises(ParseError, match="a quoted string"):
        parse_iptables_save(rule_text(*rules))


def test_text_cut_within_a_string_is_cut() -> None:
    """Though the string itself holds the marks of an end."""
    text = GENERATED + '*nat\n:X - [0:0]\n-A X -m comment --comment "a\nCOMMIT\n# Completed on Thu\n'
    with pytest.raises(ParseError, match="a quoted string that has no end"):
        parse_iptables_save(text)
    with pytest.raises(ParseError, match="ends within a line"):
        parse_iptables_save(text + 'b"')


def test_rules_that_say_the_same_share_what_they_say() -> None:
    """A table of hundreds of thousands of rules fits into memory only so."""
    line = "-A X -p tcp -m comment --comment web -m tcp --dport 80 -j Y"
    first, second = parse_iptables_save(rule_text(line, line)).tables["nat"].chains["X"].rules
    assert first.protocol is second.protocol
    assert first.target is second.target
    assert isinstance(first.matches[0], Match)
    assert all(one is other for one, other in zip(first.matches, second.matches, strict=True))


@pytest.mark.parametrize(
    "address",
    [
        "web",
        "10.0.0.1/33",
        "10.0.0.1/",
        "10.0.0.0/ffff::",
        "fd00::/255.0.0.0",
        "fd00::1/129",
        "10.0.0.1/-1",
        "1.2.3",
    ],
)
@pytest.mark.parametrize("option", ["-s", "! -d"])
def test_what_is_no_address_is_not_read(option: str, address: str) -> None:
    """No iptables prints it; who reads rules can count on it."""
    rule = read(f" {option} {address} -j DROP")
    assert (rule.source, rule.destination, rule.target) == (None, None, None)
    assert rule.remainder.startswith(option.split()[0])


@pytest.mark.parametrize(
    "address", ["10.0.0.0/255.0.255.0", "10.0.0.1", "fd00::1/128", "fd00::/ffff:0:ffff::"]
)
def test_addresses_come_with_lengths_and_masks(address: str) -> None:
    rule = read(f" -s {address} -j DROP")
    assert rule.source is not None
    assert (rule.source.text, rule.remainder) == (address, "")

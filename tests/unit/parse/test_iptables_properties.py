"""What holds for every text and every ruleset, and for every text that was captured from a real kube-proxy."""

from __future__ import annotations

import gzip
from contextlib import suppress
from functools import cache
from itertools import accumulate
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.iptables import (
    Chain,
    Match,
    Option,
    Rule,
    Ruleset,
    Table,
    Target,
    Value,
    XtablesBackend,
)
from netinspect.parse.iptables_options import MATCHES, TARGETS, Forms, OptionForm
from netinspect.parse.iptables_rule import read_rule
from netinspect.parse.iptables_rules import RuleReader
from netinspect.parse.iptables_save import parse_iptables_save
from netinspect.parse.iptables_words import WordError
from netinspect.render.iptables_save import render_iptables_save, write_rule
from tests.captures.parsers import TOOLS
from tests.unit.parse.iptables_text import COMPLETED, GENERATED, rule_text, table_text

DATAPLANES = TOOLS.parent / "dataplanes"
CAPTURES = [
    *sorted(DATAPLANES.glob("*/ip*tables-save.txt.gz")),
    *sorted(TOOLS.glob("ip*tables-save/*.out")),
]
LINES = (
    GENERATED[:-1],
    COMPLETED[:-1],
    "*nat",
    ":X - [0:0]",
    "[1:2] -A X -j X",
    "COMMIT",
    '-A X -m comment --comment "a',
)
WORDS = (
    *("-m", "-j", "-g", "!", "-s", "-p", "-f", "-x", "", "X", "80"),
    *(
        "tcp",
        "--dport",
        "--tcp-flags",
        "comment",
        "--comment",
        "rateest",
        "--rateest-bps",
        "set",
        "--match-set",
    ),
    *("LOG", "--log-prefix", "DNAT", "--to-destination", "eui64", "geoip"),
    *(
        '"a -m tcp -j X"',
        '"-j"',
        '"!"',
        '""',
        '"',
        'a"b',
        '"a"b',
        r'"\" -m set"',
        r'"\\"',
        r"a\ ",
        '"two\nlines"',
    ),
)
names = st.sampled_from(["X", "KUBE-SVC-NPX46M4PTMTKRN6Y", "cali-tw-x.5", "a:b@c", "LOG"])
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=9)
numbers = st.integers(0, 2**64 - 1)
values = st.one_of(st.none(), st.builds(Value, texts, st.booleans()))
networks = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).flatmap(
    lambda address: st.sampled_from(
        [f"{address}", f"{address}/{address.max_prefixlen}", f"{address}/0", f"{address}/{address}"]
    )
)
places = st.one_of(st.none(), st.builds(Value, networks, st.booleans()))


def read_capture(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


def rules_of(ruleset: Ruleset) -> list[Rule]:
    chains = [chain for table in ruleset.tables.values() for chain in table.chains.values()]
    return [rule for chain in chains for rule in chain.rules]


@cache
def make_option(form: OptionForm) -> st.SearchStrategy[Option]:
    fewest = 0 if form.optional else form.words
    return st.builds(
        Option,
        st.just(form.name),
        st.lists(texts, min_size=fewest, max_size=form.words).map(tuple),
        st.booleans(),
    )


def make_options(forms: Forms) -> st.SearchStrategy[tuple[Option, ...]]:
    if not forms:
        return st.just(())
    return st.lists(st.sampled_from(list(forms.values())).flatmap(make_option), max_size=3).map(tuple)


@st.composite
def matches(draw: st.DrawFn) -> Match:
    name = draw(st.sampled_from(list(MATCHES)))
    return Match(name, draw(make_options(MATCHES[name])))


@st.composite
def targets(draw: st.DrawFn) -> Target:
    name = draw(st.one_of(st.sampled_from(list(TARGETS)), names))
    is_goto = draw(st.booleans())
    return Target(name, () if is_goto else draw(make_options(TARGETS.get(name, {}))), is_goto)


@st.composite
def rules(draw: st.DrawFn, chain: str) -> Rule:
    packets, size = draw(st.one_of(st.just((None, None)), st.tuples(numbers, numbers)))
    remainder = draw(st.sampled_from(["", "", '-m geoip ! --x "a  b" -j Y']))
    rule = Rule(
        chain=chain,
        source=draw(places),
        destination=draw(places),
        protocol=draw(values),
        in_link=draw(values),
        out_link=draw(values),
        fragment=draw(st.sampled_from([None, True, False])),
        matches=tuple(draw(st.lists(matches(), max_size=2))),
        target=None if remainder else draw(st.one_of(st.none(), targets())),
        remainder=remainder,
        packets=packets,
        bytes=size,
    )
    return msgspec.structs.replace(rule, raw=write_rule(rule))


@st.composite
def chains(draw: st.DrawFn) -> dict[str, Chain]:
    return {
        name: Chain(
            name=name,
            policy=draw(st.sampled_from([None, "ACCEPT", "DROP"])),
            packets=draw(numbers),
            bytes=draw(numbers),
            rules=tuple(draw(st.lists(rules(name), max_size=2))),
        )
        for name in draw(st.lists(names, unique=True, max_size=2))
    }


@st.composite
def rulesets(draw: st.DrawFn) -> Ruleset:
    tables = draw(st.lists(st.sampled_from(["nat", "filter", "mangle", "raw"]), unique=True, max_size=2))
    if not tables:
        return Ruleset()
    return Ruleset(
        tables={name: Table(name=name, chains=draw(chains())) for name in tables},
        version="1.8.9",
        backend=draw(st.sampled_from(list(XtablesBackend))),
    )


@settings(deadline=None)
@given(rulesets())
def test_what_is_printed_is_parsed_as_what_was_printed(ruleset: Ruleset) -> None:
    """With every match and target that is known, and any values."""
    assert parse_iptables_save(render_iptables_save(ruleset)) == ruleset


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(st.one_of(st.sampled_from(LINES), st.text())).map("\n".join)))
def test_any_text_is_parsed_or_is_a_parse_error(text: str) -> None:
    """Nothing else is raised."""
    for each in (text, rule_text(text), rule_text(f"-A X {text}"), table_text(text)):
        with suppress(ParseError):
            assert isinstance(parse_iptables_save(each), Ruleset)


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS)).map(" ".join), st.sampled_from(["", "[1:2] "]))
def test_the_fast_way_and_the_way_word_by_word_read_the_same(text: str, counters: str) -> None:
    """Whatever stands where, the same rule comes out, or the same complaint."""
    assert read_fast(f"{counters}-A X {text}") == read_word_by_word(f"{counters}-A X {text}")


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_both_ways_read_captures_the_same(capture: Path) -> None:
    """Of what the tools printed nothing is left over, and it is printed again as it was."""
    text = read_capture(capture)
    ruleset = parse_iptables_save(text)
    for rule in rules_of(ruleset):
        counters = "" if rule.packets is None else f"[{rule.packets}:{rule.bytes}] "
        assert rule == read_word_by_word(counters + rule.raw, rule.chain)
        assert rule.remainder == ""
        if "\n" not in rule.raw:
            # What restore would take for an option is put in quotes, unlike the tool does it.
            assert write_rule(rule).replace('"--j"', "--j") == rule.raw


def test_text_that_is_cut_anywhere_is_an_error_but_at_the_end_of_a_table() -> None:
    """Never is it a smaller ruleset that looks whole, though a comment holds all the marks of an end."""
    comment = (
        '-A X -m comment --comment "a\n# Completed\n# Generated by x v1\n*nat\nCOMMIT\n# Completed\n\\"b"'
    )
    parts = (
        table_text(":X - [0:0]", f"{comment} -j ACCEPT", "[1:2] -A X ! -s fd00::/64 -j DROP"),
        "# Table `raw' is incompatible, use 'nft' tool.\n",
        "# Table `filter' contains incompatible base-chains, use 'nft' tool to list them.\n"
        + table_text(name="filter"),
    )
    text = "".join(parts)
    ends = {0, *accumulate(map(len, parts))}
    assert {cut for cut in range(len(text) + 1) if is_whole(text[:cut])} == ends


@settings(deadline=None)
@given(rulesets(), st.data())
def test_a_printed_ruleset_that_is_cut_is_an_error(ruleset: Ruleset, data: st.DataObject) -> None:
    """With any matches and values."""
    text = render_iptables_save(ruleset)
    cut = data.draw(st.integers(0, len(text)))
    assert is_whole(text[:cut]) == (cut == 0 or text[:cut].endswith("\n# Completed\n"))


def is_whole(text: str) -> bool:
    try:
        parse_iptables_save(text)
    except ParseError:
        return False
    return True


def read_fast(line: str) -> Rule | str | None:
    try:
        return RuleReader({"X": "X"}).read(line)
    except WordError as error:
        return f"{error} at {error.column}"


def read_word_by_word(line: str, chain: str = "X") -> Rule | str | None:
    front, _, text = line.partition(f"-A {chain}")
    packets, size = map(int, front[1:-2].split(":")) if front else (None, None)
    try:
        return read_rule(chain, text, (packets, size), line[len(front) :])
    except WordError as error:
        return f"{error} at {len(line) - len(text) + error.column}"

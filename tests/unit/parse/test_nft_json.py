"""`nft -j`, where the captures do not reach: faults, cuts, what is not known, other releases' forms."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.codec import decode_json, encode_json
from netinspect.models.nft import NftChain, NftHook, NftObject, NftRuleset, NftSet, NftTable
from netinspect.models.nft_expression import (
    Accept,
    Concat,
    Element,
    Expression,
    Goto,
    List,
    Meta,
    Payload,
    Prefix,
    Set,
    SetRef,
    Unknown,
    Vmap,
)
from netinspect.models.nft_statement import Counter, Dnat, Match, Statement
from netinspect.parse.nft_json import parse_nft_json
from tests.captures.capture_dataplanes import load
from tests.captures.parsers import list_cases
from tests.unit.parse.nft_text import CHAIN, METAINFO, OUTPUTS, TABLE, UNTIMED, output, rule, rules, set_

DATAPLANES = Path(__file__).parents[2] / "captures" / "dataplanes"
SADDR = {"payload": {"protocol": "ip6", "field": "saddr"}}


def read_rule(*statements: Any) -> tuple[Statement, ...]:
    """Read one rule's statements."""
    (table,) = parse_nft_json(rules(*statements)).tables
    return table.chains["c"].rules[0].statements


def read_match(right: Any) -> Expression:
    """Read the right side of a comparison."""
    (statement,) = read_rule({"match": {"op": "==", "left": SADDR, "right": right}})
    assert isinstance(statement, Match)
    return statement.right


def read_table(*objects: Any) -> NftTable:
    """Read the objects of one table."""
    (table,) = parse_nft_json(output(TABLE, *objects)).tables
    return table


def read_set(kind: str = "set", **more: Any) -> NftSet:
    """Read one set or map."""
    return read_table(set_(kind, **more)).sets["s"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "null",
        "[]",
        "{}",
        '{"nftables": []}',
        '{"nftables": {}}',
        '{"nftables": [1]}',
        "Error: No such file or directory\n",
        output() + output(),
        output(METAINFO),
        output({}),
        output([]),
        output({**TABLE, **CHAIN}),
        output({"table": {"family": "ip6"}}),
        output({"table": {"family": 6, "name": "t"}}),
        output(TABLE, TABLE),
        output(TABLE, CHAIN, CHAIN),
        output(set_(), set_()),
        output(set_(), set_("map", map="verdict")),
        output(TABLE, rule()),
        output(TABLE, {"chain": {**CHAIN["chain"], "family": "ip"}}, rule()),
        output({"chain": {**CHAIN["chain"], "prio": "filter"}}),
        output({"chain": {**CHAIN["chain"], "hook": 1}}),
        output(CHAIN, {"rule": {**rule()["rule"], "expr": {}}}),
        output(set_(elem={})),
        output(set_(timeout="1h")),
        "[" * 100_000,
        '{"nftables": [' + "[" * 100_000,
        rules({"match": {"op": "==", "left": 1, "right": "deep"}}).replace('"deep"', "[" * 900 + "]" * 900),
    ],
    ids=lambda text: repr(text)[-60:],
)
def test_refuses_what_is_not_the_format(text: str) -> None:
    """Nothing but one whole output is taken, and nothing twice; the message names the command."""
    for given_ in (text, text.encode()):
        with pytest.raises(ParseError, match=r"^nft -j list: "):
            parse_nft_json(given_)


def test_quotes_the_object_that_is_wrong() -> None:
    """Of many objects the message shows the one that does not fit."""
    with pytest.raises(ParseError) as caught:
        parse_nft_json(output(TABLE, CHAIN, {"chain": {**CHAIN["chain"], "name": "odd", "prio": "x"}}))
    assert '"name":"odd"' in str(caught.value).replace(" ", "")
    assert "handle" in str(caught.value)


@pytest.mark.parametrize(
    "text", ['{"nftables": ["\\ud800"]}', '{"nftables": ["\ud800"]}', b'{"nftables": ["\xff"]}']
)
def test_refuses_text_that_is_no_unicode(text: str | bytes) -> None:
    """Neither bytes nor text that no UTF-8 can say."""
    with pytest.raises(ParseError):
        parse_nft_json(text)


def test_refuses_a_rule_with_bytes_that_are_no_utf8() -> None:
    """Also deep within a statement, or a key that is not known."""
    for place in ("saddr", "handle"):
        text = rules({"match": {"op": "==", "left": SADDR, "right": "x"}}).replace(place, "\ud800")
        with pytest.raises(ParseError):
            parse_nft_json(text)


def test_says_what_cut_the_output_of_an_old_nft() -> None:
    """nft 1.0.6 ends so, with exit code 0, where a table has exactly one flag."""
    cut = output({"table": {"family": "ip", "name": "x", "handle": 1, "flags": "?"}}).partition('"?"')[0]
    with pytest.raises(ParseError, match=r"the flags of a table, as nft before 1\.1\.0 may"):
        parse_nft_json(cut + "\n")


def test_keeps_what_the_tool_says_of_itself() -> None:
    """Version and schema are for those to judge who know what they can read."""
    newer = {"metainfo": {"version": "2.0", "release_name": "", "json_schema_version": 2, "more": 1}}
    text = json.dumps({"nftables": [newer]})
    assert parse_nft_json(text) == NftRuleset(version="2.0", schema_version=2)


@pytest.mark.parametrize(
    "statement",
    [
        {"meta": {"key": "mark"}},
        {"novelty": {"key": 1}},
        {"counter": {"packets": 1, "bytes": 2, "overruns": 3}},
        {"counter": 5},
        {"accept": {"why": 1}},
        {"accept": 0},
        {"jump": {"target": "c", "depth": 2}},
        {"jump": {"target": 7}},
        {"goto": None},
        {"dnat": {"addr": "fd00::1", "port": 80, "weight": 2}},
        {"dnat": {"addr": "fd00::1", "flags": 4}},
        {"dnat": {"addr": "fd00::1", "kind": "dnat"}},
        {"match": {"op": "==", "left": SADDR}},
        {"match": {"op": "==", "left": SADDR, "right": 1, "mask": 2}},
        {"vmap": {"key": SADDR}},
        {"vmap": {"key": SADDR, "data": "@m", "default": {"drop": None}}},
        {"set": {"op": "update", "elem": SADDR, "set": "no-reference"}},
        {"set": {"op": "update", "elem": SADDR, "set": "@s", "data": 1}},
        {"ct helper": {"name": "x"}},
        {"accept": None, "drop": None},
        {},
        "counter",
        7,
        None,
        [{"accept": None}],
    ],
    ids=json.dumps,
)
def test_keeps_a_statement_that_it_does_not_understand(statement: Any) -> None:
    """Whole, as it stands: a key that is dropped could turn a rule into another."""
    expected = Unknown(msgspec.json.encode(statement).decode())
    assert read_rule(statement, {"accept": None}) == (expected, Accept())


@pytest.mark.parametrize(
    "expression",
    [
        {"novelty": 1},
        {"meta": {"key": "mark", "mask": 1}},
        {"meta": {"key": 1}},
        {"payload": {"protocol": "ip6", "field": "saddr", "layer": 2}},
        {"payload": {"base": "nh", "offset": 0}},
        {"prefix": {"addr": "fd00::", "len": "64"}},
        {"range": ["fd00::1"]},
        {"range": ["fd00::1", "fd00::2", "fd00::3"]},
        {"concat": "fd00::1"},
        {"&": [SADDR]},
        {"map": {"key": SADDR}},
        {"numgen": {"mode": "random", "mod": 2, "offset": 0, "seed": 1}},
        {"fib": {"result": "type", "flags": ["daddr", 64]}},
        {"accept": None, "drop": None},
        {"elem": {"val": "fd00::1"}},
        {},
        1.5,
        2**80,
    ],
    ids=json.dumps,
)
def test_keeps_an_expression_that_it_does_not_understand(expression: Any) -> None:
    """The rest of its rule is read all the same; that it depends on something unknown is seen."""
    assert read_match(expression) == Unknown(msgspec.json.encode(expression).decode())
    assert read_match({"concat": [SADDR, expression]}) == Concat(
        (Payload("ip6", "saddr"), Unknown(msgspec.json.encode(expression).decode()))
    )


@pytest.mark.parametrize(
    "key",
    [
        {"elem": {"comment": "no value"}},
        {"elem": {"val": "fd00::1", "comment": 5}},
        {"elem": {"val": {"elem": {"val": "fd00::1"}}, "comment": "twice"}},
        {"elem": {"val": "fd00::1", "counter": {"packets": "many", "bytes": 0}}},
        {"elem": None},
    ],
    ids=json.dumps,
)
def test_keeps_an_element_that_it_does_not_understand(key: Any) -> None:
    """The others of its set, and of its map, are read all the same."""
    unknown = Element(Unknown(msgspec.json.encode(key).decode()))
    assert read_set(elem=[key, "::1"]).elements == (unknown, Element("::1"))
    pair = [key, {"accept": None}]
    unknown = Element(Unknown(msgspec.json.encode(pair).decode()))
    found = read_set("map", map="verdict", elem=[pair, ["::1", {"accept": None}], "::2"]).elements
    assert found == (unknown, Element("::1", Accept()), Element(Unknown('"::2"')))


def test_keeps_what_an_element_has_besides() -> None:
    """A limit or a second counter of an element is shown, so that nobody takes it for a plain one."""
    limit = {"rate": 5, "burst": 5, "per": "second"}
    (element,) = read_set(elem=[{"elem": {"val": "::1", "limit": limit, "counter": None}}]).elements
    assert (element.key, element.packets) == ("::1", None)
    assert json.loads(element.remainder) == {"limit": limit, "counter": None}
    counter = {"packets": 1, "bytes": 2, "overruns": 3}
    (element,) = read_set(elem=[{"elem": {"val": "::1", "counter": counter}}]).elements
    assert (element.key, element.packets, json.loads(element.remainder)) == (
        "::1",
        None,
        {"counter": counter},
    )


def test_an_unknown_key_of_an_object_stays_with_it() -> None:
    """Of a table, a chain, a rule, a set and a counter: each has the JSON of what is not known."""
    new: dict[str, Any] = {"new": {"deep": [1, None]}, "newer": 1}
    (table,) = parse_nft_json(
        output(
            {"table": {**TABLE["table"], **new}},
            {"chain": {**CHAIN["chain"], **new}},
            rule({"accept": None}, **new),
            set_(**new),
            {"counter": {"family": "ip6", "table": "t", "name": "n", "packets": 1, "bytes": 2, **new}},
        )
    ).tables
    chain, counter = table.chains["c"], table.objects[0]
    remainder = '{"new":{"deep":[1,null]},"newer":1}'
    found = (table, chain, chain.rules[0], table.sets["s"], counter)
    assert [each.remainder for each in found] == [remainder] * 5
    assert (table.handle, chain.handle, chain.rules[0].handle, table.sets["s"].handle) == (1, 2, 3, 4)
    assert (chain.rules[0].statements, counter.packets, counter.bytes) == ((Accept(),), 1, 2)


def test_keeps_objects_that_it_does_not_know() -> None:
    """In their table where they name one, else beside the tables."""
    tunnel = {"tunnel": {"family": "ip6", "table": "t", "name": "n", "id": 7}}
    found = parse_nft_json(output(TABLE, tunnel, {"novelty": [1]}, {"element": {"family": "ip6"}}))
    assert found.tables[0].objects == (NftObject(type="tunnel", name="n", remainder='{"id":7}'),)
    assert found.unknown == (Unknown('{"novelty":[1]}'), Unknown('{"element":{"family":"ip6"}}'))


@pytest.mark.parametrize(
    ("more", "base"),
    [
        (
            {"type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"},
            NftHook(hook="prerouting", type="nat", priority=-100, policy="accept"),
        ),
        ({"type": "route6", "hook": "unknown"}, NftHook(hook="unknown", type="route6")),
        ({"hook": ""}, NftHook()),
        ({"type": "filter"}, NftHook(type="filter")),
        ({"prio": 0}, NftHook(priority=0)),
        ({"policy": "drop"}, NftHook(policy="drop")),
        ({"dev": "eth0"}, NftHook(devices=("eth0",))),
        ({"dev": ["eth0", "eth1"]}, NftHook(devices=("eth0", "eth1"))),
        ({"dev": []}, NftHook()),
    ],
    ids=str,
)
def test_a_chain_with_any_trait_of_a_base_chain_is_one(more: dict[str, Any], base: NftHook) -> None:
    """Also where its hook or its type is one that nobody here knows."""
    chain = read_table({"chain": {**CHAIN["chain"], **more}}).chains["c"]
    assert (chain.base, chain.is_regular) == (base, False)


def test_a_chain_without_any_is_regular_unless_it_has_something_unknown() -> None:
    """What is not known may be what makes it a base chain."""
    assert read_table(CHAIN).chains["c"] == NftChain(name="c", handle=2)
    assert read_table(CHAIN).chains["c"].is_regular
    assert not read_table({"chain": {**CHAIN["chain"], "hooks": []}}).chains["c"].is_regular


def test_reads_both_forms_of_lists() -> None:
    """Releases differ in whether a list of one member has brackets, and a type of data blanks and dots."""
    table = {"table": {**TABLE["table"], "flags": "owner"}}
    assert parse_nft_json(output(table)).tables[0].flags == ("owner",)
    table["table"]["flags"] = ["owner", "persist"]
    assert parse_nft_json(output(table)).tables[0].flags == ("owner", "persist")
    for flags in ("random", ["random"]):
        assert read_rule({"dnat": {"addr": "::1", "flags": flags}}) == (Dnat(addr="::1", flags=("random",)),)
    for types in ("ipv6_addr . inet_service", ["ipv6_addr", "inet_service"]):
        found = read_set("map", type=types, map=types, flags="interval")
        assert (found.type, found.map, found.flags) == (("ipv6_addr", "inet_service"),) * 2 + (("interval",),)
    typed = {"typeof": SADDR}
    assert read_set(type=typed).type == Unknown(msgspec.json.encode(typed).decode())


def test_tells_a_set_of_one_and_a_single_value_apart_only_as_the_tool_does() -> None:
    """`{ fd00::/8 }` is printed without its braces; with them, it may stand alone in `set`."""
    prefix = {"prefix": {"addr": "fd00::", "len": 8}}
    assert read_match(prefix) == Prefix("fd00::", 8)
    assert read_match({"set": [prefix]}) == Set((Element(Prefix("fd00::", 8)),))
    assert read_match({"set": prefix}) == Set((Element(Prefix("fd00::", 8)),))


def test_a_list_is_a_pair_only_in_a_map() -> None:
    """In a set, and on the right of a comparison, it is several flags."""
    flags = ["established", "related"]
    assert read_match(flags) == List(("established", "related"))
    assert read_match({"set": [flags]}) == Set((Element(List(("established", "related"))),))
    assert read_set("map", map="mark", elem=[["::1", "::2"]]).elements == (Element("::1", "::2"),)


def test_numbers_booleans_and_names_stay_what_they_are() -> None:
    """A protocol without a name is a number, and a test for a header compares with true or false."""
    for value in (0, 253, 2**63 - 1, True, False, "tcp", "eth*", "*"):
        found = read_match(value)
        assert (found, type(found)) == (value, type(value))
    assert read_match("@a/b@c") == SetRef("a/b@c")


def test_reads_the_lists_of_single_things() -> None:
    """`list chain` and `list set` print no table; `list counters` prints neither."""
    found = parse_nft_json(output(CHAIN, rule({"counter": None}), set_()))
    (table,) = found.tables
    assert (table.handle, table.chains["c"].rules[0].statements) == (None, (Counter(),))
    assert found.table("ip6", "t") is table
    assert found.table("ip", "t") is None


def test_takes_objects_in_the_order_of_newer_releases() -> None:
    """Since 1.1.0 chains stand before sets; what a map leads to is the same."""
    goto = {"goto": {"target": "c"}}
    elements = [[{"concat": ["::1", "tcp", 80]}, goto]]
    verdicts = set_("map", map="verdict", type=["ipv6_addr", "inet_proto", "inet_service"], elem=elements)
    for objects in ((verdicts, CHAIN), (CHAIN, verdicts)):
        table = read_table(*objects, rule({"vmap": {"key": {"meta": {"key": "mark"}}, "data": "@s"}}))
        assert table.sets["s"].elements == (Element(Concat(("::1", "tcp", 80)), Goto("c")),)
        assert table.chains["c"].rules[0].statements == (Vmap(Meta("mark"), SetRef("s")),)


@pytest.mark.parametrize("case", ["list-map", "kube-proxy-1.36-ip6"])
def test_an_output_that_is_cut_is_never_a_smaller_ruleset(case: str) -> None:
    """At whatever byte: the closing braces are the end mark."""
    (text,) = (each.read_bytes().rstrip() for each in list_cases("nft-json") if each.stem == case)
    parse_nft_json(text)
    for end in range(len(text)):
        with pytest.raises(ParseError):
            parse_nft_json(text[:end])


@pytest.mark.parametrize("case", list_cases("nft-json"), ids=lambda case: case.stem)
def test_the_model_itself_is_read_back_from_its_json(case: Path) -> None:
    """Each kind of expression is told from every other by its tag."""
    ruleset = parse_nft_json(case.read_bytes())
    assert decode_json(NftRuleset, encode_json(ruleset)) == ruleset


def test_reads_all_that_kube_proxies_write() -> None:
    """No rule of any captured version and setting, and no element, has something that is not understood."""
    versions = set()
    for folder in sorted(DATAPLANES.glob("*-nftables*")):
        ruleset = parse_nft_json(load(folder, "nft.json"))
        tables = [each for each in ruleset.tables if each.name == "kube-proxy"]
        assert [each.family for each in tables] == ["ip", "ip6"]
        text = msgspec.json.encode(tables)
        assert b'"kind":"unknown"' not in text
        assert b'"remainder"' not in text
        versions.add(folder.name.partition("-")[0])
    assert versions >= {"1.29.0", "1.34.3", "1.36.2"}


@UNTIMED
@given(st.text() | st.binary())
def test_arbitrary_text_raises_nothing_but_parse_errors(text: str | bytes) -> None:
    """Whatever it is."""
    with pytest.raises(ParseError):
        parse_nft_json(text)


@UNTIMED
@given(OUTPUTS)
def test_arbitrary_objects_raise_nothing_but_parse_errors(text: str) -> None:
    """JSON that comes near to nft's own is read, or refused."""
    with contextlib.suppress(ParseError):
        assert parse_nft_json(text).version == "1.0.6"

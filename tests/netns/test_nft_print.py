"""What is printed is what the kernel had: listed, parsed, printed, loaded by nft into a fresh netns, and listed again.

The rulesets are those of the captures made by hand, and what real kube-proxies of three versions wrote. What nft 1.0.6
prints but does not take back stands in `REFUSED`, and is proven to be refused; what it drops in silence, in `forget`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from netinspect.models.nft import NftRule, NftRuleset, NftSet, NftTable
from netinspect.models.nft_codec import show_element
from netinspect.models.nft_expression import Element, Set
from netinspect.models.nft_statement import Match, Statement
from netinspect.parse.nft_json import parse_nft_json
from netinspect.render.nft_json import render_nft_json
from tests.captures.capture_dataplanes import DATAPLANES, load
from tests.captures.cases_nft import EXPRESSIONS, IPTABLES, LIST, NAT, OTHERS, SETS, load_ruleset
from tests.netns.world import Netns, World

pytestmark = pytest.mark.netns

Json = Any

KUBE_PROXIES = sorted(DATAPLANES.glob("*-nftables*"))
# By the reason, what nft 1.0.6 prints and fails to read.
REFUSED: dict[str, Callable[[str, Json], bool]] = {
    "what iptables wrote, and nft cannot say": lambda kind, body: _uses(body, "xt"),
    "a map to several values at once": lambda kind, body: isinstance(body.get("map"), list),
    "a chain of a device, which it did not print": lambda kind, body: (
        body["family"] == "netdev" and kind != "table"
    ),
    "objects that its parser does not know": lambda kind, body: kind in ("ct expectation", "synproxy"),
    "rules that use these": lambda kind, body: _uses(body, "ct expectation"),
    "a limit of each element": lambda kind, body: '"stmt"' in json.dumps(body) and kind == "rule",
}


def _uses(body: Json, statement: str) -> bool:
    return any(statement in each for each in body.get("expr", ()))


def why_refused(item: Json) -> str | None:
    """Say why nft does not take back an object that it printed; None where it does."""
    ((kind, body),) = item.items()
    if kind == "metainfo":
        return None
    return next((why for why, is_so in REFUSED.items() if is_so(kind, body)), None)


def forget(ruleset: NftRuleset) -> NftRuleset:
    """Take away what nft 1.0.6 prints and ignores in input, and what is another each time.

    Handles; comments of sets and maps; counters of elements; a single flag of a table (see the model); all of a `ct
    timeout` but its name; braces around one value, which may stand in text. The order of elements is that of a hash
    table with a random seed, and times run.
    """
    return msgspec.structs.replace(ruleset, tables=tuple(_forget_table(each) for each in ruleset.tables))


def _forget_table(table: NftTable) -> NftTable:
    chains = {
        name: msgspec.structs.replace(chain, handle=None, rules=tuple(map(_forget_rule, chain.rules)))
        for name, chain in table.chains.items()
    }
    objects = (
        msgspec.structs.replace(
            each, handle=None, remainder="" if each.type == "ct timeout" else each.remainder
        )
        for each in table.objects
    )
    sets = {name: _forget_set(each) for name, each in table.sets.items()}
    return msgspec.structs.replace(
        table, chains=chains, sets=sets, objects=tuple(objects), handle=None, flags=()
    )


def _forget_rule(rule: NftRule) -> NftRule:
    return msgspec.structs.replace(rule, handle=None, statements=tuple(map(_forget_braces, rule.statements)))


def _forget_braces(statement: Statement) -> Statement:
    if isinstance(statement, Match) and isinstance(statement.right, Set):
        (first, *more) = statement.right.elements
        if not more and first == Element(first.key):
            return msgspec.structs.replace(statement, right=first.key)
    return statement


def _forget_set(set_: NftSet) -> NftSet:
    elements = sorted((_forget_element(each) for each in set_.elements), key=show_element)
    return msgspec.structs.replace(set_, handle=None, comment="", elements=tuple(elements))


def _forget_element(element: Element) -> Element:
    has = {name: 0 for name in ("packets", "bytes", "expires_s") if getattr(element, name) is not None}
    return msgspec.structs.replace(element, **has)


def nft(netns: Netns, items: list[Json]) -> str:
    """Let nft load some objects, and return what it complains of."""
    argv = ("nsenter", f"--net=/proc/{netns.pid}/ns/net", "--", "nft", "-j", "-f", "-")
    text = json.dumps({"nftables": items}).encode()
    return subprocess.run(argv, input=text, capture_output=True, check=False).stderr.decode()


def listing(netns: Netns) -> NftRuleset:
    return parse_nft_json(netns.enter(*LIST.split()))


def new_netns(world: World) -> Netns:
    """Make a netns with the links that the rules name by their index."""
    netns = world.new_netns()
    netns.ip("link set lo up")
    netns.ip("link add cni0 type bridge")
    return netns


def check_same(world: World, ruleset: NftRuleset) -> set[str]:
    """Print, load and list a ruleset, and compare; return why some of it could not be loaded."""
    items = json.loads(render_nft_json(ruleset))["nftables"]
    taken = [item for item in items if why_refused(item) is None]
    fresh = new_netns(world)
    assert nft(fresh, taken) == ""
    expected = forget(parse_nft_json(json.dumps({"nftables": taken})))
    assert forget(listing(fresh)) == expected
    for item in items:
        if item not in taken:
            assert "Error" in nft(fresh, [item])
    return {why for why in map(why_refused, items) if why}


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (EXPRESSIONS, set()),
        (NAT, set()),
        (SETS, set(list(REFUSED)[1:2] + list(REFUSED)[3:])),
        (OTHERS, {list(REFUSED)[2]}),
    ],
    ids=("expressions", "nat", "sets", "others"),
)
def test_nft_takes_back_what_was_printed(world: World, text: str, refused: set[str]) -> None:
    """All but what nft cannot read itself, and that is named."""
    original = listing(load_ruleset(new_netns(world), text))
    assert check_same(world, original) == refused


def test_nft_takes_back_what_it_understands_of_iptables(world: World) -> None:
    """Rules of iptables are opaque where nft says `xt`, and these it refuses; chains and the others it takes."""
    original = new_netns(world)
    original.enter("sh", "-e", "-c", IPTABLES)
    assert check_same(world, listing(original)) == {next(iter(REFUSED))}


@pytest.mark.parametrize("folder", KUBE_PROXIES, ids=[folder.name for folder in KUBE_PROXIES])
def test_nft_takes_back_what_kube_proxies_wrote(world: World, folder: Path) -> None:
    """In every version and setting, both families, down to the last element."""
    ruleset = parse_nft_json(load(folder, "nft.json"))
    tables = tuple(each for each in ruleset.tables if each.name == "kube-proxy")
    assert [each.family for each in tables] == ["ip", "ip6"]
    assert check_same(world, msgspec.structs.replace(ruleset, tables=tables)) == set()

"""A node's answer about rules that is cut at any byte: what it lacks is missing for a reason, never smaller."""

from __future__ import annotations

import gzip
from typing import Any

from netinspect.collect.rules import collect_rules
from netinspect.errors import NetinspectError
from netinspect.models.fact import Fact, Known, Unavailable
from netinspect.models.rules_reading import RulesReading
from netinspect.parse.frames import parse_frames
from netinspect.probes.rules import build_rules_plan
from tests.unit.collect.test_rules import whole
from tests.unit.usecases.fake_node import FakeNode

PLAN = build_rules_plan()


def write_frames() -> bytes:
    """The stream of the node side, as node.sh writes it."""
    results = whole()
    stream = b"hello 1 4026531840\n"
    for result in results.values():
        stream += f"probe node 4026531840 node {result.name}\n".encode()
        stream += gzip.compress(result.stdout) + gzip.compress(b"\n0 1.0 2.0")
    return stream + b"done %d\n" % len(results)


def facts(reading: RulesReading) -> dict[str, Fact[Any]]:
    named: dict[str, Fact[Any]] = {kind.tool: fact for kind, fact in reading.saves.items()}
    return {
        "links": reading.links,
        "mode": reading.kube_proxy_mode,
        "nft": reading.nft,
        "servers": reading.virtual_servers,
        "ipsets": reading.ipsets,
        **named,
    }


def test_a_stream_that_is_cut_anywhere_has_gaps_and_no_smaller_facts() -> None:
    """At every byte: each fact is the whole one, or unavailable; and the trip says that its end is missing."""
    stream = write_frames()
    complete = facts(collect_rules(FakeNode(parse_frames([stream])), PLAN))
    assert all(isinstance(fact, Known) for fact in complete.values())
    lost = 0
    for cut in range(len(stream)):
        try:
            reading = collect_rules(FakeNode(parse_frames([stream[:cut]])), PLAN)
        except NetinspectError:
            continue
        assert len(reading.gaps) == 1, cut
        for name, fact in facts(reading).items():
            assert isinstance(fact, Unavailable) or fact == complete[name], (cut, name)
            lost += isinstance(fact, Unavailable)
    assert lost > len(stream)

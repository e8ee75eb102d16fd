"""Who speaks to whom, in words: every translation, and nothing that was not said."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from netinspect.analyze.address_book import build_address_book
from netinspect.analyze.conntrack.flow_names import find_changed_names, name_flow
from netinspect.models.fact import Known
from tests.unit.analyze.build import link
from tests.unit.flow_world import (
    DENIED,
    GRE_V4,
    NEIGHBOUR_V4,
    NODE_PORT_V4,
    PING_V6,
    PODS,
    STATE,
    TCP_V4,
    TCP_V6,
    UNREPLIED_V6,
    flow,
    pod,
)

LINKS = {"node-a": [link("cni0", 5, "bridge", ips=("10.244.1.1/24",))]}
HAIRPIN = (
    "ipv6     10 tcp      6 9 ESTABLISHED src=fd00:244:1::5 dst=fd00:96::20 sport=5 dport=80 "
    "src=fd00:244:1::5 dst=fd00:99::11 sport=8080 dport=5 [ASSURED] mark=0 use=1 id=1"
)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            TCP_V6,
            "pod demo/tools [fd00:244:1::3]:42548 -> service demo/web:http [fd00:96::20]:80 "
            "-> pod demo/web-2 [fd00:244:2::7]:8080",
        ),
        (
            TCP_V4,
            "pod demo/tools 10.244.1.3:42548 -> service demo/web:http 10.96.0.20:80 "
            "-> pod demo/web-2 10.244.2.7:8080",
        ),
        (
            NODE_PORT_V4,
            "pod demo/tools 10.244.1.3:53732 -> service demo/web:http (nodePort 30080) 10.99.0.11:30080 "
            "-> pod demo/web-2 10.244.2.7:8080, source seen as node node-a (cni0) 10.244.1.1:37363",
        ),
        (
            HAIRPIN,
            "pod demo/web-1 [fd00:244:1::5]:5 -> service demo/web:http [fd00:96::20]:80 "
            "-> pod demo/web-1 [fd00:244:1::5]:8080, source seen as node node-a [fd00:99::11]:5",
        ),
        (  # met no rule: no backend is made up
            UNREPLIED_V6,
            "pod demo/tools [fd00:244:1::3]:50061 -> service demo/web:echo [fd00:96::20]:80",
        ),
        (PING_V6, "pod demo/tools fd00:244:1::3 -> pod demo/web-2 fd00:244:2::7"),
        (
            NEIGHBOUR_V4,
            "no pod known (in the pod range of node-a) 10.244.1.50:40128 -> external 93.184.216.34:443",
        ),
        (GRE_V4, "node node-a 10.99.0.11 -> node node-b 10.99.0.12"),
    ],
)
def test_a_flow_is_told_in_one_line(line: str, words: str) -> None:
    """Source, destination, backend, and the source that the backend sees."""
    assert name_flow("node-a", flow(line), build_address_book(STATE, LINKS)).words == words


def test_ends_that_are_not_translated_are_named_once() -> None:
    """The backend of a plain flow is its destination, a Service's port included."""
    named = name_flow("node-a", flow(UNREPLIED_V6), build_address_book(STATE))
    assert named.backend == named.destination
    assert named.reply_to == named.source
    assert (named.node, named.flow.raw) == ("node-a", UNREPLIED_V6)


def test_what_could_not_be_read_is_unknown_and_not_external() -> None:
    """The word is said."""
    named = name_flow("node-a", flow(TCP_V6), build_address_book(replace(STATE, services=DENIED)))
    assert " -> unknown [fd00:96::20]:80 -> pod demo/web-2 " in named.words


def test_names_that_changed_are_told_once_an_address() -> None:
    """Pods that came, went, or took over an address; one that only began to end is still itself."""
    before = build_address_book(
        replace(STATE, pods=Known((*PODS, pod("old", "10.244.1.50"), pod("gone", "fd00:244:1::9"))))
    )
    leaving = replace(PODS[0], metadata=replace(PODS[0].metadata, deletion_timestamp="2026-01-01T00:00:00Z"))
    after = build_address_book(replace(STATE, pods=Known((leaving, *PODS[1:], pod("new", "10.244.1.50")))))
    lines = (NEIGHBOUR_V4, NEIGHBOUR_V4, PING_V6.replace("fd00:244:1::3", "fd00:244:1::9"), TCP_V4)
    assert find_changed_names(map(flow, lines), before, after) == (
        "10.244.1.50 changed from pod demo/old to pod demo/new",
        "fd00:244:1::9 changed from pod demo/gone to no pod known (in the pod range of node-a)",
    )
    assert find_changed_names(map(flow, lines), after, after) == ()

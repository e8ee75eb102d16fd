"""What a node is asked to listen to."""

from __future__ import annotations

import ipaddress

import pytest

from netinspect.models.conntrack import FlowEventType
from netinspect.models.flow_filter import FlowFilter, Network
from netinspect.probes.conntrack_watch import WATCH_PLAN, build_watch_probe
from netinspect.probes.plan import encode_plan

BASE = ("conntrack", "-E", "-o", "extended,id,timestamp", "-b", "8388608", "-e")
ALL = (*BASE, "NEW,UPDATE,DESTROY")


def networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


def test_all_events_of_both_families_are_asked_for() -> None:
    """No -f: one stream for both families, in the kernel's order."""
    probe = build_watch_probe(60)
    assert (probe.argv, probe.timeout_s) == (ALL, 60)


def test_types_are_chosen_by_the_kernel() -> None:
    """What is not asked for does not travel; each type once."""
    types = (FlowEventType.DESTROY, FlowEventType.NEW, FlowEventType.DESTROY)
    assert build_watch_probe(60, types).argv == (*BASE, "DESTROY,NEW")


@pytest.mark.parametrize(
    ("wanted", "argv"),
    [
        (FlowFilter(protocols=frozenset((6,))), ("-p", "tcp")),
        (FlowFilter(protocols=frozenset((17,))), ("-p", "udp")),
        (FlowFilter(src=networks("fd00::5")), ("-s", "fd00::5")),
        (FlowFilter(dst=networks("10.96.0.10")), ("-d", "10.96.0.10")),
        (
            FlowFilter(
                protocols=frozenset((17,)), src=networks("10.0.0.1"), dst=networks("10.0.0.2"), sport=5
            ),
            ("-p", "udp", "-s", "10.0.0.1", "-d", "10.0.0.2"),
        ),
    ],
)
def test_the_tools_own_filter_is_used_where_it_is_exact(wanted: FlowFilter, argv: tuple[str, ...]) -> None:
    """One protocol, one source, one destination."""
    assert build_watch_probe(60, (), wanted).argv == (*ALL, *argv)


@pytest.mark.parametrize(
    "wanted",
    [
        FlowFilter(protocols=frozenset((6, 17))),
        FlowFilter(protocols=frozenset((58,))),
        FlowFilter(src=networks("10.0.0.1", "fd00::1")),
        FlowFilter(dst=networks("fd00::/64")),
        FlowFilter(addresses=frozenset((ipaddress.ip_address("10.0.0.1"),))),
        FlowFilter(sport=1, dport=2, states=frozenset(("ESTABLISHED",)), zone=7, mark=1),
    ],
)
def test_where_it_could_lose_an_event_it_is_not_used(wanted: FlowFilter) -> None:
    """Alternatives, networks, any place of an address, ports without a protocol: our own filter decides."""
    assert build_watch_probe(60, (), wanted).argv == ALL


def test_the_plan_before_it_can_be_sent() -> None:
    """Links and the sysctl, in one trip."""
    assert [probe.name for probe in WATCH_PLAN.node_probes] == ["links", "events-mode"]
    assert b"/proc/sys/net/netfilter/nf_conntrack_events" in encode_plan(WATCH_PLAN)

"""At which hooks packets to Services are met: only what is wrong is said."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from netinspect.analyze.rules.notes import describe_missing_hooks
from netinspect.analyze.rules.service_rules import build_service_names, name_rules
from netinspect.models.address import parse_address
from netinspect.models.service_map import Destination, Hook, Mode, Outcome
from netinspect.models.service_rules import NamedBackend, NamedBranch, ServiceRules
from tests.unit.analyze.captured_nodes import CapturedNode, captured_nodes

SOME = [each for each in captured_nodes() if each.folder.name in ("1.28.15-iptables", "1.29.0-nftables")]
SOME += [each for each in captured_nodes() if each.folder.name.startswith("1.36.2-ipvs")]
BACKEND = NamedBackend(address=parse_address("fd00:244::5"), port=8080, share=1.0)
TRANSLATED = NamedBranch(outcome=Outcome.BACKENDS, backends=(BACKEND,))
REFUSED = NamedBranch(outcome=Outcome.REJECT)
PRE, OUT, IN = Hook.PREROUTING, Hook.OUTPUT, Hook.INPUT


def rules(
    *hooks: Hook,
    branch: NamedBranch = TRANSLATED,
    ip: str | None = "fd00:96::1",
    except_: tuple[str, ...] = (),
    service: str = "web",
    mode: Mode = Mode.IPTABLES,
    port: int = 80,
) -> ServiceRules:
    address = parse_address(ip) if ip else None
    return ServiceRules(
        node="node-a",
        family=6,
        mode=mode,
        namespace="demo",
        service=service,
        destination=Destination(address=address, protocol="tcp", port=port, except_=except_),
        hooks=hooks,
        branches=(branch,),
    )


def describe(*items: ServiceRules) -> list[str]:
    return [*describe_missing_hooks(items, items)]


def test_what_is_met_at_output_only_is_lost_to_pods_and_to_the_outside() -> None:
    for branch in (TRANSLATED, REFUSED):
        assert describe(rules(OUT, branch=branch)) == [
            "node node-a, IPv6: nothing is done at prerouting with packets to [fd00:96::1]:80/tcp: those of pods and "
            "from outside go on as they are; see kubectl netinspect dataplane --node node-a"
        ]


def test_what_is_translated_at_prerouting_only_is_lost_to_the_node() -> None:
    [note] = describe(rules(PRE, ip=None, port=30080))
    assert note.startswith(
        "node node-a, IPv6: nothing is done at output with packets to any-local:30080/tcp: "
        "those of the node itself and of its hostNetwork pods go on as they are"
    )


@pytest.mark.parametrize(
    "items",
    [
        [rules(PRE, OUT)],
        [rules(PRE), rules(OUT, branch=REFUSED)],
        # iptables leaves out other addresses at one hook than at the other.
        [rules(PRE, ip=None), rules(OUT, ip=None, except_=("::1/128",))],
        [rules(OUT, ip="::1", port=30080)],  # nothing comes in to a loopback address
        [rules(PRE, branch=REFUSED)],  # kube-proxy refuses there what the node itself sends to its pods
        [rules(IN, ip=None, branch=NamedBranch(outcome=Outcome.ACCEPT))],  # health checks are let in
        [rules(PRE, service="")],  # some port forwarding, which is nobody's Service
    ],
)
def test_what_is_right_is_not_said(items: list[ServiceRules]) -> None:
    assert describe(*items) == []


def test_hooks_count_that_are_not_shown() -> None:
    """One backend of iptables meets packets at one hook, the other one at the other."""
    assert [*describe_missing_hooks([rules(OUT)], [rules(OUT), rules(PRE, service="")])] == []


def test_many_destinations_are_one_note() -> None:
    items = [rules(OUT, port=number) for number in range(1, 6)]
    [note] = describe(*items, items[0])
    assert "[fd00:96::1]:1/tcp, [fd00:96::1]:2/tcp, [fd00:96::1]:3/tcp and 2 more: " in note


def test_without_the_links_it_is_not_known_where_ipvs_meets_packets() -> None:
    item = rules(OUT, mode=Mode.IPVS)
    assert len(describe(item)) == 1
    assert [*describe_missing_hooks([item], [item], without_links=["node-a"])] == []
    other = replace(item, mode=Mode.IPTABLES)
    assert len([*describe_missing_hooks([other], [other], without_links=["node-a"])]) == 1


def test_where_rules_could_not_be_judged_it_is_said() -> None:
    item = rules(OUT)
    [note] = describe_missing_hooks([item], [item], doubtful={("node-a", 6)})
    assert "[fd00:96::1]:80/tcp, as far as rules could be judged: those" in note


@pytest.mark.parametrize("node", SOME, ids=lambda each: each.folder.name)
@pytest.mark.parametrize("family", [4, 6])
def test_what_kube_proxy_itself_wrote_misses_no_hook(node: CapturedNode, family: int) -> None:
    """All shapes of Services, in all modes: nothing that is right is said to be wrong."""
    items = name_rules(node.seen(family), build_service_names(node.state))
    assert len(items) > 20
    assert describe(*items) == []

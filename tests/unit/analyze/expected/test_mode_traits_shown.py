"""What the table of modes declares is what the expectation does: each trait is looked up in an expected map."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from netinspect.analyze.expected.mode_traits import MODE_TRAITS, ModeTraits
from netinspect.models.service_map import Branch, Hook, Mode, Outcome, ServiceMap
from tests.unit.analyze.service_world import (
    BALANCER,
    CONFIG,
    EXTERNAL,
    VIP,
    endpoint,
    expect,
    service,
    slices,
    state,
)

NODE_PORT = [{"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}]
EXPOSED: dict[str, Any] = {"type": "NodePort", "ports": NODE_PORT, "externalIPs": [EXTERNAL[4]]}
LOCAL = {"externalTrafficPolicy": "Local"}
REFUSED = {Outcome.REJECT, Outcome.DROP}


def shown(mode: Mode) -> dict[str, object]:
    """A mode's traits, as they are seen in expected IPv4 maps."""
    usual, local = _map(mode, EXPOSED), _map(mode, {**EXPOSED, **LOCAL})
    empty = _map(mode, EXPOSED, endpoints=())
    elsewhere = _map(mode, {**EXPOSED, **LOCAL}, endpoints=(endpoint(3),))
    guarded = {"type": "LoadBalancer", "ingress": [BALANCER[4]], "loadBalancerSourceRanges": ["10.1.0.0/16"]}
    unguarded = _map(mode, guarded, endpoints=())
    checked = _map(mode, {"type": "LoadBalancer", "healthCheckNodePort": 32000, **LOCAL})
    vip = _branches(usual, Hook.OUTPUT, VIP[4])
    return {
        "refuses": Outcome.REJECT in _outcomes(_branches(empty, Hook.PREROUTING, VIP[4])),
        "refuses_own": bool(_outcomes(_branches(empty, Hook.OUTPUT, EXTERNAL[4])) & REFUSED),
        "refuses_own_to_node_ports": _is_refused_to_node_ports(elsewhere, Hook.OUTPUT),
        "refuses_node_ports_anywhere": _narrowed(mode, endpoints=()) == {"10.99.0.11", "any"},
        "short_ways": any(branch.when for branch in _branches(local, Hook.PREROUTING, EXTERNAL[4])),
        "firewall_without_endpoints": Outcome.DROP
        in _outcomes(_branches(unguarded, Hook.PREROUTING, BALANCER[4])),
        "node_ports_at_primary": _node_ports(usual) == {"10.99.0.11"},
        "node_ports_at_loopback": _node_ports(usual) == {"any"},
        "node_ports_one_by_one": _node_ports(usual) == {"10.99.0.11", "192.168.7.1"},
        "hairpin_of_all": all(each.masqueraded_from for each in vip[-1].backends),
        "masquerades_loopback": not any("127.0.0.0/8" in each.values for each in vip[0].when),
        "opens_health_checks": any(each.hook is Hook.INPUT for each in checked.entries),
        "health_check_protocols": tuple(
            sorted(each.destination.protocol for each in checked.entries if each.hook is Hook.INPUT)
        ),
        "is_weighted": vip[0].backends[0].weight == 1,
    }


def _map(mode: Mode, spec: dict[str, Any], endpoints: tuple[Any, ...] | None = None) -> ServiceMap:
    known = slices() if endpoints is None else slices(endpoints=endpoints)
    return expect(mode, state([service(**spec)], known), family=4)


def _branches(map_: ServiceMap, hook: Hook, address: str) -> tuple[Branch, ...]:
    found = (each for each in map_.entries if each.hook is hook and str(each.destination.address) == address)
    return next((each.branches for each in found), ())


def _outcomes(branches: tuple[Branch, ...]) -> set[Outcome]:
    return {each.outcome for each in branches}


def _node_ports(map_: ServiceMap, hook: Hook = Hook.OUTPUT) -> set[str]:
    found = (
        each.destination for each in map_.entries if each.hook is hook and each.destination.port == 30080
    )
    return {str(each.address) if each.address else "any" for each in found}


def _is_refused_to_node_ports(map_: ServiceMap, hook: Hook) -> bool:
    own = (each for each in map_.entries if each.hook is hook and each.destination.port == 30080)
    return any(_outcomes(each.branches) & REFUSED for each in own)


def _narrowed(mode: Mode, endpoints: tuple[Any, ...]) -> set[str]:
    """Where a node port is met if it is offered at one address only."""
    config = replace(CONFIG, node_port_addresses=("10.99.0.0/16",))
    cluster = state([service(**EXPOSED)], slices(endpoints=endpoints))
    return _node_ports(expect(mode, cluster, family=4, config=config), Hook.PREROUTING)


@pytest.mark.parametrize("mode", list(Mode))
def test_the_expectation_does_what_the_table_says(mode: Mode) -> None:
    found = shown(mode)
    declared = {name: getattr(MODE_TRAITS[mode], name) for name in found}
    if not declared["opens_health_checks"]:
        declared["health_check_protocols"] = ()
    assert found == declared


def test_what_is_not_shown_is_no_matter_of_modes() -> None:
    """The other traits are those of versions, and the same in the newest version of all modes."""
    rest = set(ModeTraits.__struct_fields__) - set(shown(Mode.IPTABLES))
    for name in rest:
        assert len({getattr(each, name) for each in MODE_TRAITS.values()}) == 1

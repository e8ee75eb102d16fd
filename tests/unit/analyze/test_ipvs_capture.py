"""What a real kube-proxy wrote in ipvs mode is what it should have written: virtual servers, sets and rules."""

from __future__ import annotations

from functools import cached_property

import pytest
from msgspec.structs import replace
from tests.unit.analyze.dataplane_capture import DATAPLANES, NODE, Capture

from netinspect.analyze.expected_service_map import expected_service_map
from netinspect.analyze.mode_traits import read_version
from netinspect.analyze.service_map_compare import compare_maps
from netinspect.analyze.service_map_ipvs import read_ipvs_map
from netinspect.models.address import Address
from netinspect.models.proxy_config import ProxyConfig
from netinspect.models.service_map import Hook, Mode, Outcome, ServiceMap
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.ipset_save import parse_ipsets
from netinspect.parse.iptables_save import parse_iptables_save
from netinspect.parse.ipvsadm import parse_saved
from netinspect.parse.proxy_config import parse_proxy_configz

_SAVED = {4: "iptables-save.txt", 6: "ip6tables-save.txt"}


class IpvsCapture(Capture):
    """A capture that has virtual servers and sets as well."""

    @cached_property
    def own_addresses(self) -> tuple[Address, ...]:
        """The node's addresses but for those of Services, which are on `kube-ipvs0`."""
        links = parse_ip_addr(self.text("addresses.json").encode())
        own = (link for link in links if link.ifname != "kube-ipvs0")
        return tuple(each.local for link in own for each in link.addresses)

    @cached_property
    def config(self) -> ProxyConfig:
        """What kube-proxy was told."""
        return parse_proxy_configz(self.text("configz.json").encode())

    def read(self, family: int) -> ServiceMap:
        """Return the map that virtual servers, sets and rules give."""
        servers = parse_saved(self.text("ipvsadm-save.txt").encode())
        sets = parse_ipsets(self.text("ipset-save.txt").encode())
        rules = parse_iptables_save(self.text(_SAVED[family]))
        return read_ipvs_map(NODE, family, servers, rules, sets, self.local_addresses)

    def expect(self, family: int, *, node: str = NODE, config: ProxyConfig | None = None) -> ServiceMap:
        """Return the map that the API and kube-proxy's settings give."""
        version = read_version(self.version)
        told = config or self.config
        return expected_service_map(self.state, node, family, self.mode, told, self.own_addresses, version)


CAPTURES = {path.name: IpvsCapture(path) for path in sorted(DATAPLANES.glob("*-ipvs*"))}
EVERY_CAPTURE = pytest.mark.parametrize("name", CAPTURES)
BOTH_FAMILIES = pytest.mark.parametrize("family", [6, 4])


def test_there_is_a_capture() -> None:
    assert {each.mode for each in CAPTURES.values()} == {Mode.IPVS}


@EVERY_CAPTURE
@BOTH_FAMILIES
def test_virtual_servers_sets_and_rules_do_what_is_expected(name: str, family: int) -> None:
    capture = CAPTURES[name]
    expected, seen = capture.expect(family), capture.read(family)
    assert compare_maps(expected, seen, capture.local_addresses) == ()
    assert not expected.gaps
    assert {each.hook for each in seen.entries} == set(Hook)
    outcomes = {branch.outcome for each in seen.entries for branch in each.branches}
    assert outcomes == {Outcome.BACKENDS, Outcome.NO_DESTINATION, Outcome.DROP, Outcome.ACCEPT}


@EVERY_CAPTURE
@BOTH_FAMILIES
def test_what_another_node_or_other_settings_would_do_is_something_else(name: str, family: int) -> None:
    capture = CAPTURES[name]
    seen, config = capture.read(family), capture.config
    for expected in (
        capture.expect(family, node="node-b"),
        capture.expect(family, config=replace(config, masquerade_all=True)),
        capture.expect(family, config=replace(config, cluster_cidrs=())),
        capture.expect(
            family, config=replace(config, node_port_addresses=("10.99.0.0/24", "fd00:10:99::/64"))
        ),
    ):
        assert compare_maps(expected, seen, capture.local_addresses)

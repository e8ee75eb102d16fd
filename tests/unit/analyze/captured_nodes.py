"""Nodes as they were captured (`tests/captures/dataplanes`): what their kube-proxy was told, and what it wrote."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from netinspect.analyze.expected.mode_traits import ModeTraits, Version, read_version
from netinspect.analyze.expected.service_map import expected_service_map
from netinspect.analyze.iptables.service_map import read_iptables_map
from netinspect.analyze.ipvs.service_map import read_ipvs_map
from netinspect.analyze.nft.service_map import read_nft_map
from netinspect.models.address import Address
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.kubernetes import EndpointSlice, Node, Service
from netinspect.models.link import Link
from netinspect.models.proxy_config import ProxyConfig
from netinspect.models.service_map import Mode, ServiceMap
from netinspect.parse.api import parse_object
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.ipset_save import parse_ipsets
from netinspect.parse.iptables_save import parse_iptables_save
from netinspect.parse.ipvsadm import parse_saved
from netinspect.parse.nft_json import parse_nft_json
from netinspect.parse.proxy_config import parse_proxy_configz

DATAPLANES = Path(__file__).parents[2] / "captures" / "dataplanes"
NODE = "node-a"
T = TypeVar("T")


@dataclass(frozen=True)
class CapturedNode:
    """One capture."""

    folder: Path

    def text(self, name: str) -> str:
        """Return a file of it."""
        packed = self.folder / f"{name}.gz"
        if packed.exists():
            return gzip.decompress(packed.read_bytes()).decode()
        return (self.folder / name).read_text()

    @property
    def mode(self) -> Mode:
        """The mode that kube-proxy said it ran in."""
        return Mode(self.text("proxy-mode.txt"))

    @property
    def version(self) -> Version:
        """The version of its kube-proxy (no kubelet was there to tell one)."""
        return read_version(self.meta["kubeProxy"])

    @cached_property
    def meta(self) -> dict[str, Any]:
        """What is known of the capture."""
        found: dict[str, Any] = json.loads(self.text("meta.json"))
        return found

    @cached_property
    def state(self) -> ClusterState:
        """What the API said."""
        return ClusterState(
            pods=Unavailable(Reason.NOT_APPLICABLE, "not captured"),
            services=Known(self._objects(Service, "services.json")),
            slices=Known(self._objects(EndpointSlice, "endpointslices.json")),
            nodes=Known(self._objects(Node, "nodes.json")),
        )

    def _objects(self, type_: type[T], name: str) -> tuple[T, ...]:
        items = json.loads(self.text(name))["items"]
        return tuple(parse_object(type_, json.dumps(each).encode()) for each in items)

    @cached_property
    def addresses(self) -> tuple[Address, ...]:
        """The node's addresses."""
        return tuple(each.local for link in self._links for each in link.addresses)

    @property
    def own_addresses(self) -> tuple[Address, ...]:
        """Those that it had before kube-proxy came: not the ones of Services."""
        own = (link for link in self._links if link.ifname != "kube-ipvs0")
        return tuple(each.local for link in own for each in link.addresses)

    @cached_property
    def _links(self) -> tuple[Link, ...]:
        return parse_ip_addr(self.text("addresses.json").encode())

    @cached_property
    def config(self) -> ProxyConfig:
        """What kube-proxy said that it was told."""
        return parse_proxy_configz(self.text("configz.json").encode())

    def expected(
        self,
        family: int,
        node: str = NODE,
        config: ProxyConfig | None = None,
        traits: ModeTraits | None = None,
    ) -> ServiceMap:
        """What its rules should do, were it that node, told that and made like that."""
        told = config or self.config
        return expected_service_map(
            self.state, node, family, self.mode, told, self.own_addresses, self.version, traits
        )

    def seen(self, family: int) -> ServiceMap:
        """What its rules do."""
        if self.mode is Mode.NFTABLES:
            ruleset = parse_nft_json(self.text("nft.json"))
            return read_nft_map(NODE, family, ruleset, self.addresses)
        name = "iptables-save.txt" if family == 4 else "ip6tables-save.txt"
        rules = parse_iptables_save(self.text(name))
        if self.mode is Mode.IPTABLES:
            return read_iptables_map(NODE, family, rules, self.addresses)
        servers = parse_saved(self.text("ipvsadm-save.txt").encode())
        sets = parse_ipsets(self.text("ipset-save.txt").encode())
        return read_ipvs_map(NODE, family, servers, rules, sets, self.addresses)


def captured_nodes() -> list[CapturedNode]:
    """Return all captures."""
    return [CapturedNode(path.parent) for path in sorted(DATAPLANES.glob("*/meta.json"))]

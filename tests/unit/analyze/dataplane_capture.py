"""A capture of `tests/captures/dataplanes`, parsed: what kube-proxy wrote, what it was told, what the API had."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from netinspect.analyze.expected_service_map import expected_service_map
from netinspect.analyze.mode_traits import read_version
from netinspect.analyze.service_map_iptables import read_iptables_map
from netinspect.analyze.service_map_nft import read_nft_map
from netinspect.models.address import Address
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Known
from netinspect.models.kubernetes import EndpointSlice, Node, Service
from netinspect.models.service_map import Mode, ServiceMap
from netinspect.parse.api import parse_object
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.iptables_save import parse_iptables_save
from netinspect.parse.nft_json import parse_nft_json
from netinspect.parse.proxy_config import parse_proxy_configz

DATAPLANES = Path(__file__).parents[2] / "captures" / "dataplanes"
NODE = "node-a"
_SAVED = {4: "iptables-save.txt", 6: "ip6tables-save.txt"}


@dataclass(frozen=True)
class Capture:
    """One folder."""

    folder: Path

    def text(self, name: str) -> str:
        """Return a file, unpacked."""
        packed = self.folder / f"{name}.gz"
        if packed.exists():
            return gzip.decompress(packed.read_bytes()).decode()
        return (self.folder / name).read_text()

    @property
    def version(self) -> str:
        """kube-proxy's version, as the capture tells it: `1.36.2`."""
        return str(json.loads(self.text("meta.json"))["kubeProxy"])

    @cached_property
    def mode(self) -> Mode:
        """The mode that kube-proxy itself said it was in."""
        return Mode(self.text("proxy-mode.txt"))

    @cached_property
    def local_addresses(self) -> tuple[Address, ...]:
        """All addresses of the node."""
        links = parse_ip_addr(self.text("addresses.json").encode())
        return tuple(address.local for link in links for address in link.addresses)

    @cached_property
    def state(self) -> ClusterState:
        """What the API had."""
        return ClusterState(
            pods=Known(()),
            services=Known(tuple(parse_object(Service, each) for each in self._items("services"))),
            slices=Known(tuple(parse_object(EndpointSlice, each) for each in self._items("endpointslices"))),
            nodes=Known(tuple(parse_object(Node, each) for each in self._items("nodes"))),
        )

    def read(self, family: int) -> ServiceMap:
        """Return the map that the rules give."""
        if self.mode is Mode.NFTABLES:
            ruleset = parse_nft_json(self.text("nft.json"))
            return read_nft_map(NODE, family, ruleset, self.local_addresses)
        return self.read_text(family, self.text(_SAVED[family]))

    def read_text(self, family: int, saved: str) -> ServiceMap:
        """Return the map that other rules than those of the capture would give on its node."""
        return read_iptables_map(NODE, family, parse_iptables_save(saved), self.local_addresses)

    def expect(self, family: int) -> ServiceMap:
        """Return the map that the API and kube-proxy's settings give."""
        config = parse_proxy_configz(self.text("configz.json").encode())
        version = read_version(self.version)
        return expected_service_map(
            self.state, NODE, family, self.mode, config, self.local_addresses, version
        )

    def _items(self, kind: str) -> Iterable[bytes]:
        return (json.dumps(each).encode() for each in json.loads(self.text(f"{kind}.json"))["items"])


def captures() -> list[Capture]:
    """Return all captures of the iptables and nftables modes."""
    found = sorted(each for each in DATAPLANES.iterdir() if each.is_dir())
    return [Capture(each) for each in found if "-ipvs" not in each.name]

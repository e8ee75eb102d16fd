"""Names of kube-proxy's chains, computed from Services: what the rules do not say where their comments are missing.

kube-proxy leaves comments out of balancing and endpoint rules above 1000 endpoints; chains' names are then the only
link to the Service. Source: pkg/proxy/iptables/proxier.go (`portProtoHash`, `servicePortEndpointChainName`) and
pkg/proxy/nftables/proxier.go (`hashAndTruncate`) of Kubernetes 1.36.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

import msgspec

from netinspect.models.address import Address, show_endpoint

# Chains that bear a service port's hash; KUBE-SEP is an endpoint's and has another one.
_SERVICE_CHAIN = re.compile(r"KUBE-(?:SVC|SVL|EXT|FW|XLB)-([A-Z2-7]{16})")
_LONGEST_NFT_NAME = 240


class ServicePortName(msgspec.Struct, frozen=True, kw_only=True):
    """One port of a Service, as kube-proxy names it.

    Attributes:
        namespace: of the Service.
        service: its name.
        port_name: the name of its port (not the number); empty for an unnamed one.
        protocol: `tcp`, `udp` or `sctp`.
    """

    namespace: str
    service: str
    port_name: str = ""
    protocol: str = "tcp"

    def __str__(self) -> str:
        """Write it as comments do: `ns/svc:port`, without colon for an unnamed port."""
        named = f"{self.namespace}/{self.service}"
        return f"{named}:{self.port_name}" if self.port_name else named


def iptables_hash(port: ServicePortName) -> str:
    """Return the 16 characters that end a service port's KUBE-SVC, -SVL, -EXT, -FW and -XLB chains."""
    return _hash(f"{port}{port.protocol}", 16)


def iptables_endpoint_chain(port: ServicePortName, address: Address, number: int) -> str:
    """Return the KUBE-SEP chain of one endpoint; `number` is the EndpointSlice's port."""
    return "KUBE-SEP-" + _hash(f"{port}{port.protocol}{show_endpoint(address, number)}", 16)


def nft_service_name(port: ServicePortName) -> str:
    """Return what follows `service-`, `local-`, `external-` and `firewall-` in kube-proxy's nft chains."""
    return _nft_name(_nft_path(port))


def nft_endpoint_name(port: ServicePortName, address: Address, number: int) -> str:
    """Return what follows `endpoint-` and `affinity-`; nft names hold no colons, so IPv6 is written with dots."""
    return _nft_name(f"{_nft_path(port)}__{str(address).replace(':', '.')}/{number}")


def names_by_hash(ports: Iterable[ServicePortName]) -> dict[str, ServicePortName]:
    """Return which service port has which hash in iptables chains."""
    return {iptables_hash(each): each for each in ports}


def hash_in_chain(chain: str) -> str | None:
    """Return the service port's hash in a chain's name; None for all other chains, endpoints' too."""
    found = _SERVICE_CHAIN.fullmatch(chain)
    return found[1] if found else None


def _nft_path(port: ServicePortName) -> str:
    return f"{port.namespace}/{port.service}/{port.protocol}/{port.port_name}"


def _nft_name(text: str) -> str:
    name = f"{_hash(text, 8)}-{text}"
    return name if len(name) <= _LONGEST_NFT_NAME else name[: _LONGEST_NFT_NAME - 3] + "..."


def _hash(text: str, length: int) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:length]

"""A node's rules for Services with their names: what `rules`, `iptables`, `nftables` and `ipvs` show."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from netinspect.models.address_owner import AddressOwner
from netinspect.models.service_map import Backend, Branch, Destination, Hook, Mode


class Role(StrEnum):
    """Which of a Service's ways in a destination is, in the API's words."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"
    EXTERNAL_IP = "ExternalIP"
    HEALTH_CHECK = "HealthCheckNodePort"
    UNKNOWN = "unknown"
    """No Service of the API has this destination now."""


class NamedBy(StrEnum):
    """Where a Service's name comes from."""

    RULES = "rules"
    """The rules say it: a comment, or the name of an nft chain."""
    HASH = "hash"
    """The hash in a chain's name is that of this Service's port."""
    API = "api"
    """The API's Service has this destination; the rules do not say whose they are."""
    NOTHING = ""
    """Nothing says it."""


class NamedBackend(Backend, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A backend, and whose its address is.

    Attributes:
        owner: None where nothing was asked for.
    """

    owner: AddressOwner | None = None


class NamedBranch(Branch, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What happens to packets of some sources, with backends that have names."""

    backends: tuple[NamedBackend, ...] = ()


class ServiceRules(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one node does with packets for one destination.

    Attributes:
        node: the node's name.
        family: 4 or 6.
        mode: whose rules they are.
        namespace: of the Service; `""` where nothing says whose the destination is.
        service: its name.
        port_name: the name of its port; `""` for one without.
        named_by: where the name comes from.
        role: which way in it is, by the API.
        destination: to what packets are sent.
        hooks: where they are met: the hooks at which the same happens.
        branches: the first whose conditions hold counts.
    """

    node: str
    family: int
    mode: Mode
    namespace: str = ""
    service: str = ""
    port_name: str = ""
    named_by: NamedBy = NamedBy.NOTHING
    role: Role = Role.UNKNOWN
    destination: Destination
    hooks: tuple[Hook, ...]
    branches: tuple[NamedBranch, ...]

    @property
    def title(self) -> str:
        """The Service as rules name it: `shop/web:http`; `""` where nothing names it."""
        name = f"{self.namespace}/{self.service}" if self.service else ""
        return f"{name}:{self.port_name}" if self.port_name else name

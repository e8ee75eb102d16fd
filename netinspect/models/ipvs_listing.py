"""Virtual servers with names and traffic, as `ipvs` lists them."""

from __future__ import annotations

import msgspec

from netinspect.models.address_owner import AddressOwner
from netinspect.models.ipvs import RealServer, ServiceAddress, Traffic
from netinspect.models.service_rules import Role


class ListedRealServer(RealServer, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A real server, whose it is, and what went through it.

    Attributes:
        owner: whose its address is.
        traffic: None where it was not asked for, or where the second listing does not have it.
    """

    owner: AddressOwner
    traffic: Traffic | None = None


class ListedVirtualServer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A virtual server of a node.

    Attributes:
        node: the node's name.
        namespace: of the Service that has this destination by the API; `""` where none has.
        service: its name.
        port_name: the name of its port.
        role: which way in it is.
        address: what packets are its.
        scheduler: its scheduler, with its flags.
        persistence_s: for so many seconds a client comes to the same real server; None without.
        is_one_packet: whether every packet (UDP) is scheduled anew.
        is_bound: whether one of the node's links bears the address, without which no packet that comes in gets to IPVS;
            None where that could not be read, and for firewall marks.
        traffic: what went through it.
        real_servers: in the order of ipvsadm.
    """

    node: str
    namespace: str = ""
    service: str = ""
    port_name: str = ""
    role: Role = Role.UNKNOWN
    address: ServiceAddress
    scheduler: str
    persistence_s: int | None = None
    is_one_packet: bool = False
    is_bound: bool | None = None
    traffic: Traffic | None = None
    real_servers: tuple[ListedRealServer, ...] = ()

    @property
    def title(self) -> str:
        """The Service as rules name it: `shop/web:http`."""
        name = f"{self.namespace}/{self.service}" if self.service else ""
        return f"{name}:{self.port_name}" if self.port_name else name

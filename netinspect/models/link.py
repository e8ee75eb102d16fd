"""Links and their addresses, in the words of iproute2's JSON (`ip -j -d addr show`)."""

from __future__ import annotations

import msgspec

from netinspect.models.address import Address


class LinkAddress(msgspec.Struct, frozen=True, rename="camel"):
    """One address of a link.

    Attributes:
        local: the address.
        prefixlen: its prefix length in bits.
        scope: `global`, `link`, `host`, ...
    """

    local: Address
    prefixlen: int
    scope: str


class Link(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One link of one netns.

    Attributes:
        ifindex: its number, unique in its netns only.
        ifname: its name, unique in its netns only.
        link_index: the ifindex of its peer (veth, netkit) or lower link (macvlan, vlan), in the netns that
            `link_netnsid` names; None where it has none (bridge, hardware). See `peer_index`.
        link_netnsid: the id of the netns that holds `link_index`, **as this link's netns numbers it**; None
            where peer or lower link is in the same netns; -1 where the kernel has no number for it.
        link_name: the peer's or lower link's name, which `ip` prints only when it is in the same netns.
        kind: `info_kind`: veth, bridge, vxlan, macvlan, ...; None for hardware and loopback.
        mode: `info_data.mode` of macvlan, ipvlan and netkit: bridge, private, l2, l3, ...
        slave_kind: `info_slave_kind`: bridge, bond, ... where the link has a master.
        master: the name of the bridge or bond that the link is a port of.
        mac: the link-layer address, None where the link has none.
        mtu: in bytes.
        operstate: RFC 2863 state as `ip` prints it; UNKNOWN is normal for lo, tun, vxlan.
        flags: interface flags: UP is the administrative state, LOWER_UP the carrier.
        addresses: its addresses, both families.
        parentdev: the bus address of hardware, None otherwise.
    """

    ifindex: int
    ifname: str
    link_index: int | None = None
    link_netnsid: int | None = None
    link_name: str | None = None
    kind: str | None = None
    mode: str | None = None
    slave_kind: str | None = None
    master: str | None = None
    mac: str | None = None
    mtu: int
    operstate: str
    link_type: str = "ether"
    flags: tuple[str, ...] = ()
    addresses: tuple[LinkAddress, ...] = ()
    parentdev: str | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether this is `lo`."""
        return "LOOPBACK" in self.flags

    @property
    def has_carrier(self) -> bool:
        """Whether the link is up and its other end is, too."""
        return "LOWER_UP" in self.flags

    @property
    def peer_index(self) -> int | None:
        """The ifindex of the peer in another netns, None where there is none.

        Kernels before 5.2 left IFLA_LINK out where the peer's ifindex equals the link's own (feadc4b6cf42,
        "rtnetlink: always put IFLA_LINK for links with a link-netnsid"), so an end of a pair that has a netnsid and
        no index means that equality.
        """
        if self.link_index is None and self.is_paired and self.link_netnsid is not None:
            return self.ifindex
        return self.link_index

    @property
    def is_paired(self) -> bool:
        """Whether links of this kind come in pairs whose ends name each other."""
        return self.kind in ("veth", "netkit")

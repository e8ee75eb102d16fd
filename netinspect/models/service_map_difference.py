"""Where two service maps of one node say something different."""

from __future__ import annotations

import msgspec

from netinspect.models.address import Address
from netinspect.models.service_map import Branch, Destination, Hook


class MapDifference(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One kind of packet that two maps treat differently.

    Attributes:
        hook: where the packet is met.
        destination: what it is sent to; always with an address.
        also_at: other local addresses at which the same holds (node ports).
        source: an address that such a packet may come from: an example of all that are meant.
        link: a link by which it may come in, likewise; None at OUTPUT, and where no rule asks for links.
        differs: what is different: `outcome`, `backends`, `shares`, `affinity`, `hairpin`, `masquerade`, `lost`,
            `undecided`, and for IPVS `weight` and `forwarding`.
        expected: the branch that it meets in the first map, with its rules; one of outcome NONE where it meets none.
        seen: the same in the second map.
        service: as either map names it; empty where none does.
    """

    hook: Hook
    destination: Destination
    also_at: tuple[Address, ...] = ()
    source: Address
    link: str | None = None
    differs: tuple[str, ...]
    expected: Branch
    seen: Branch
    service: str = ""

"""How IPVS spreads new connections over real servers, as far as weights say it.

Source: Linux, net/netfilter/ipvs/ip_vs_{rr,wrr,lc,wlc,lblc,lblcr,dh,sh,sed,nq,fo,ovf,mh}.c. All pass over real servers
of weight 0.
"""

from __future__ import annotations

from collections.abc import Mapping

from netinspect.models.ipvs import RealServer, VirtualServer

_EQUAL = frozenset(("rr",))
SHARES_BY_WEIGHT: Mapping[str, str] = {
    "dh": "chooses by the destination's address",
    "fo": "chooses the one with the highest weight",
    "lblc": "chooses by destination and by connections",
    "lblcr": "chooses by destination and by connections",
    "lc": "chooses by connections",
    "mh": "chooses by a hash of the source",
    "nq": "chooses by connections",
    "ovf": "chooses the one with the highest weight that is not full",
    "sed": "chooses by connections",
    "sh": "chooses by a hash of the source",
    "twos": "chooses by connections",
    "wlc": "chooses by connections",
}
"""Schedulers that look at more than weights, and at what."""


def share_of(server: VirtualServer, real: RealServer) -> float:
    """Return the part of a virtual server's new connections that one of its real servers gets, 0 to 1.

    rr gives all the same that have a weight at all; wrr gives by weight; and so it is taken for all other schedulers.
    """
    if not real.weight:
        return 0.0
    weights = [
        1 if server.scheduler in _EQUAL else each.weight for each in server.real_servers if each.weight
    ]
    return (1 if server.scheduler in _EQUAL else real.weight) / sum(weights)

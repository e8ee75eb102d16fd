"""What to ask a node for `conntrack stale`: its table twice, and how long entries live."""

from __future__ import annotations

from collections.abc import Iterable

from netinspect.models.address import Address
from netinspect.probes.conntrack import LIMITS, build_sample_plan
from netinspect.probes.plan import Plan

SUFFIXES = ("", "-again")
"""Of the names of the probes that list the table, one a sample."""


def build_stale_plan(between_s: int, addresses: Iterable[Address] = ()) -> Plan:
    """List flows twice, `between_s` whole seconds apart, and read the sysctls.

    Args:
        between_s: the time between the samples.
        addresses: of the pods whose flows are meant; none means every flow.
    """
    return Plan((LIMITS, *build_sample_plan(between_s, addresses).node_probes))

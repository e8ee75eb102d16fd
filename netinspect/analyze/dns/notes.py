"""What is worth knowing beside the answers, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from netinspect.analyze.dns.case import DnsCase
from netinspect.analyze.dns.judge_names import GRACE_S, is_settled
from netinspect.analyze.dns.judge_resolver import describe_choice
from netinspect.analyze.dns.service import find_search_domain
from netinspect.models.dns_cluster import NODE_LOCAL_LINK
from netinspect.models.dns_report import ExpectedKind


def describe_case(case: DnsCase) -> Iterator[str]:
    """Say what the table has no room for."""
    choice = describe_choice(case.origin)
    if choice:
        yield choice
    if case.cluster.domain is None:
        yield "the cluster domain is not known: names of the cluster are not recognised"
    searched = find_search_domain(case.origin.namespace, case.origin.conf.search)
    if case.cluster.domain is not None and searched not in (None, case.cluster.domain.name):
        yield (
            f"the search list of pod {case.origin.pod} has the cluster domain {searched}, "
            f"the {case.cluster.domain.source} has {case.cluster.domain.name}"
        )
    addresses = case.node_local_addresses
    if addresses:
        shown = ", ".join(str(each) for each in addresses)
        yield (
            f"node {case.origin.node} has NodeLocal DNSCache (link {NODE_LOCAL_LINK}): questions to {shown} are "
            "answered there, and by no rule of kube-proxy's"
        )
    for lookup in case.lookups:
        for expected in lookup.expected:
            if expected.kind is not ExpectedKind.NO_SERVICE and not is_settled(expected):
                age = (
                    "at an unknown time" if expected.changed_s is None else f"{expected.changed_s:.0f} s ago"
                )
                yield (
                    f"service {expected.service} changed {age}: its answers were not held against the API, which takes "
                    f"{GRACE_S:.0f} s without a change"
                )

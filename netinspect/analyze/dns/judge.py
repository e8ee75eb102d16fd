"""Findings about DNS, from all that was read of it."""

from __future__ import annotations

from netinspect.analyze.dns.case import DnsCase
from netinspect.analyze.dns.judge_names import judge_lookup
from netinspect.analyze.dns.judge_resolver import judge_resolver
from netinspect.analyze.dns.judge_servers import judge_servers
from netinspect.models.finding import Finding, sort_findings


def judge_dns(case: DnsCase) -> tuple[Finding, ...]:
    """Return what is wrong, the worst first."""
    findings = [*judge_resolver(case), *judge_servers(case)]
    for lookup in case.lookups:
        findings += judge_lookup(case, lookup)
    resolver_ids = ("dns-wrong-nameserver", "dns-hostnetwork-policy")
    if any(each.id in resolver_ids for each in findings):
        # The same fault seen from the name: said once.
        findings = [each for each in findings if each.id != "dns-unknown-to-nameserver"]
    return sort_findings(findings)

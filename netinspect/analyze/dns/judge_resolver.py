"""What is wrong with the resolver itself: it asks the wrong server, or several that know different names."""

from __future__ import annotations

from collections.abc import Iterator

from netinspect.analyze.dns.case import DnsCase, answer_of, has_records
from netinspect.analyze.dns.expected import differs
from netinspect.analyze.dns.judge_names import is_settled
from netinspect.models.address import Address
from netinspect.models.dns import DnsRun
from netinspect.models.dns_report import DnsOrigin, ExpectedKind, ExpectedName
from netinspect.models.fact import Known
from netinspect.models.finding import Evidence, Finding, Severity

CLUSTER_FIRST, WITH_HOST_NET = "ClusterFirst", "ClusterFirstWithHostNet"

_SYSTEM_NAMESPACES = ("kube-system",)
_NOT_FOUND, _NEED_NOT_KNOW = "names of the cluster are not found", "it need not know names of the cluster"
_NO_NAME_ASKED = "no name of the cluster that the API knows was asked for there"


def judge_resolver(case: DnsCase) -> Iterator[Finding]:
    """Judge a pod's resolv.conf; an assumed one is right by itself."""
    if not case.origin.pod or not isinstance(case.cluster.service, Known):
        return
    asked = case.origin.conf.nameservers
    foreign = tuple(address for address in asked if not case.is_cluster_server(address))
    is_meant = case.origin.dns_policy in (CLUSTER_FIRST, WITH_HOST_NET, "")
    if case.origin.host_network and case.origin.dns_policy in (CLUSTER_FIRST, ""):
        if foreign == asked and not _knows_the_cluster(case):
            yield _host_network(case)
    elif is_meant and not case.origin.has_dns_config:
        if foreign == asked:
            if not _knows_the_cluster(case):
                yield _wrong_server(case)
        elif foreign:
            yield _mixed(case, foreign)


def describe_choice(origin: DnsOrigin) -> str:
    """Say that a pod asks other servers by its own wish; "" where it does not."""
    if not origin.pod or (
        origin.dns_policy in (CLUSTER_FIRST, WITH_HOST_NET, "") and not origin.has_dns_config
    ):
        return ""
    what = f"dnsPolicy {origin.dns_policy or CLUSTER_FIRST}" + (
        " and a dnsConfig" if origin.has_dns_config else ""
    )
    return f"pod {origin.pod} has {what}: its name servers and search list are its own choice"


def _knows_the_cluster(case: DnsCase) -> bool:
    """Whether the servers answered for a name of the cluster: a cache at an address of its own, or a forwarded zone."""
    known = _expected(case)
    found = [run for run in case.runs() if case.is_cluster_name(run.name) and has_records(run)]
    if not known:
        return bool(found)
    return any(run.name in known and _is_right(run, known[run.name]) for run in found)


def _is_right(run: DnsRun, expected: ExpectedName) -> bool:
    """Whether records may be the cluster's: not those of a server that has an address for every name."""
    answer = answer_of(run)
    if answer is None or expected.kind is ExpectedKind.NO_SERVICE:
        return False
    return not is_settled(expected) or not differs(expected, answer, run.type)


def _is_tried(case: DnsCase) -> bool:
    """Whether a name was asked for that the cluster's DNS has something to say about."""
    known = _expected(case)
    tried = {run.name for run in case.runs() if answer_of(run) is not None}
    return any(name in tried and (each.addresses or each.cname) for name, each in known.items())


def _expected(case: DnsCase) -> dict[str, ExpectedName]:
    return {each.name: each for lookup in case.lookups for each in lookup.expected}


def _wrong_server(case: DnsCase) -> Finding:
    """F58."""
    is_tried = _is_tried(case)
    return Finding(
        id="dns-wrong-nameserver",
        severity=Severity.CRIT if is_tried else Severity.HIGH,
        subject=case.subject,
        node=case.origin.node,
        message=(
            f"the pod asks {_names(case.origin.conf.nameservers) or 'nobody but 127.0.0.1'}, which is no address of "
            f"the cluster's DNS ({_names(case.service_addresses)}): {_NOT_FOUND if is_tried else _NEED_NOT_KNOW}"
        ),
        evidence=_evidence(case),
        advice=(
            "resolv.conf is written when a pod starts: was the DNS Service made anew, or the kubelet's clusterDNS "
            "changed since, then start the pod again; else look for what rewrites the file in the container"
        ),
        not_judged=() if is_tried else (_NO_NAME_ASKED,),
    )


def _host_network(case: DnsCase) -> Finding:
    """F59."""
    is_system = case.origin.namespace in _SYSTEM_NAMESPACES
    is_tried = _is_tried(case)
    return Finding(
        id="dns-hostnetwork-policy",
        severity=Severity.INFO if is_system else Severity.HIGH,
        subject=case.subject,
        node=case.origin.node,
        message=(
            f"the pod has hostNetwork with dnsPolicy ClusterFirst, which then means the node's resolver "
            f"({_names(case.origin.conf.nameservers) or '127.0.0.1'}): {_NOT_FOUND if is_tried else _NEED_NOT_KNOW}"
        ),
        evidence=_evidence(case),
        advice="set dnsPolicy: ClusterFirstWithHostNet, if the pod needs names of the cluster",
        not_judged=() if is_tried else (_NO_NAME_ASKED,),
    )


def _mixed(case: DnsCase, foreign: tuple[Address, ...]) -> Finding:
    return Finding(
        id="dns-mixed-nameservers",
        severity=Severity.MED,
        subject=case.subject,
        node=case.origin.node,
        message=(
            f"the pod asks the cluster's DNS and {_names(foreign)}, which does not know the cluster's names: musl "
            "takes the answer that comes first, glibc that of the second server when the first is late"
        ),
        evidence=_evidence(case),
        advice="leave only the cluster's DNS in resolv.conf; it forwards what is not its own",
    )


def _evidence(case: DnsCase) -> tuple[Evidence, ...]:
    lines = [line for line in case.origin.text.splitlines() if line.startswith("nameserver")]
    lines = lines[:5] or ["(no nameserver)"]
    return tuple(Evidence(source=case.origin.source, text=line) for line in lines)


def _names(addresses: tuple[Address, ...]) -> str:
    return ", ".join(str(each) for each in addresses)

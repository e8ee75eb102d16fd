"""All that the judges of DNS look at, and the questions that they share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from netinspect.analyze.dns.names import is_in_domain
from netinspect.models.address import Address, parse_address
from netinspect.models.dns import DnsAnswer, DnsOutcome, DnsProtocol, DnsRun
from netinspect.models.dns_cluster import NODE_LOCAL_LINK, DnsCluster
from netinspect.models.dns_report import DnsLookup, DnsOrigin, ExpectedName
from netinspect.models.fact import Fact, Known, Reason, Unavailable
from netinspect.models.finding import Evidence
from netinspect.models.link import Link

NODE_LOCAL_ADDRESS = parse_address("169.254.20.10")
"""Where NodeLocal DNSCache listens, unless its manifest was changed."""

_UNASKED = (DnsOutcome.NOT_SENT, DnsOutcome.FAILED)
_MAX_EVIDENCE = 5


class DnsCase(msgspec.Struct, frozen=True, kw_only=True):
    """What was read.

    Attributes:
        origin: whose resolver it is, and from where was asked.
        cluster: the cluster's DNS, as the API says.
        links: of the node's own netns.
        lookups: the names with what came.
        again: by question, the answers to those that were put a second time.
        later: by name, what the API said after the node was asked.
        services: by address, the Services that name servers are addresses of, besides the DNS Service.
        unknown: name servers of which the API would not tell whether they are a Service's.
        elsewhere: by name as given, the Services of that name that none of the names asked for leads to.
    """

    origin: DnsOrigin
    cluster: DnsCluster
    links: Fact[tuple[Link, ...]] = Unavailable(Reason.NOT_APPLICABLE, "not asked for")
    lookups: tuple[DnsLookup, ...] = ()
    again: tuple[DnsRun, ...] = ()
    later: dict[str, ExpectedName] = {}
    services: dict[Address, str] = {}
    unknown: tuple[Address, ...] = ()
    elsewhere: dict[str, tuple[str, ...]] = {}

    @property
    def subject(self) -> str:
        """Whose lookups these are."""
        origin = self.origin
        return f"pod/{origin.namespace}/{origin.pod}" if origin.pod else f"node/{origin.node}"

    @property
    def service_addresses(self) -> tuple[Address, ...]:
        """The addresses of the DNS Service."""
        return self.cluster.service.value.cluster_ips if isinstance(self.cluster.service, Known) else ()

    @property
    def node_local_addresses(self) -> tuple[Address, ...]:
        """The addresses of NodeLocal DNSCache on the node; none where it is not there."""
        links = self.links.value if isinstance(self.links, Known) else ()
        return tuple(
            each.local for link in links if link.ifname == NODE_LOCAL_LINK for each in link.addresses
        )

    def is_cluster_server(self, address: Address) -> bool:
        """Whether a server can know the cluster's names, as far as its address tells."""
        return (
            address in self.service_addresses
            or address in self.unknown
            or address in self.node_local_addresses
            or address in self.services
            or address == NODE_LOCAL_ADDRESS
        )

    def is_cluster_name(self, name: str) -> bool:
        """Whether a name is in the cluster domain; unknown domains have none."""
        return self.cluster.domain is not None and is_in_domain(name, self.cluster.domain.name)

    def server_subject(self, address: Address) -> str:
        """Name a server for a finding."""
        if isinstance(self.cluster.service, Known) and address in self.cluster.service.value.cluster_ips:
            return f"service/{self.cluster.service.value.key}"
        return f"service/{self.services[address]}" if address in self.services else self.subject

    def runs(self) -> Iterator[DnsRun]:
        """Yield the questions of all plans, each once."""
        seen = set()
        for lookup in self.lookups:
            for run in lookup.runs:
                if run.sequence not in seen:
                    seen.add(run.sequence)
                    yield run


def answer_of(run: DnsRun) -> DnsAnswer | None:
    """Return what became of a question that was really put; None where that is not known."""
    if isinstance(run.answer, Unavailable) or run.answer.value.outcome in _UNASKED:
        return None
    return run.answer.value


def is_answered(run: DnsRun) -> bool:
    """Whether an answer came, of whatever status."""
    answer = answer_of(run)
    return answer is not None and answer.outcome is DnsOutcome.ANSWERED


def is_silent(run: DnsRun) -> bool:
    """Whether a question was put and no answer came that belongs to it."""
    answer = answer_of(run)
    return answer is not None and answer.outcome is not DnsOutcome.ANSWERED


def has_status(run: DnsRun, *statuses: str) -> bool:
    """Whether an answer with one of these statuses came."""
    answer = answer_of(run)
    return answer is not None and answer.status in statuses and is_answered(run)


def has_records(run: DnsRun) -> bool:
    """Whether records of the type asked for came."""
    answer = answer_of(run)
    return answer is not None and is_answered(run) and bool(answer.records)


def show_run(run: DnsRun) -> str:
    """Write a question with what became of it on one line."""
    answer = answer_of(run)
    how = f"{run.name} {run.type} at {run.server} by {run.protocol.value.upper()}"
    if answer is None:
        return f"{how}: not known"
    if answer.outcome is not DnsOutcome.ANSWERED:
        return f"{how}: {answer.outcome.value} ({answer.cause})"
    records = " ".join(f"{each.type} {each.rdata}" for each in answer.answer)
    return f"{how}: {answer.status}" + (f", {records}" if records else "")


def evidence_of(case: DnsCase, runs: Iterable[DnsRun]) -> tuple[Evidence, ...]:
    """Return some questions as evidence."""
    where = f"in pod {case.origin.pod}'s netns" if case.origin.netns is not None else "in the node's netns"
    source = f"dig {where} on node {case.origin.node}"
    return tuple(Evidence(source=source, text=show_run(run)) for run in list(runs)[:_MAX_EVIDENCE])


def find_unsent(runs: Iterable[DnsRun]) -> str | None:
    """Say why dig did not put a question (a type that is none, for example); None where it put all."""
    for run in runs:
        if isinstance(run.answer, Unavailable):
            continue
        if run.answer.value.outcome is DnsOutcome.NOT_SENT:
            return f"dig put no question for {run.name} {run.type}: {run.answer.value.cause}"
    return None


def by_protocol(runs: Iterable[DnsRun], protocol: DnsProtocol) -> list[DnsRun]:
    """Keep the questions of one protocol."""
    return [run for run in runs if run.protocol is protocol]

"""What is wrong with a flow that still sends to what is no endpoint, and what would mend it."""

from __future__ import annotations

from collections.abc import Iterator

from netinspect.analyze.conntrack.stale_traffic import TCP
from netinspect.models.address import Address, show_endpoint
from netinspect.models.address_owner import AddressOwner, OwnerKind, show_owner
from netinspect.models.finding import Evidence, Finding, Severity
from netinspect.models.stale_flow import DeadTarget, ServiceTarget, StaleFlow, StaleStatus

UDP_ID = "conntrack-stale-udp"
TCP_ID = "conntrack-stale-tcp"

_MOST_ENDPOINTS = 8
_UNCOUNTED = "whether answers come: packets are not counted (nf_conntrack_acct=0)"
_SET_BACK = "whether answers come: the packets' counters do not cover the time between the samples"

_UDP_ADVICE = (
    "delete the entry on the node: the client's next packet then takes a live endpoint. kube-proxy deletes such UDP "
    "entries by itself within seconds; find out why it does not on this node (does it run, does its sync fail?)"
)
_TCP_ADVICE = (
    "end the connection at the client; or delete the entry on the node: with nf_conntrack_tcp_loose=1 (the default) "
    "the next packet reaches a live endpoint, which resets the connection. Nothing deletes such TCP entries by itself"
)
_ORPHAN_ADVICE = (
    "no Service is known at the address that the client sends to: let the client look the name up again; deleting the "
    "entry makes its packets meet the rules that there are now"
)


def build_finding(item: StaleFlow, target: DeadTarget) -> Finding | None:
    """Return the finding of a flow that still sends; None for all others.

    Args:
        item: the flow.
        target: what is wrong with where it leads.
    """
    if item.status is not StaleStatus.SENDS:
        return None
    is_tcp = item.named.flow.protocol_number == TCP
    advice = _TCP_ADVICE if is_tcp else _UDP_ADVICE
    return Finding(
        id=TCP_ID if is_tcp else UDP_ID,
        severity=_severity(item),
        subject=_subject(item),
        node=item.named.node,
        message=_message(item, target),
        evidence=tuple(_evidence(item, target)),
        advice=advice if target.services else _ORPHAN_ADVICE,
        commands=(item.command,),
        not_judged=tuple(_not_judged(item)),
    )


def _severity(item: StaleFlow) -> Severity:
    """CRIT: the client's packets are lost. An address that somebody has may answer, though not as the Service."""
    if item.answered:
        return Severity.MED
    return Severity.CRIT if _is_lost(item) else Severity.HIGH


def _is_lost(item: StaleFlow) -> bool:
    """Whether nothing answers. An address outside of every pod range is but taken for a pod's, and may be alive."""
    if item.answered is not None:
        return not item.answered
    return item.is_gone and item.named.backend.kind is not OwnerKind.EXTERNAL


def _not_judged(item: StaleFlow) -> Iterator[str]:
    if item.answered is None and not _is_lost(item):
        yield _UNCOUNTED if item.named.flow.original.packets is None else _SET_BACK


def _subject(item: StaleFlow) -> str:
    source = item.named.source
    if source.kind is OwnerKind.POD:
        return f"pod/{source.namespace}/{source.name}"
    if source.kind is OwnerKind.NODE:
        return f"node/{source.name}"
    return f"service/{item.service}" if item.service else f"node/{item.named.node}"


def _message(item: StaleFlow, target: DeadTarget) -> str:
    flow, named = item.named.flow, item.named
    client = _end(named.source, flow.original.src, flow.original.sport)
    towards = show_endpoint(flow.original.dst, flow.original.dport)
    where = f"{_service(target.services[0])} ({towards})" if target.services else towards
    backend = show_endpoint(flow.reply.src, flow.reply.sport)
    return f"{client} still sends through {where} to {backend}, {_why(item)}: {_effect(item)}"


def _why(item: StaleFlow) -> str:
    if item.is_gone:
        return "an address that no pod has any more"
    return f"which is {show_owner(item.named.backend)} and no endpoint of it any more"


def _effect(item: StaleFlow) -> str:
    if item.answered:
        return "it is answered by what the Service does not lead to any more"
    if _is_lost(item):
        return "its packets are lost"
    return "its packets do not reach the Service"


def _evidence(item: StaleFlow, target: DeadTarget) -> Iterator[Evidence]:
    flow = item.named.flow
    listing = f"conntrack -L -f {flow.family} -o extended,id on node {item.named.node}"
    yield Evidence(source=f"{listing}, first sample", text=item.first_sample)
    yield Evidence(source=f"{listing}, second sample", text=flow.raw)
    yield Evidence(source="the two samples", text=item.reason)
    for service in target.services:
        yield _service_evidence(item, service)
    if item.is_gone:
        yield Evidence(
            source="pods of all namespaces, read before and after", text=f"none has {flow.reply.src}"
        )


def _service_evidence(item: StaleFlow, service: ServiceTarget) -> Evidence:
    source = f"service/{service.key} resourceVersion {service.resource_version}"
    for each in service.slices:
        source += f", endpointslice/{each.name} resourceVersion {each.resource_version}"
    shown = item.endpoints[:_MOST_ENDPOINTS]
    more = f" and {len(item.endpoints) - len(shown)} more" if len(item.endpoints) > len(shown) else ""
    return Evidence(source=source, text=f"live endpoints: {', '.join(shown)}{more}")


def _service(service: ServiceTarget) -> str:
    port = f":{service.port_name}" if service.port_name else ""
    return f"service {service.key}{port}"


def _end(owner: AddressOwner, address: Address, port: int | None) -> str:
    return f"{show_owner(owner)} {show_endpoint(address, port)}"

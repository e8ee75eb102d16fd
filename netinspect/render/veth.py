"""The tables of `veth`, and the sentences below them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from netinspect.models.link import LinkAddress
from netinspect.models.veth import (
    Attachment,
    HostLink,
    LinkMatch,
    NetnsHolder,
    NodeLinkOwner,
    PodAttachment,
    PodLink,
)
from netinspect.render.table import Column


@dataclass(frozen=True)
class Row:
    """A pod and one of its links; a pod without links has one row without."""

    pod: PodAttachment
    match: LinkMatch | None


@dataclass(frozen=True)
class OwnerRow:
    """A node link and one pod link that it leads to, if any."""

    owner: NodeLinkOwner
    row: Row | None


def rows_of(pod: PodAttachment) -> Iterable[Row]:
    """Return a row for each link."""
    return [Row(pod, match) for match in pod.links] or [Row(pod, None)]


def owner_rows_of(owner: NodeLinkOwner) -> Iterable[OwnerRow]:
    """Return a row for each pod link that the node link leads to."""
    return [OwnerRow(owner, row) for pod in owner.pods for row in rows_of(pod)] or [OwnerRow(owner, None)]


def columns(*, with_namespace: bool) -> tuple[Column[Row], ...]:
    """Return the columns; the namespace is shown where pods of several can be listed."""
    return (
        Column("NAMESPACE", lambda row: row.pod.namespace, is_wide=not with_namespace),
        Column("POD", lambda row: row.pod.name),
        Column("NODE", lambda row: row.pod.node),
        Column("POD LINK", _pod_link),
        Column("ADDRESSES", lambda row: _addresses(row.match)),
        Column("ATTACHMENT", lambda row: (row.match or row.pod).attachment.value),
        Column("HOST LINK", lambda row: _host_link(_host(row))),
        Column("MASTER", lambda row: (host.master or "") if (host := _host(row)) else ""),
        Column("MTU", _mtu),
        Column("STATE", _state),
        Column("MATCH", lambda row: row.match.confidence.value if row.match else ""),
        Column("POD MAC", lambda row: (row.match.pod_link.mac or "") if row.match else "", is_wide=True),
        Column("HOST MAC", lambda row: (host.mac or "") if (host := _host(row)) else "", is_wide=True),
        Column("NETNS", lambda row: str(row.pod.netns.inode) if row.pod.netns else "", is_wide=True),
        Column("LOOKS LIKE", _cni, is_wide=True),
    )


OWNER_COLUMNS: tuple[Column[OwnerRow], ...] = (
    Column("HOST LINK", lambda each: _host_link(each.owner.host_link)),
    Column("MASTER", lambda each: each.owner.host_link.master or ""),
    Column("STATE", lambda each: each.owner.host_link.operstate),
    Column("NAMESPACE", lambda each: each.row.pod.namespace if each.row else ""),
    Column("POD", lambda each: each.row.pod.name if each.row else ""),
    Column("POD LINK", lambda each: _pod_link(each.row) if each.row else ""),
    Column("ADDRESSES", lambda each: _addresses(each.row.match) if each.row else ""),
    Column("MATCH", lambda each: each.row.match.confidence.value if each.row and each.row.match else ""),
    Column("REMARK", lambda each: each.owner.reason),
)


def name_of(pod: PodAttachment) -> str:
    """Return the pod's resource name, as `-o name` prints it."""
    return f"pod/{pod.name}"


def owner_name_of(owner: NodeLinkOwner) -> str:
    """Return the names of the pods that the link leads to."""
    return "\n".join(f"pod/{pod.name}" for pod in owner.pods)


def remarks(pods: Iterable[PodAttachment]) -> Iterator[str]:
    """Return what a table has no room for, a sentence a line."""
    for pod in pods:
        for note in pod.notes:
            yield f"pod {pod.key}: {note}"
        for match in pod.links:
            where = f"pod {pod.key}, {match.pod_link.ifname}"
            if match.attachment is Attachment.PEER_ELSEWHERE:
                yield f"{where}: peer not in the node's netns{_holder(match.peer_holder)}"
            if match.host_link is None and match.evidence:
                yield f"{where}: {'; '.join(match.evidence)}"
            for note in match.notes:
                yield f"{where}: {note}"


def _holder(holder: NetnsHolder | None) -> str:
    if holder is None:
        return ""
    whose = f"pod {holder.pod}'s" if holder.pod else f"that of PID {holder.pid} ({holder.command})"
    return f" but in netns {holder.inode}, {whose}"


def _host(row: Row) -> HostLink | None:
    return row.match.host_link if row.match else None


def _pod_link(row: Row) -> str:
    return f"{row.match.pod_link.ifname} ({row.match.pod_link.ifindex})" if row.match else ""


def _host_link(link: HostLink | None) -> str:
    return f"{link.ifname} ({link.ifindex})" if link else ""


def _addresses(match: LinkMatch | None) -> str:
    """Show the addresses that others use: those of link scope are on every link and tell nothing."""
    addresses: tuple[LinkAddress, ...] = match.pod_link.addresses if match else ()
    chosen = [each for each in addresses if each.scope != "link"] or addresses
    return ",".join(f"{each.local}/{each.prefixlen}" for each in chosen)


def _mtu(row: Row) -> str:
    return _pair(row, lambda link: str(link.mtu))


def _state(row: Row) -> str:
    return _pair(row, lambda link: link.operstate)


def _pair(row: Row, value_of: Callable[[PodLink | HostLink], str]) -> str:
    """Show a value of both ends: once where they agree, as `pod/host` where they do not."""
    if row.match is None:
        return ""
    own = value_of(row.match.pod_link)
    other = value_of(row.match.host_link) if row.match.host_link else own
    return own if own == other else f"{own}/{other}"


def _cni(row: Row) -> str:
    hint = row.match.cni if row.match else None
    return f"{hint.family}{' (verified by name)' if hint.verified else ''}" if hint else ""

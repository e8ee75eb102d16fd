"""Flows with names: who speaks to whom, and what was translated on the way, in words."""

from __future__ import annotations

from collections.abc import Iterable

from netinspect.analyze.address_book import AddressBook
from netinspect.models.address import Address, address_key, show_endpoint
from netinspect.models.address_owner import AddressOwner, show_owner
from netinspect.models.conntrack import Flow
from netinspect.models.named_flow import NamedFlow


def name_flow(node: str, flow: Flow, book: AddressBook) -> NamedFlow:
    """Name the four ends of a flow.

    Args:
        node: the node in whose table it is.
        flow: the entry.
        book: what the API says of addresses.
    """
    first, back, protocol = flow.original, flow.reply, flow.protocol
    source = book.owner(first.src)
    destination = book.destination(first.dst, protocol, first.dport)
    backend = book.owner(back.src) if flow.is_dnat else destination
    reply_to = book.owner(back.dst) if flow.is_snat else source
    return NamedFlow(
        node=node,
        flow=flow,
        source=source,
        destination=destination,
        backend=backend,
        reply_to=reply_to,
        words=_words(flow, source, destination, backend, reply_to),
    )


def _words(
    flow: Flow, source: AddressOwner, destination: AddressOwner, backend: AddressOwner, reply_to: AddressOwner
) -> str:
    first, back = flow.original, flow.reply
    parts = [
        _end(source, first.src, first.sport),
        _end(destination, first.dst, first.dport),
    ]
    if flow.is_dnat:
        parts.append(_end(backend, back.src, back.sport))
    text = " -> ".join(parts)
    if flow.is_snat:
        text += f", source seen as {_end(reply_to, back.dst, back.dport)}"
    return text


def _end(owner: AddressOwner, address: Address, port: int | None) -> str:
    return f"{show_owner(owner)} {show_endpoint(address, port)}"


def find_changed_names(flows: Iterable[Flow], before: AddressBook, after: AddressBook) -> tuple[str, ...]:
    """Say whose an address was and is, for each of these flows' addresses that changed hands between two readings."""
    found: dict[Address, str] = {}
    for flow in flows:
        first, back = flow.original, flow.reply
        for address in (first.src, first.dst, back.src, back.dst):
            if address in found:
                continue
            was, now = before.owner(address), after.owner(address)
            found[address] = "" if was.identity == now.identity else _change(address, was, now)
    return tuple(text for _, text in sorted(found.items(), key=lambda each: address_key(each[0])) if text)


def _change(address: Address, was: AddressOwner, now: AddressOwner) -> str:
    return f"{address} changed from {show_owner(was)} to {show_owner(now)}"

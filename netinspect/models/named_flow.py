"""A flow with the names of what stands behind its addresses."""

from __future__ import annotations

import msgspec

from netinspect.models.address_owner import AddressOwner
from netinspect.models.conntrack import Flow


class NamedFlow(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An entry of a node's table, named by what the API says.

    Attributes:
        node: the node in whose table it is.
        flow: the entry.
        source: who sends (the source of the original tuple).
        destination: who is spoken to (the destination of the original tuple): a Service, where one is at that port.
        backend: who answers (the source of the reply tuple): differs from `destination` where that is translated.
        reply_to: who gets the answers (the destination of the reply tuple): differs from `source` where that is
            translated.
        words: who speaks to whom, translations included, in one line.
    """

    node: str
    flow: Flow
    source: AddressOwner
    destination: AddressOwner
    backend: AddressOwner
    reply_to: AddressOwner
    words: str

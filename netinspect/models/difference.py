"""What differs between two readings of one cluster's network: the rows of `diff`."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from netinspect.models.service_map import Hook


class Subject(StrEnum):
    """What kind of thing differs, in the order in which it is listed."""

    NODE = "node"
    POD = "pod"
    SERVICE = "service"
    ENDPOINT = "endpoint"
    """One port of one endpoint of a Service, as EndpointSlices have it."""
    RULES = "rules"
    """What a node does with packets to one destination."""
    DATAPLANE = "dataplane"
    LINK = "link"
    CONNTRACK = "conntrack"


class Change(StrEnum):
    """What became of it."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class FieldChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One property of a thing.

    Attributes:
        field: its name, in the words of the command that shows such things.
        before: its value as text, "" where it had none.
        after: likewise.
        source: of rules, where it is not the same for packets from everywhere: one of the addresses that it is so for.
    """

    field: str
    before: str = ""
    after: str = ""
    source: str = ""


class Difference(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One thing that is not what it was.

    Attributes:
        what: its kind.
        name: its name: `demo/web:http` of a Service's port, `demo/web-1` of a pod, the ifname of a node's link.
        change: what became of it.
        namespace: its namespace, "" where it has none.
        pod: of a link, the pod that it belongs to: `demo/web-1`.
        node: the node on which it is, "" where it is on none.
        family: 4 or 6, where it is of one family.
        at: which part of what is named: an endpoint's address and port, a destination of rules.
        hooks: of rules, where packets are met with which something else happens.
        fields: what is different; of what is added or removed what it is or was, one side being empty.
    """

    what: Subject
    name: str
    change: Change
    namespace: str = ""
    pod: str = ""
    node: str = ""
    family: int | None = None
    at: str = ""
    hooks: tuple[Hook, ...] = ()
    fields: tuple[FieldChange, ...] = ()

"""Names in the cluster domain: which Service a name is of.

Source of the forms: Kubernetes DNS-Based Service Discovery, 2.3 and 2.4 (github.com/kubernetes/dns, specification.md).
"""

from __future__ import annotations

import re

import msgspec

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class ServiceName(msgspec.Struct, frozen=True):
    """A name of the form [HOSTNAME.]SERVICE.NAMESPACE.svc.DOMAIN."""

    service: str
    namespace: str
    hostname: str = ""


def split_service_name(name: str, domain: str) -> ServiceName | None:
    """Read a name as one of a Service or of an endpoint of it; None where it has another form."""
    rest = fold_name(name).removesuffix(f".svc.{domain}")
    labels = rest.split(".")
    if rest == fold_name(name) or not all(_LABEL.fullmatch(each) for each in labels):
        return None
    if len(labels) == 2:
        return ServiceName(labels[0], labels[1])
    return ServiceName(labels[1], labels[2], labels[0]) if len(labels) == 3 else None


def is_in_domain(name: str, domain: str) -> bool:
    """Whether a name is below the cluster domain, or is it."""
    return f".{fold_name(name)}".endswith(f".{domain}")


def fold_name(name: str) -> str:
    """Return a name as names are compared: in lower case, without the root's dot."""
    return name.lower().removesuffix(".")


def is_label(text: str) -> bool:
    """Whether a text can be the name of a Service."""
    return _LABEL.fullmatch(text) is not None

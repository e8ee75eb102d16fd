"""The headers that every request carries, REST and websocket alike: who asks, and on whose behalf.

One list for both: the Python client sends the Impersonate headers on REST requests only, so that a user could
look as somebody else and exec as himself.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator

from netinspect import __version__
from netinspect.cluster.kubeconfig import Impersonation
from netinspect.errors import ClusterError

Header = tuple[str, str]

USER_AGENT = f"kubectl-netinspect/{__version__}"

# net/http's legal header bytes; client-go (transport/round_trippers.go headerKeyEscape) escapes all others and "%".
_LEGAL_IN_NAME = frozenset((string.ascii_letters + string.digits + "!#$&'*+-.^_`|~").encode())


def build_headers(impersonation: Impersonation, authorization: str) -> list[Header]:
    """Return the headers in order; a name may come more than once (Impersonate-Group).

    Raises:
        ClusterError: a value holds a line break or another control character.
    """
    headers = [("User-Agent", USER_AGENT), *impersonation_headers(impersonation)]
    if authorization:
        headers.append(("Authorization", authorization))
    return list(_checked(headers))


def impersonation_headers(who: Impersonation) -> Iterator[Header]:
    """Yield the Impersonate-* headers (Kubernetes documentation, "User impersonation")."""
    if not who.user:
        return
    yield "Impersonate-User", who.user
    if who.uid:
        yield "Impersonate-Uid", who.uid
    for group in who.groups:
        yield "Impersonate-Group", group
    for key, values in who.extra:
        for value in values:
            yield f"Impersonate-Extra-{_escape(key)}", value


def _escape(key: str) -> str:
    return "".join(chr(byte) if byte in _LEGAL_IN_NAME else f"%{byte:02X}" for byte in key.encode())


def _checked(headers: Iterable[Header]) -> Iterator[Header]:
    for name, value in headers:
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            raise ClusterError(f"error: the value of {name} holds a control character")
        yield name, value

"""What is done with urllib3's responses: warnings noted, refusals raised, bodies read."""

from __future__ import annotations

import re
from typing import Any

from netinspect.cluster.errors import refusal

_MAX_ERROR_BODY = 1 << 20
_WARNING = re.compile(r'\d{3} \S+ "((?:[^"\\]|\\.)*)"')  # RFC 7234, 5.5: code, agent, quoted text


def checked(response: Any, warnings: list[str]) -> Any:
    """Return the response of a request that was granted, and add its Warning headers to `warnings`, each once.

    Raises:
        RequestRefused: the status is an error, or a redirect (credentials go to no other server).
    """
    for value in response.headers.getlist("Warning"):
        warnings += [text for text in _WARNING.findall(value) if text not in warnings]
    if response.status < 300:
        return response
    try:
        body = response.read(_MAX_ERROR_BODY)
    finally:
        response.close()
    raise refusal(response.status, body, response.headers)


def read_all(response: Any) -> bytes:
    """Read the body and give the connection back; a connection with half an answer in it is not used again."""
    try:
        return bytes(response.read())
    except BaseException:
        response.close()
        raise
    finally:
        response.release_conn()

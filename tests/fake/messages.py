"""Requests and answers as plain values."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What a client asked. `headers` keeps every line, names in lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: list[tuple[str, str]]
    body: bytes
    user: str

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]

    def one(self, name: str, default: str = "") -> str:
        """Return the value of a query parameter."""
        return self.query.get(name, [default])[0]

    def is_true(self, name: str) -> bool:
        return self.one(name) in ("true", "1")

    @property
    def is_exec(self) -> bool:
        return self.path.endswith("/exec")


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def reply(value: Object, status: int = 200, **headers: str) -> Response:
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(status, json.dumps(value).encode(), {"Content-Type": "application/json", **names})


def failure(code: int, reason: str, message: str, **headers: str) -> Response:
    """Build a Status as the API server sends it."""
    status = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": {}, "code": code,
    }  # fmt: skip
    return reply(status, code, **headers)


class Refused(Exception):  # noqa: N818 - carries an answer
    """Ends the handling of a request with an answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def refused(code: int, reason: str, message: str, **headers: str) -> Refused:
    return Refused(failure(code, reason, message, **headers))

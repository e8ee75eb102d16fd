"""What a path means: verb, resource, namespace, name (Kubernetes documentation, "API concepts")."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.fake.messages import Request, refused

_PATH = re.compile(
    r"^/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<subresource>[^/]+))?)?$"
)


@dataclass(frozen=True)
class Route:
    group: str
    namespace: str
    resource: str
    name: str
    subresource: str
    verb: str

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def parse_route(request: Request, prefix: str) -> Route:
    found = _PATH.match(request.path.removeprefix(prefix))
    if found is None:
        raise refused(404, "NotFound", "the server could not find the requested resource")
    parts = {key: value or "" for key, value in found.groupdict().items()}
    return Route(**parts, verb=_verb(request, parts))


def _verb(request: Request, parts: dict[str, str]) -> str:
    if parts["subresource"] == "exec":
        return "create"  # since Kubernetes 1.35 a websocket's GET needs it too
    if request.method == "GET":
        if request.is_true("watch"):
            return "watch"
        return "get" if parts["name"] else "list"
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[request.method]

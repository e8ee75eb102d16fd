"""The paths of the API: of which collection, of which namespace, of which object."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec


class ApiPath(msgspec.Struct, frozen=True):
    """A path, taken apart.

    Attributes:
        base: group and version: "api/v1", "apis/apps/v1".
        plural: the collection: "pods".
        namespace: "" for objects without one, and for a list over all namespaces.
        name: of the object; "" for a list.
    """

    base: str
    plural: str
    namespace: str = ""
    name: str = ""

    @property
    def resource(self) -> str:
        """The collection with its group, as the API server says it: "deployments.apps"."""
        group = self.base.split("/")[1] if self.base.startswith("apis/") else ""
        return f"{self.plural}.{group}" if group else self.plural

    @property
    def text(self) -> str:
        """What it leads to, in words."""
        if self.name:
            return f"{self.plural}/{self.name}{f' of namespace {self.namespace}' if self.namespace else ''}"
        return f"{self.plural} of namespace {self.namespace}" if self.namespace else f"all {self.plural}"


def parse_path(path: str, *, is_list: bool) -> ApiPath:
    """Take a path from the server's root apart."""
    words = [unquote(word) for word in path.strip("/").split("/")]
    size = 2 if words[0] == "api" else 3
    base, rest = "/".join(words[:size]), words[size:]
    name = "" if is_list else rest.pop()
    namespace = rest[1] if len(rest) == 3 else ""
    return ApiPath(base, rest[-1] if rest else "", namespace, name)

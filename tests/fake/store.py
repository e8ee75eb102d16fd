"""Objects by kind, namespace and name, each with a resourceVersion, and the log of changes that watches read."""

from __future__ import annotations

import copy
import threading
import time
import uuid
from collections.abc import Iterator

from tests.fake.messages import Object, refused
from tests.fake.selectors import matches

KINDS = {
    "pods": "Pod",
    "nodes": "Node",
    "namespaces": "Namespace",
    "services": "Service",
    "endpointslices": "EndpointSlice",
    "configmaps": "ConfigMap",
    "events": "Event",
    "daemonsets": "DaemonSet",
    "deployments": "Deployment",
}

Key = tuple[str, str, str]


class Store:
    """Safe for threads; every change wakes the watches."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._objects: dict[Key, Object] = {}
        self._log: list[tuple[int, str, str, Object]] = []
        self._version = 100
        self._oldest = 0

    @property
    def version(self) -> int:
        return self._version

    def add(self, resource: str, obj: Object) -> Object:
        """Put an object in as it is, with the metadata that the API server fills in."""
        obj = copy.deepcopy(obj)
        meta = obj.setdefault("metadata", {})
        key = (resource, meta.get("namespace", ""), meta["name"])
        with self.changed:
            if key in self._objects:
                raise refused(409, "AlreadyExists", f'{resource} "{meta["name"]}" already exists')
            meta.setdefault("uid", str(uuid.uuid4()))
            meta.setdefault("creationTimestamp", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
            self._write("ADDED", key, obj)
        return copy.deepcopy(obj)

    def get(self, resource: str, namespace: str, name: str) -> Object:
        found = self._objects.get((resource, namespace, name))
        if found is None:
            raise refused(404, "NotFound", f'{resource} "{name}" not found')
        return copy.deepcopy(found)

    def has(self, resource: str, namespace: str, name: str) -> bool:
        return (resource, namespace, name) in self._objects

    def names(self, resource: str) -> list[str]:
        return sorted(key[2] for key in list(self._objects) if key[0] == resource)

    def update(self, resource: str, namespace: str, name: str, change: Object) -> None:
        """Replace top-level fields (`status`, `metadata` keys are merged); nothing if it is gone."""
        key = (resource, namespace, name)
        with self.changed:
            if key not in self._objects:
                return
            obj = copy.deepcopy(self._objects[key])
            metadata = {**obj["metadata"], **change.get("metadata", {})}
            obj |= {**change, "metadata": metadata}
            self._write("MODIFIED", key, obj)

    def remove(self, resource: str, namespace: str, name: str) -> None:
        with self.changed:
            obj = self._objects.pop((resource, namespace, name), None)
            if obj is not None:
                self._version += 1
                obj["metadata"]["resourceVersion"] = str(self._version)
                self._log.append((self._version, "DELETED", resource, obj))
                self.changed.notify_all()

    def list(self, resource: str, namespace: str, labels: str = "", fields: str = "") -> list[Object]:
        with self.changed:
            found = [
                copy.deepcopy(obj)
                for (kind, space, _), obj in sorted(self._objects.items())
                if kind == resource and namespace in ("", space)
            ]
        return [obj for obj in found if matches(obj, labels, fields)]

    def compact(self) -> None:
        """Forget the past: a watch from before now is answered with 410."""
        self._oldest = self._version

    def events_after(self, version: int, resource: str) -> Iterator[tuple[int, str, Object]]:
        if version < self._oldest:
            message = f"too old resource version: {version} ({self._oldest})"
            raise refused(410, "Expired", message)
        for number, kind, logged, obj in list(self._log):
            if number > version and logged == resource:
                yield number, kind, copy.deepcopy(obj)

    def _write(self, event: str, key: Key, obj: Object) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        obj.setdefault("kind", KINDS.get(key[0], key[0]))
        obj.setdefault("apiVersion", "v1")
        self._objects[key] = obj
        self._log.append((self._version, event, key[0], copy.deepcopy(obj)))
        self.changed.notify_all()

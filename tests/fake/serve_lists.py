"""get, list in pages, watch, create and delete, as the API server does them."""

from __future__ import annotations

import json
import threading
import time
import uuid
from typing import TYPE_CHECKING

from tests.fake.messages import Object, Refused, Request, Response, refused, reply
from tests.fake.route import Route
from tests.fake.store import KINDS

if TYPE_CHECKING:
    from tests.fake.api import FakeApi
    from tests.fake.exchange import Exchange

DEFAULT_GRACE_S = 30
TERMINATION_S = 0.05
"""How long a pod that is deleted with a grace period stays, whatever the period."""


def get(api: FakeApi, request: Request, route: Route) -> Response:
    return reply(api.store.get(route.resource, route.namespace, route.name))


def list_page(api: FakeApi, request: Request, route: Route) -> Response:
    position = request.one("continue")
    if position:
        if position not in api.pages:
            raise refused(410, "Expired", "The provided continue parameter is too old")
        items, version = api.pages.pop(position)
    else:
        items = api.store.list(
            route.resource, route.namespace, request.one("labelSelector"), request.one("fieldSelector")
        )
        version = str(api.store.version)
    limit = int(request.one("limit", "0")) or len(items)
    metadata: Object = {"resourceVersion": version}
    if len(items) > limit:
        metadata |= {"continue": uuid.uuid4().hex, "remainingItemCount": len(items) - limit}
        api.pages[metadata["continue"]] = (items[limit:], version)
    kind = f"{KINDS.get(route.resource, route.resource)}List"
    return reply({"kind": kind, "apiVersion": "v1", "metadata": metadata, "items": items[:limit]})


def watch(api: FakeApi, exchange: Exchange, request: Request, route: Route) -> None:
    """Send changes until timeoutSeconds are over or the server stops."""
    end = time.monotonic() + float(request.one("timeoutSeconds", "1800"))
    version = int(request.one("resourceVersion", "0") or 0)
    selectors = request.one("labelSelector"), request.one("fieldSelector")
    exchange.begin_chunks()
    while time.monotonic() < end and not api.stopping.is_set():
        try:
            for number, kind, obj in api.store.events_after(version, route.resource):
                version = number
                if _is_wanted(obj, route, selectors):
                    exchange.chunk(_line(kind, obj))
        except Refused as refusal:
            exchange.chunk(_line("ERROR", json.loads(refusal.response.body)))
            break
        with api.store.changed:
            api.store.changed.wait(min(0.05, max(0.0, end - time.monotonic())))
    exchange.end_chunks()


def create(api: FakeApi, request: Request, route: Route) -> Response:
    obj = json.loads(request.body)
    if route.namespace:
        obj.setdefault("metadata", {})["namespace"] = route.namespace
    created = api.store.add(route.resource, obj)
    if route.resource == "pods":
        threading.Thread(target=_evolve, args=(api, created), daemon=True).start()
    return reply(created, 201)


def delete(api: FakeApi, request: Request, route: Route) -> Response:
    options: Object = json.loads(request.body or b"{}")
    obj = api.store.get(route.resource, route.namespace, route.name)
    uid = (options.get("preconditions") or {}).get("uid")
    if uid and uid != obj["metadata"]["uid"]:
        raise refused(
            409,
            "Conflict",
            f'Operation cannot be fulfilled on {route.resource} "{route.name}": Precondition failed: '
            f"UID in precondition: {uid}, UID in object meta: {obj['metadata']['uid']}",
        )
    grace_s = options.get("gracePeriodSeconds", DEFAULT_GRACE_S)
    if route.resource == "pods" and grace_s > 0:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + grace_s))
        api.store.update("pods", route.namespace, route.name, {"metadata": {"deletionTimestamp": stamp}})
        threading.Timer(TERMINATION_S, api.store.remove, ("pods", route.namespace, route.name)).start()
    else:
        api.store.remove(route.resource, route.namespace, route.name)
    return reply({"kind": "Status", "status": "Success"})


def _evolve(api: FakeApi, pod: Object) -> None:
    metadata = pod["metadata"]
    for pause_s, status in api.evolve(pod):
        if api.stopping.wait(pause_s):
            return
        api.store.update("pods", metadata.get("namespace", ""), metadata["name"], {"status": status})


def _is_wanted(obj: Object, route: Route, selectors: tuple[str, str]) -> bool:
    from tests.fake.selectors import matches

    return route.namespace in ("", obj["metadata"].get("namespace", "")) and matches(obj, *selectors)


def _line(kind: str, obj: Object) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"

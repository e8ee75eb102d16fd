"""The fake API server: routes, authentication, authorization and the hooks that a test sets.

fake = FakeApi(pki)
fake.store.add("pods", {...})
fake.faults.add(faults.reset(), method="GET", path="/api/v1/pods", times=2)
fake.deny("create", "pods/exec")
fake.program = programs.run_locally
fake.evolve = pods.image_pull_backoff
"""

from __future__ import annotations

import json
import re
import ssl
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from tests.fake import pods, programs, serve_lists
from tests.fake.exchange import Exchange, Server
from tests.fake.faults import FaultScript
from tests.fake.messages import Object, Refused, Request, Response, failure, refused, reply
from tests.fake.pki import Pki
from tests.fake.route import Route, parse_route
from tests.fake.store import Store
from tests.fake.websocket import ServerSocket, choose_protocol

V4, V5 = "v4.channel.k8s.io", "v5.channel.k8s.io"


class FakeApi:
    """A running server.

    Attributes:
        requests: every request, in order.
        tokens: bearer token -> user name; a client certificate's CN is a user name as well.
        program: what an exec runs.
        evolve: how the status of a created pod evolves.
        exec_protocols: what the server speaks.
        exec_cut_after: bytes of websocket frames after which the connection breaks.
        warning: sent as a Warning header with every answer.
        logs: pod name -> log.
        prefix: of every path, as behind a gateway.
    """

    def __init__(self, pki: Pki | None) -> None:
        self.pki = pki
        self.store = Store()
        self.faults = FaultScript()
        self.requests: list[Request] = []
        self.tokens: dict[str, str] = {"good-token": "alice"}
        self.program: programs.Program = programs.says(b"")
        self.evolve: pods.Evolution = pods.becomes_running
        self.exec_protocols: tuple[str, ...] = (V5, V4)
        self.exec_cut_after: int | None = None
        self.answers_pings = True
        self.sockets: list[ServerSocket] = []
        self.calls: list[programs.ExecCall] = []
        self.warning = ""
        self.logs: dict[str, bytes] = {}
        self.prefix = ""
        self.stopping = threading.Event()
        self.errors: list[str] = []
        self.pages: dict[str, tuple[list[Object], str]] = {}
        self._denied: list[tuple[str, str]] = []
        self._server = Server(self, self._context())
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{'https' if self.pki else 'http'}://127.0.0.1:{self.port}{self.prefix}"

    def stop(self) -> None:
        """Stop; connections are refused from now on."""
        self.stopping.set()
        with self.store.changed:
            self.store.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def deny(self, verb: str, resource: str) -> None:
        """Forbid a verb ("*" for all) on a resource ("pods", "pods/exec")."""
        self._denied.append((verb, resource))

    def allows(self, verb: str, resource: str) -> bool:
        return not any(v in ("*", verb) and r in ("*", resource) for v, r in self._denied)

    def seen(self, method: str, pattern: str = "") -> list[Request]:
        """Return the requests of a method whose path matches a regular expression."""
        return [each for each in self.requests if each.method == method and re.search(pattern, each.path)]

    def note_error(self) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.errors.append(traceback.format_exc())

    def authenticate(self, headers: list[tuple[str, str]], common_name: str) -> str:
        """Return the user, "" for nobody; impersonation is granted to all."""
        values = dict(headers)
        scheme, _, token = values.get("authorization", "").partition(" ")
        user = self.tokens.get(token.strip(), "") if scheme.lower() == "bearer" else common_name
        return values.get("impersonate-user", user) if user else ""

    def serve(self, exchange: Exchange, request: Request) -> None:
        """Answer one request; watches and execs take the connection over."""
        try:
            route = self._admit(request)
            if request.is_exec:
                self._exec(exchange, request)
            elif request.is_true("watch"):
                serve_lists.watch(self, exchange, request, route)
            else:
                exchange.reply(self._with_warning(self.answer(request)))
        except Refused as refusal:
            exchange.reply(self._with_warning(refusal.response))

    def answer(self, request: Request) -> Response:
        """Carry a request out.

        Raises:
            Refused: with the answer to give.
        """
        route = self._admit(request)
        if route.resource in _REVIEWS:
            return _REVIEWS[route.resource](self, request)
        if route.subresource == "log":
            self.store.get("pods", route.namespace, route.name)
            return Response(200, self.logs.get(route.name, b""), {"Content-Type": "text/plain"})
        actions: dict[str, Callable[[FakeApi, Request, Route], Response]] = {
            "GET": serve_lists.get if route.name else serve_lists.list_page,
            "POST": serve_lists.create,
            "DELETE": serve_lists.delete,
        }
        if request.method not in actions:
            raise refused(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
            )
        return actions[request.method](self, request, route)

    def _admit(self, request: Request) -> Route:
        if not request.path.startswith(self.prefix):
            raise refused(404, "NotFound", "the server could not find the requested resource")
        if not request.user:
            raise refused(401, "Unauthorized", "Unauthorized")
        route = parse_route(request, self.prefix)
        if not self.allows(route.verb, route.full_resource):
            raise Refused(_forbidden(request.user, route))
        return route

    def _exec(self, exchange: Exchange, request: Request) -> None:
        route = parse_route(request, self.prefix)
        self.store.get("pods", route.namespace, route.name)
        offered = ",".join(request.header("sec-websocket-protocol"))
        protocol = choose_protocol(offered, self.exec_protocols)
        if not protocol:
            raise refused(403, "Forbidden", "no common subprotocol")
        socket = ServerSocket(exchange, self.exec_cut_after)
        socket.answers_pings = self.answers_pings
        self.sockets.append(socket)
        socket.accept(request.header("sec-websocket-key")[0], protocol)
        call = programs.ExecCall(request, socket, protocol)
        self.calls.append(call)
        programs.run_exec(call, self.program)
        exchange.hang_up()

    def _with_warning(self, response: Response) -> Response:
        if not self.warning:
            return response
        headers = {**response.headers, "Warning": f'299 - "{self.warning}"'}
        return Response(response.status, response.body, headers)

    def _context(self) -> ssl.SSLContext | None:
        if self.pki is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pki.server_cert, self.pki.server_key)
        context.load_verify_locations(self.pki.ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context


def _forbidden(user: str, route: Route) -> Response:
    where = f'in the namespace "{route.namespace}"' if route.namespace else "at the cluster scope"
    name = f'{route.resource} "{route.name}"' if route.name else route.resource
    message = (
        f'{name} is forbidden: User "{user}" cannot {route.verb} resource "{route.full_resource}" '
        f'in API group "{route.group}" {where}'
    )
    return failure(403, "Forbidden", message)


def _review_self(api: FakeApi, request: Request) -> Response:
    return reply({"kind": "SelfSubjectReview", "status": {"userInfo": {"username": request.user}}}, 201)


def _review_access(api: FakeApi, request: Request) -> Response:
    attributes: dict[str, Any] = json.loads(request.body)["spec"]["resourceAttributes"]
    parts = [attributes["resource"], attributes.get("subresource", "")]
    is_allowed = api.allows(attributes["verb"], "/".join(filter(None, parts)))
    return reply({"kind": "SelfSubjectAccessReview", "status": {"allowed": is_allowed}}, 201)


_REVIEWS = {"selfsubjectreviews": _review_self, "selfsubjectaccessreviews": _review_access}

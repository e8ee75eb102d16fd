"""The client: one API server, one identity, raw JSON in and our own models out.

The official client is used for what it is good at (credentials, TLS, the connection pool) and passed by where it was
measured to fail; docs/decisions/ has the list. Importing this module is cheap: `kubernetes`, `urllib3` and
`websocket` come in when the first request is made.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from netinspect.cluster.answers import checked, read_all
from netinspect.cluster.deadline import Deadline, waiting_for
from netinspect.cluster.errors import ConnectionLost, RequestRefused, translated
from netinspect.cluster.headers import Header, build_headers
from netinspect.cluster.kubeconfig import ResolvedContext, resolve_context
from netinspect.cluster.listing import ListResult, list_pages
from netinspect.cluster.options import ConnectionOptions
from netinspect.cluster.proxies import resolve_proxy
from netinspect.cluster.retry import retry_pause_s
from netinspect.cluster.watching import watch_windows
from netinspect.models.codec import encode_json
from netinspect.parse.api import WatchEvent, parse_object

if TYPE_CHECKING:
    from netinspect.cluster.credentials import Credentials
    from netinspect.cluster.exec import ExecStream

T = TypeVar("T")
Query = Mapping[str, Any] | Sequence[tuple[str, Any]]

READ_S = 30.0
"""How long the server may be silent within an answer."""


def connect(options: ConnectionOptions, deadline: Deadline | None = None) -> ClusterClient:
    """Resolve the context as kubectl does and return a client for it. Nothing is sent yet.

    Raises:
        ClusterError: there is no usable configuration.
    """
    return ClusterClient(resolve_context(options), options, deadline or Deadline())


class ClusterClient:
    """Talks to one API server. Safe for threads.

    Every method takes the client's own deadline where none is given; each raises `ClusterError` in kubectl's
    wording (`DeadlineError` when time is up), and nothing else.

    Attributes:
        context: where, as whom, in which namespace.
        deadline: for all requests; `deadline.cancel()` stops them.
        warnings: what the server said in Warning headers, each once.
    """

    def __init__(self, context: ResolvedContext, options: ConnectionOptions, deadline: Deadline) -> None:
        self.context = context
        self.options = options
        self.deadline = deadline
        self.warnings: list[str] = []
        self._lazy_credentials: Credentials | None = None
        self._lock = threading.Lock()

    @property
    def namespace(self) -> str:
        """The context's namespace, or that of `--namespace`."""
        return self.context.namespace

    def now(self) -> datetime:
        """The time by this machine's clock, in UTC."""
        return datetime.now(UTC)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout_s: float | None = None,
        deadline: Deadline | None = None,
    ) -> bytes:
        """Make one request and return the body of the answer.

        GET and DELETE are repeated when the connection is lost or the server says Retry-After.

        Args:
            method: GET, POST, PUT, PATCH or DELETE.
            path: from the server's root, "/api/v1/...".
            query: pairs, or a mapping; values are turned into strings.
            body: what is sent.
            content_type: of `body`.
            timeout_s: for one attempt in all; None means `--request-timeout`.
            deadline: None means the client's.
        """
        deadline = deadline or self.deadline
        limit_s = self.options.request_timeout_s if timeout_s is None else timeout_s
        for attempt in itertools.count():
            try:
                within = deadline.sooner(limit_s)
                response = self.open(
                    method, path, query=query, body=body, content_type=content_type, deadline=within
                )
                with waiting_for(_answer_to(method, path), within), self._translated(method, path):
                    return read_all(response)
            except (RequestRefused, ConnectionLost) as error:
                pause_s = retry_pause_s(error, method, attempt, deadline.remaining_s())
                if pause_s is None:
                    raise
            deadline.sleep(pause_s, f"the API server to take {method} {path}")
        raise AssertionError

    def get_object(self, type_: type[T], path: str, *, deadline: Deadline | None = None) -> T:
        """Get one object."""
        return parse_object(type_, self.request("GET", path, deadline=deadline))

    def list_objects(
        self,
        type_: type[T],
        path: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
        deadline: Deadline | None = None,
    ) -> ListResult[T]:
        """List objects, `limit` at a time.

        Args:
            type_: of one item.
            path: of the collection.
            label_selector: as in `kubectl -l`.
            field_selector: as in `kubectl --field-selector`.
            limit: items a page.
            deadline: None means the client's.
        """
        selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        query = {"limit": str(limit), **{key: value for key, value in selectors.items() if value}}

        def get_page(extra: Mapping[str, str]) -> bytes:
            return self.request("GET", path, query={**query, **extra}, deadline=deadline)

        return list_pages(type_, get_page)

    def watch(
        self, path: str, *, query: Query = (), deadline: Deadline | None = None
    ) -> Iterator[WatchEvent]:
        """Yield ADDED, MODIFIED and DELETED events until the deadline.

        A connection that is lost or silent is taken up again where it was. Bookmarks are not handed out.

        Raises:
            ClusterError: with status 410 when the server no longer knows our place: list again.
        """
        return watch_windows(self, path, dict(query), deadline or self.deadline)

    def create(self, path: str, body: bytes, *, deadline: Deadline | None = None) -> bytes:
        """Create an object; never repeated, so an error without a status leaves open whether it exists."""
        return self.request("POST", path, body=body, deadline=deadline)

    def delete(
        self,
        path: str,
        *,
        uid: str | None = None,
        grace_period_s: int | None = None,
        timeout_s: float | None = None,
        deadline: Deadline | None = None,
    ) -> bool:
        """Delete an object, and return whether it was there.

        Args:
            path: of the object.
            uid: delete only the object with this UID; where the name is another's by now, ours is gone.
            grace_period_s: None means the object's own.
            timeout_s: for one attempt in all; None means `--request-timeout`.
            deadline: None means the client's.
        """
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_period_s is not None:
            options["gracePeriodSeconds"] = grace_period_s
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            self.request("DELETE", path, body=encode_json(options), timeout_s=timeout_s, deadline=deadline)
        except RequestRefused as error:
            if error.status == 404 or (error.status == 409 and "UID in precondition" in error.message):
                return False
            raise
        return True

    def exec(
        self,
        namespace: str,
        pod: str,
        container: str,
        argv: Iterable[str],
        *,
        stdin: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        tty: bool = False,
        deadline: Deadline | None = None,
    ) -> ExecStream:
        """Run `argv` in a container; the stream is open when this returns.

        Args:
            namespace: of the pod.
            pod: its name.
            container: its container's name.
            argv: the program and its arguments; no shell is involved. They travel in the URL: keep them short.
            stdin: whether `write_stdin` will be used.
            stdout: whether channel 1 is wanted.
            stderr: whether channel 2 is wanted; a terminal has none.
            tty: whether the program gets a terminal.
            deadline: None means the client's.
        """
        from netinspect.cluster.exec import open_exec

        path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/exec"
        flags = {"stdin": stdin, "stdout": stdout, "stderr": stderr and not tty, "tty": tty}
        query = [("container", container)]
        query += [(name, "true") for name, is_set in flags.items() if is_set]
        query += [("command", word) for word in argv]
        return open_exec(self, self._url(path, query), deadline or self.deadline)

    def open(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: bytes | None = None,
        content_type: str = "application/json",
        deadline: Deadline,
        read_s: float = READ_S,
    ) -> Any:
        """Send a request once (twice after a 401) and return urllib3's response, its body unread.

        For those who read a body as it comes. The caller closes the response.
        """
        from netinspect.cluster.transport import send_request

        url = self._url(path, query)
        extra = [("Accept", "application/json")]
        if body is not None:
            extra.append(("Content-Type", content_type))
        if not self.options.disable_compression:
            extra.append(("Accept-Encoding", "gzip"))

        def send(pool: Any, headers: list[Header]) -> Any:
            with waiting_for(_answer_to(method, path), deadline), self._translated(method, path):
                response = send_request(pool, method, url, [*headers, *extra], body, read_s)
                return checked(response, self.warnings)

        return self.authorized(send)

    def authorized(self, send: Callable[[Any, list[Header]], T]) -> T:
        """Call `send(pool, headers)` with current credentials, once more with new ones where they were refused."""
        session, authorization = self._credentials().current()
        try:
            return send(session.pool, build_headers(self.context.impersonation, authorization))
        except RequestRefused as error:
            if error.status != 401:
                raise
        self._credentials().renew(session)
        session, authorization = self._credentials().current()
        return send(session.pool, build_headers(self.context.impersonation, authorization))

    def close(self) -> None:
        """Close the idle connections."""
        if self._lazy_credentials is not None:
            self._lazy_credentials.close()

    def _credentials(self) -> Credentials:
        from netinspect.cluster.credentials import Credentials

        with self._lock:
            if self._lazy_credentials is None:
                proxy_url = str(self.context.cluster.get("proxy-url") or "")
                proxy = resolve_proxy(self.context.server, proxy_url, os.environ)
                self._lazy_credentials = Credentials(self.context, proxy)
            return self._lazy_credentials

    def _url(self, path: str, query: Query) -> str:
        pairs = query.items() if isinstance(query, Mapping) else query
        text = urlencode([(key, str(value)) for key, value in pairs], quote_via=quote)
        return f"{self.context.server}{path}{'?' + text if text else ''}"

    def _translated(self, method: str, path: str) -> Any:
        return translated(self.context.server, _answer_to(method, path))


def _answer_to(method: str, path: str) -> str:
    return f"the API server's answer to {method} {path}"

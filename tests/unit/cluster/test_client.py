"""The client's requests, against the fake API server."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from pathlib import Path

import pytest
import yaml

from netinspect import __version__
from netinspect.cluster.client import ClusterClient, connect
from netinspect.cluster.deadline import CancelledError, Deadline
from netinspect.cluster.options import ConnectionOptions
from netinspect.errors import ClusterError, DeadlineError, ParseError
from netinspect.models.kubernetes import Pod
from tests.fake import faults
from tests.fake.api import FakeApi
from tests.fake.plugin import kubeconfig_of, pod

PODS = "/api/v1/namespaces/demo/pods"


def client_of(path: Path, seconds: float = 20, **options: object) -> ClusterClient:
    return connect(ConnectionOptions(kubeconfig=str(path), **options), Deadline.after(seconds))  # type: ignore[arg-type]


def test_an_object_is_decoded_into_our_model(client: ClusterClient, fake_api: FakeApi) -> None:
    """get_object returns the fields that we judge."""
    fake_api.store.add("pods", pod("web", app="web"))
    found = client.get_object(Pod, f"{PODS}/web")
    assert (found.metadata.name, found.metadata.labels, found.spec.node_name) == (
        "web",
        {"app": "web"},
        "node-a",
    )


def test_every_request_names_the_program(client: ClusterClient, fake_api: FakeApi) -> None:
    """The User-Agent is ours, so that API audit logs can be searched for it."""
    client.request("GET", PODS)
    assert fake_api.requests[0].header("user-agent") == [f"kubectl-netinspect/{__version__}"]


def test_a_list_is_read_in_pages(client: ClusterClient, fake_api: FakeApi) -> None:
    """Seven pods at three a page take three requests, and come out in order."""
    for index in range(7):
        fake_api.store.add("pods", pod(f"p{index}"))
    result = client.list_objects(Pod, PODS, limit=3)
    assert [each.metadata.name for each in result.items] == [f"p{index}" for index in range(7)]
    assert len(fake_api.seen("GET")) == 3
    assert result.resource_version == str(fake_api.store.version)


def test_selectors_are_sent(client: ClusterClient, fake_api: FakeApi) -> None:
    """The API server filters, not we."""
    for name, app in (("a", "x"), ("b", "y")):
        fake_api.store.add("pods", pod(name, app=app))
    result = client.list_objects(
        Pod, PODS, label_selector="app in (x, z)", field_selector="spec.nodeName=node-a"
    )
    assert [each.metadata.name for each in result.items] == ["a"]


def test_a_list_that_expires_midway_is_read_again_once(client: ClusterClient, fake_api: FakeApi) -> None:
    """410 on the second page starts over; a second 410 is an error."""
    for index in range(4):
        fake_api.store.add("pods", pod(f"p{index}"))
    gone = faults.answer(410, "Expired", "The provided continue parameter is too old")
    fake_api.faults.add(gone, path=PODS, skip=1)
    assert len(client.list_objects(Pod, PODS, limit=2).items) == 4
    fake_api.faults.add(gone, path=PODS, skip=1, times=1)
    fake_api.faults.add(gone, path=PODS, skip=1, times=1)
    with pytest.raises(ClusterError) as caught:
        client.list_objects(Pod, PODS, limit=2)
    assert caught.value.status == 410


def test_create_and_delete(client: ClusterClient, fake_api: FakeApi) -> None:
    """create returns the API's answer; delete says whether the object was there."""
    created = json.loads(client.create(PODS, json.dumps(pod("new")).encode()))
    assert created["metadata"]["uid"]
    assert client.delete(f"{PODS}/new", uid=created["metadata"]["uid"], grace_period_s=0)
    assert not client.delete(f"{PODS}/new", uid=None, grace_period_s=0)
    assert json.loads(fake_api.seen("DELETE")[0].body)["gracePeriodSeconds"] == 0


def test_another_object_of_the_same_name_is_not_deleted(client: ClusterClient, fake_api: FakeApi) -> None:
    """With a UID that is no longer the name's, ours is gone already."""
    fake_api.store.add("pods", pod("web"))
    assert not client.delete(f"{PODS}/web", uid="00000000-0000-0000-0000-000000000000")
    assert fake_api.store.has("pods", "demo", "web")


@pytest.mark.parametrize(
    ("fault", "message", "status"),
    [
        (
            faults.answer(404, "NotFound", 'pods "x" not found'),
            'Error from server (NotFound): pods "x" not found',
            404,
        ),
        (
            faults.answer(401, "Unauthorized", "Unauthorized"),
            "error: You must be logged in to the server (Unauthorized)",
            401,
        ),
        (faults.answer(409, "Conflict", "try again"), "Error from server (Conflict): try again", 409),
        (
            faults.answer(500, "InternalError", "Internal error occurred: etcd"),
            "Error from server (InternalError): Internal error occurred: etcd",
            500,
        ),
        (
            faults.answer_raw(502, b"<html>nginx</html>"),
            "Error from server: a proxy before the server could not reach it (bad gateway)",
            502,
        ),
        (
            faults.answer_raw(503, b"upstream connect error", "text/plain"),
            "Error from server (ServiceUnavailable): the server is currently unable to handle the request: "
            "upstream connect error",
            503,
        ),
    ],
)
def test_a_refusal_reads_as_in_kubectl(
    client: ClusterClient, fake_api: FakeApi, fault: faults.Fault, message: str, status: int
) -> None:
    """The message is kubectl's, the status and reason are kept."""
    fake_api.faults.add(fault, times=2)
    with pytest.raises(ClusterError) as caught:
        client.request("GET", f"{PODS}/x")
    assert (caught.value.message, caught.value.status) == (message, status)


def test_a_forbidden_request_names_verb_and_resource(client: ClusterClient, fake_api: FakeApi) -> None:
    """403 keeps the API server's own text."""
    fake_api.deny("list", "pods")
    with pytest.raises(ClusterError) as caught:
        client.list_objects(Pod, PODS)
    assert caught.value.message == (
        'Error from server (Forbidden): pods is forbidden: User "alice" cannot list resource "pods" '
        'in API group "" in the namespace "demo"'
    )
    assert caught.value.reason == "Forbidden"


def test_an_invalid_object_is_shown_as_kubectl_shows_it(client: ClusterClient, fake_api: FakeApi) -> None:
    """422 names the object and lists its faults."""
    details = {"kind": "Pod", "name": "x", "causes": [{"field": "spec.a", "message": "Required"}] * 2}
    body = {"kind": "Status", "reason": "Invalid", "message": "m", "code": 422, "details": details}
    fake_api.faults.add(faults.answer_raw(422, json.dumps(body).encode(), "application/json"))
    with pytest.raises(
        ClusterError, match=r'The Pod "x" is invalid: \n\* spec.a: Required\n\* spec.a: Required'
    ):
        client.create(PODS, b"{}")


def test_a_refused_connection_reads_as_in_kubectl(client: ClusterClient, fake_api: FakeApi) -> None:
    """Nobody listens: host and port are named."""
    fake_api.stop()
    with pytest.raises(ClusterError) as caught:
        client.request("GET", PODS)
    assert caught.value.message == (
        f"The connection to the server 127.0.0.1:{fake_api.port} was refused - "
        "did you specify the right host or port?"
    )


def test_an_unknown_host_reads_as_in_kubectl(tmp_path: Path) -> None:
    """A name that does not resolve is named."""
    client = connect(ConnectionOptions(server="http://nowhere.invalid:6443", kubeconfig=_empty(tmp_path)))
    with pytest.raises(
        ClusterError, match=r"^Unable to connect to the server: dial tcp: lookup nowhere.invalid: "
    ):
        client.request("GET", PODS)


def test_a_server_of_another_authority_is_refused(fake_api: FakeApi, tmp_path: Path) -> None:
    """The certificate is checked against the kubeconfig's authority."""
    assert fake_api.pki
    config = kubeconfig_of(
        fake_api, cluster={"certificate-authority-data": fake_api.pki.data(fake_api.pki.other_ca)}
    )
    path = _write(tmp_path, config)
    with pytest.raises(ClusterError, match="x509: certificate signed by unknown authority") as caught:
        client_of(path).request("GET", PODS)
    assert caught.value.hint


def test_the_servers_name_is_checked(fake_api: FakeApi, tmp_path: Path) -> None:
    """tls-server-name that the certificate does not have is refused, one that it has is good."""
    path = _write(tmp_path, kubeconfig_of(fake_api))
    with pytest.raises(ClusterError, match="x509: Hostname mismatch"):
        client_of(path, tls_server_name="other.example").request("GET", PODS)
    client_of(path, tls_server_name="fake.example").request("GET", PODS)


def test_tls_verification_can_be_switched_off(fake_api: FakeApi, tmp_path: Path) -> None:
    """--insecure-skip-tls-verify overrides the file's authority."""
    assert fake_api.pki
    config = kubeconfig_of(
        fake_api, cluster={"certificate-authority-data": fake_api.pki.data(fake_api.pki.other_ca)}
    )
    client_of(_write(tmp_path, config), insecure_skip_tls_verify=True).request("GET", PODS)


def test_a_lost_connection_is_tried_again(client: ClusterClient, fake_api: FakeApi) -> None:
    """A GET that was reset, or hung up on, is repeated."""
    fake_api.faults.add(faults.reset(), times=2)
    fake_api.faults.add(faults.hang_up())
    client.request("GET", PODS)
    assert len(fake_api.requests) == 4


def test_a_connection_that_is_always_lost_is_an_error(client: ClusterClient, fake_api: FakeApi) -> None:
    """Five attempts, then the error stands."""
    fake_api.faults.add(faults.reset(), times=99)
    with pytest.raises(ClusterError, match="the connection was lost"):
        client.request("GET", PODS)
    assert len(fake_api.requests) == 5


def test_a_create_is_never_repeated(client: ClusterClient, fake_api: FakeApi) -> None:
    """Its answer was lost after it was done: an error without a status, and one object."""
    fake_api.faults.add(faults.carry_out_and_reset(), method="POST")
    with pytest.raises(ClusterError) as caught:
        client.create(PODS, json.dumps(pod("new")).encode())
    assert caught.value.status is None
    assert len(fake_api.seen("POST")) == 1
    assert fake_api.store.has("pods", "demo", "new")


def test_a_delete_whose_answer_was_lost_is_repeated(client: ClusterClient, fake_api: FakeApi) -> None:
    """The second one finds nothing, which is what was wanted."""
    fake_api.store.add("pods", pod("web"))
    fake_api.faults.add(faults.carry_out_and_reset(), method="DELETE")
    assert not client.delete(f"{PODS}/web", grace_period_s=0)
    assert not fake_api.store.has("pods", "demo", "web")


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_honoured(client: ClusterClient, fake_api: FakeApi, code: int) -> None:
    """A busy server that says when to come back is asked again then."""
    fake_api.faults.add(faults.answer(code, "TooManyRequests", "busy", Retry_After="1"), method="GET")
    start = time.monotonic()
    client.request("GET", PODS)
    assert 1 <= time.monotonic() - start < 4


def test_a_busy_server_is_not_waited_for_beyond_the_deadline(kubeconfig: Path, fake_api: FakeApi) -> None:
    """Retry-After of a minute, and five seconds left: the refusal stands at once."""
    fake_api.faults.add(faults.answer(429, "TooManyRequests", "busy", Retry_After="60"), times=2)
    start = time.monotonic()
    with pytest.raises(ClusterError) as caught:
        client_of(kubeconfig, 5).request("GET", PODS)
    assert caught.value.status == 429
    assert time.monotonic() - start < 3


def test_a_refused_create_is_not_repeated(client: ClusterClient, fake_api: FakeApi) -> None:
    """Not even when the server says when to come back."""
    fake_api.faults.add(faults.answer(429, "TooManyRequests", "busy", Retry_After="1"), method="POST")
    with pytest.raises(ClusterError):
        client.create(PODS, json.dumps(pod("new")).encode())
    assert len(fake_api.seen("POST")) == 1


def test_a_silent_server_ends_with_the_deadline(kubeconfig: Path, fake_api: FakeApi) -> None:
    """The error names what was waited for, and for how long."""
    fake_api.faults.add(faults.stall())
    start = time.monotonic()
    with pytest.raises(DeadlineError) as caught:
        client_of(kubeconfig, 1).request("GET", PODS)
    assert (
        caught.value.message == f"timed out after 1s while waiting for the API server's answer to GET {PODS}"
    )
    assert time.monotonic() - start < 3


def test_a_dripping_server_ends_with_the_deadline(kubeconfig: Path, fake_api: FakeApi) -> None:
    """A byte now and then does not keep a request alive."""
    fake_api.faults.add(faults.drip(0.1))
    with pytest.raises(DeadlineError):
        client_of(kubeconfig, 1).request("GET", PODS)


def test_the_request_timeout_limits_one_request(kubeconfig: Path, fake_api: FakeApi) -> None:
    """--request-timeout ends a request well before the command's deadline."""
    fake_api.faults.add(faults.stall())
    start = time.monotonic()
    with pytest.raises(DeadlineError, match=r"timed out after 0\.7s"):
        client_of(kubeconfig, 20, request_timeout_s=0.7).request("GET", PODS)
    assert time.monotonic() - start < 3


def test_a_cancelled_deadline_stops_a_waiting_request(client: ClusterClient, fake_api: FakeApi) -> None:
    """Another thread ends the wait within about half a second."""
    fake_api.faults.add(faults.stall())
    threading.Timer(0.3, client.deadline.cancel).start()
    start = time.monotonic()
    with pytest.raises(CancelledError):
        client.request("GET", PODS)
    assert time.monotonic() - start < 2


def test_a_body_that_is_cut_off_is_not_taken(client: ClusterClient, fake_api: FakeApi) -> None:
    """A truncated list is read again, and never a shorter list."""
    for index in range(3):
        fake_api.store.add("pods", pod(f"p{index}"))
    fake_api.faults.add(faults.truncate(200), times=2)
    assert len(client.list_objects(Pod, PODS).items) == 3


def test_an_answer_that_is_no_json_is_a_parse_error(client: ClusterClient, fake_api: FakeApi) -> None:
    """A login page with status 200 is named as what it is."""
    fake_api.faults.add(faults.answer_raw(200, b"<html>please log in</html>"))
    with pytest.raises(ParseError, match="please log in"):
        client.list_objects(Pod, PODS)


def test_a_redirect_is_not_followed(client: ClusterClient, fake_api: FakeApi) -> None:
    """Credentials go to the server that the kubeconfig names, and nowhere else."""
    fake_api.faults.add(faults.answer(302, "", "Found", Location="https://127.0.0.1:1/"))
    with pytest.raises(ClusterError) as caught:
        client.request("GET", PODS)
    assert caught.value.status == 302


def test_impersonation_is_on_every_request(kubeconfig: Path, fake_api: FakeApi) -> None:
    """User, UID, each group and each extra value have a header of their own, on REST and on exec."""
    fake_api.store.add("pods", pod("web"))
    client = client_of(
        kubeconfig,
        as_="jürgen",
        as_uid="u-1",
        as_group=("g1", "g,2"),
        as_user_extra=("acme.com/project=one", "acme.com/project=two"),
    )
    client.request("GET", PODS)
    for _ in client.exec("demo", "web", "main", ["true"]):
        pass
    for request in fake_api.requests:
        assert [value.encode("latin-1").decode() for value in request.header("impersonate-user")] == [
            "jürgen"
        ]
        assert request.header("impersonate-uid") == ["u-1"]
        assert request.header("impersonate-group") == ["g1", "g,2"]
        assert request.header("impersonate-extra-acme.com%2Fproject") == ["one", "two"]
    assert [request.is_exec for request in fake_api.requests] == [False, True]


def test_warnings_of_the_server_are_collected_once(client: ClusterClient, fake_api: FakeApi) -> None:
    """Warning headers are kept for the command to show."""
    fake_api.warning = "v1 Endpoints is deprecated"
    client.request("GET", PODS)
    client.request("GET", PODS)
    assert client.warnings == ["v1 Endpoints is deprecated"]


def test_a_server_url_may_have_a_path(fake_api: FakeApi, tmp_path: Path) -> None:
    """Rancher's form, https://host/k8s/clusters/c-x, works for REST and for exec."""
    fake_api.prefix = "/k8s/clusters/c-x"
    fake_api.store.add("pods", pod("web"))
    client = client_of(_write(tmp_path, kubeconfig_of(fake_api)))
    client.get_object(Pod, f"{PODS}/web")
    for _ in client.exec("demo", "web", "main", ["true"]):
        pass
    assert [each.path for each in fake_api.requests] == [
        f"{fake_api.prefix}{PODS}/web",
        f"{fake_api.prefix}{PODS}/web/exec",
    ]


def test_plain_http_works(tmp_path: Path) -> None:
    """`kubectl proxy` speaks no TLS; nobody is logged in there, and it says so."""
    api = FakeApi(None)
    try:
        path = _write(tmp_path, kubeconfig_of(api, {"token": "good-token"}))
        client_of(path).request("GET", PODS)
        assert api.requests[0].user == "alice"
    finally:
        api.stop()


def test_a_proxy_is_used_for_rest_and_for_exec(fake_api: FakeApi, tmp_path: Path) -> None:
    """proxy-url: both kinds of connection go through CONNECT, with the proxy's password."""
    fake_api.store.add("pods", pod("web"))
    with _Proxy() as proxy:
        url = f"http://user:pass@127.0.0.1:{proxy.port}"
        client = client_of(_write(tmp_path, kubeconfig_of(fake_api, cluster={"proxy-url": url})))
        client.request("GET", PODS)
        for _ in client.exec("demo", "web", "main", ["true"]):
            pass
    assert len(proxy.heads) == 2
    for head in proxy.heads:
        assert head.startswith(b"CONNECT 127.0.0.1:%d " % fake_api.port)
        assert b"basic dxnlcjpwyxnz" in head.lower()


def test_one_connection_serves_many_requests(client: ClusterClient, fake_api: FakeApi) -> None:
    """Requests of one thread share a connection: TLS is negotiated once."""
    with _Relay(fake_api.port) as relay:
        client.context.cluster["server"] = f"https://127.0.0.1:{relay.port}"  # type: ignore[index]
        for _ in range(5):
            client.request("GET", PODS)
    assert relay.accepted == 1


def test_threads_share_a_client(client: ClusterClient, fake_api: FakeApi) -> None:
    """Sixteen threads at once all get their answers."""
    fake_api.store.add("pods", pod("web"))
    results: list[str] = []

    def get() -> None:
        results.extend(client.get_object(Pod, f"{PODS}/web").metadata.name for _ in range(5))

    threads = [threading.Thread(target=get) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["web"] * 80


class _Relay:
    """Copies bytes between a port and another, and counts connections."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.accepted = 0

    def __enter__(self) -> _Relay:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _serve(self) -> None:
        for _ in itertools.count():
            try:
                near, _address = self._socket.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self.connect, args=(near,), daemon=True).start()

    def connect(self, near: socket.socket) -> None:
        _join(near, self._target)


class _Proxy(_Relay):
    """An HTTP proxy that knows CONNECT."""

    def __init__(self) -> None:
        super().__init__(0)
        self.heads: list[bytes] = []

    def __enter__(self) -> _Proxy:
        super().__enter__()
        return self

    def connect(self, near: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += near.recv(1)
        self.heads.append(head)
        near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        _join(near, int(head.split()[1].rpartition(b":")[2]))


def _join(near: socket.socket, port: int) -> None:
    far = socket.create_connection(("127.0.0.1", port))
    threading.Thread(target=_copy, args=(far, near), daemon=True).start()
    _copy(near, far)


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _write(folder: Path, config: object) -> Path:
    path = folder / "config"
    path.write_text(yaml.safe_dump(config))
    return path


def _empty(folder: Path) -> str:
    path = folder / "empty"
    path.write_text("")
    return str(path)

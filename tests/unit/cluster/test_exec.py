"""exec over a websocket, against the fake API server."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netinspect.cluster.client import ClusterClient, connect
from netinspect.cluster.deadline import CancelledError, Deadline
from netinspect.cluster.exec import ExecStatus, ExecStream, Heartbeat, parse_exec_status
from netinspect.cluster.options import ConnectionOptions
from netinspect.cluster.wire import Wire
from netinspect.errors import ClusterError, DeadlineError
from tests.fake import faults, programs
from tests.fake.api import V4, V5, FakeApi
from tests.fake.exchange import Exchange
from tests.fake.plugin import pod
from tests.fake.programs import ERROR, STDERR, STDOUT, ExecCall
from tests.fake.websocket import BINARY, CONTINUATION, PING, encode_frame


@pytest.fixture(autouse=True)
def _pod(fake_api: FakeApi) -> None:
    fake_api.store.add("pods", pod("web"))


def start(client: ClusterClient, *argv: str, stdin: bool = False, tty: bool = False) -> ExecStream:
    return client.exec("demo", "web", "main", argv or ("true",), stdin=stdin, tty=tty)


def read(stream: ExecStream) -> tuple[bytes, bytes]:
    parts: dict[int, list[bytes]] = {1: [], 2: []}
    for channel, data in stream:
        parts[channel].append(data)
    return b"".join(parts[1]), b"".join(parts[2])


def test_output_and_exit_code(client: ClusterClient, fake_api: FakeApi) -> None:
    """Both channels come as bytes, and the Status gives the exit code."""
    fake_api.program = programs.says(b"out\n", b"err\n", 3)
    stream = start(client, "sh", "-c", "exit 3")
    assert read(stream) == (b"out\n", b"err\n")
    assert stream.status.exit_code == 3
    assert not stream.status.is_cut
    assert fake_api.calls[0].argv == ["sh", "-c", "exit 3"]


def test_a_program_that_succeeds(client: ClusterClient, fake_api: FakeApi) -> None:
    """Success is exit code 0."""
    stream = start(client)
    assert read(stream) == (b"", b"")
    assert stream.status == ExecStatus(0)


def test_the_request_says_what_is_wanted(client: ClusterClient, fake_api: FakeApi) -> None:
    """Flags travel in the query; a terminal has no stderr of its own."""
    read(start(client, "cat", "a b", "é", stdin=False))
    read(start(client, tty=True))
    first, second = (request.query for request in fake_api.requests)
    assert first == {
        "container": ["main"], "stdout": ["true"], "stderr": ["true"], "command": ["cat", "a b", "é"]
    }  # fmt: skip
    assert second["tty"] == ["true"]
    assert "stderr" not in second


@pytest.mark.parametrize("protocols", [(V5, V4), (V4,)])
def test_both_protocols_are_spoken(
    client: ClusterClient, fake_api: FakeApi, protocols: tuple[str, ...]
) -> None:
    """v5 where the server has it, else v4."""
    fake_api.exec_protocols = protocols
    fake_api.program = programs.says(b"x")
    stream = start(client)
    assert stream.protocol == protocols[0]
    assert read(stream) == (b"x", b"")


def test_a_server_without_our_protocols_is_refused(client: ClusterClient, fake_api: FakeApi) -> None:
    """v1 to v3 tell no exit code: they are not spoken."""
    fake_api.exec_protocols = ("channel.k8s.io",)
    with pytest.raises(ClusterError) as caught:
        start(client)
    assert caught.value.status == 403


def test_stdin_is_sent_and_closed(client: ClusterClient, fake_api: FakeApi) -> None:
    """A megabyte goes there and back while another thread reads; the program sees the end of its input."""
    fake_api.program = programs.echo_stdin
    sent = bytes(range(256)) * 4096
    stream = start(client, "cat", stdin=True)

    def feed() -> None:
        stream.write_stdin(sent)
        assert stream.close_stdin()

    writer = threading.Thread(target=feed)
    writer.start()
    assert read(stream)[0] == sent
    writer.join()
    assert stream.status.exit_code == 0


def test_a_real_program_can_be_run(client: ClusterClient, fake_api: FakeApi) -> None:
    """The fake server runs an argv on this host, streams and exit code included."""
    fake_api.program = programs.run_locally
    stream = start(client, "sh", "-c", "wc -c; echo oops >&2; exit 5", stdin=True)
    stream.write_stdin(b"12345")
    stream.close_stdin()
    out, err = read(stream)
    assert (out.strip(), err, stream.status.exit_code) == (b"5", b"oops\n", 5)


def test_v4_cannot_close_stdin(client: ClusterClient, fake_api: FakeApi) -> None:
    """close_stdin says so, and the stream goes on."""
    fake_api.exec_protocols = (V4,)
    fake_api.program = lambda call: programs.says(next(call.stdin()))(call)
    stream = start(client, stdin=True)
    stream.write_stdin(b"data")
    assert not stream.close_stdin()
    assert read(stream) == (b"data", b"")


def test_the_terminals_size_is_sent(client: ClusterClient, fake_api: FakeApi) -> None:
    """resize reaches the program as width and height."""

    def program(call: ExecCall) -> None:
        while not call.sizes:
            time.sleep(0.01)
        call.finish()

    fake_api.program = program
    stream = start(client, tty=True)
    stream.resize(132, 43)
    read(stream)
    assert fake_api.calls[0].sizes == [{"Width": 132, "Height": 43}]


def test_a_character_that_is_split_over_frames_stays_whole(client: ClusterClient, fake_api: FakeApi) -> None:
    """Nothing is decoded on the way."""
    text = "grüße, 網路 " * 50
    fake_api.program = programs.says(text.encode(), chunk=1)
    assert read(start(client))[0].decode() == text


def test_a_message_may_come_in_pieces(client: ClusterClient, fake_api: FakeApi) -> None:
    """Continuation frames, an empty first one, pings in between, empty messages and the Status in two halves."""

    def program(call: ExecCall) -> None:
        send = call.socket.send
        send(b"", BINARY)
        send(b"", BINARY, is_final=False)
        send(b"\x01ab", CONTINUATION, is_final=False)
        send(b"hello", PING)
        send(b"cd", CONTINUATION)
        send(bytes((STDERR,)) + b"e", BINARY, is_final=False)
        send(b"", CONTINUATION)
        send(bytes((ERROR,)) + b'{"status":', BINARY)
        send(bytes((ERROR,)) + b'"Success"}', BINARY)

    fake_api.program = program
    stream = start(client)
    assert read(stream) == (b"abcd", b"e")
    assert stream.status.exit_code == 0


def test_large_frames_are_read(client: ClusterClient, fake_api: FakeApi) -> None:
    """A frame larger than the buffer, and one of each length form."""
    fake_api.program = programs.says(b"x" * 3_000_000, chunk=1_500_000)
    assert read(start(client))[0] == b"x" * 3_000_000


def test_a_program_that_did_not_start_has_no_exit_code(client: ClusterClient, fake_api: FakeApi) -> None:
    """The runtime's text is kept; it is no success and no cut."""
    fake_api.program = programs.refuses('exec: "nope": executable file not found in $PATH')
    stream = start(client, "nope")
    read(stream)
    assert stream.status == ExecStatus(None, 'exec: "nope": executable file not found in $PATH')


def test_a_stream_without_a_status_is_cut(client: ClusterClient, fake_api: FakeApi) -> None:
    """The server closes in good order, but never says how the program ended."""
    fake_api.program = programs.no_status(b"half")
    stream = start(client)
    assert read(stream) == (b"half", b"")
    assert stream.status.is_cut
    assert stream.status.exit_code is None


def test_a_stream_that_is_not_read_to_its_end_is_cut(client: ClusterClient, fake_api: FakeApi) -> None:
    """Leaving the loop early is no success."""
    fake_api.program = programs.says(b"a", b"b")
    stream = start(client)
    next(iter(stream))
    assert stream.status.is_cut


OUTPUT, COMPLAINT = b"some output\n" * 3, "é".encode()


def _whole_stream() -> bytes:
    frames = [encode_frame(bytes((channel,))) for channel in (STDOUT, STDERR, ERROR)]
    frames += [encode_frame(bytes((STDOUT,)) + OUTPUT), encode_frame(bytes((STDERR,)) + COMPLAINT)]
    frames += [encode_frame(bytes((ERROR,)) + b'{"metadata":{},"status":"Success"}')]
    return b"".join(frames)


@given(
    cut=st.integers(0, len(_whole_stream())),
    pieces=st.lists(st.integers(1, 40), max_size=8),
    is_reset=st.booleans(),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_stream_that_is_cut_at_any_byte_is_never_a_success(
    cut: int, pieces: list[int], is_reset: bool
) -> None:
    """Wherever the connection breaks, and however the bytes were cut into packets."""
    whole = _whole_stream()
    near, far = socket.socketpair()
    with far:
        _send_in_pieces(far, whole[:cut], pieces)
        far.close()
        stream = ExecStream(Wire(near), V5, Deadline.after(5))
        out, err = read(stream)
    if cut == len(whole):
        assert (out, err, stream.status) == (OUTPUT, COMPLAINT, ExecStatus(0))
    else:
        assert stream.status.is_cut
        assert stream.status.exit_code is None
        assert OUTPUT.startswith(out)
        assert COMPLAINT.startswith(err)


def _send_in_pieces(sock: socket.socket, data: bytes, pieces: list[int]) -> None:
    for size in pieces:
        sock.sendall(data[:size])
        data = data[size:]
    sock.sendall(data)


@pytest.mark.parametrize("cut", [0, 1, 40, 60])
def test_a_server_that_breaks_off_is_a_cut(client: ClusterClient, fake_api: FakeApi, cut: int) -> None:
    """The same over TLS."""
    fake_api.exec_cut_after = cut
    fake_api.program = programs.says(OUTPUT, COMPLAINT)
    stream = start(client)
    read(stream)
    assert stream.status.is_cut


@given(data=st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_raise_nothing(data: bytes) -> None:
    """A server that speaks no websocket is a cut stream, not a crash."""
    near, far = socket.socketpair()
    far.sendall(data)
    far.close()
    stream = ExecStream(Wire(near), V5, Deadline.after(5))
    read(stream)
    assert stream.status.exit_code in (None, 0)


@pytest.mark.parametrize(
    ("fault", "message", "status"),
    [
        (
            faults.answer(404, "NotFound", 'pods "web" not found'),
            'Error from server (NotFound): pods "web" not found',
            404,
        ),
        (
            faults.answer(400, "BadRequest", "container x is not valid for pod web"),
            "Error from server (BadRequest): container x is not valid for pod web",
            400,
        ),
        (
            faults.answer(500, "InternalError", "error dialing backend: no route to host"),
            "Error from server (InternalError): error dialing backend: no route to host",
            500,
        ),
    ],
)
def test_a_refused_handshake_says_why(
    client: ClusterClient, fake_api: FakeApi, fault: faults.Fault, message: str, status: int
) -> None:
    """The Status in the refusal's body is what the user sees."""
    fake_api.faults.add(fault, method="EXEC")
    with pytest.raises(ClusterError) as caught:
        start(client)
    assert (caught.value.message, caught.value.status) == (message, status)


def test_a_refusal_in_chunks_is_read(client: ClusterClient, fake_api: FakeApi) -> None:
    """Go sends long answers chunked, without their length."""

    def chunked(exchange: Exchange, _: object) -> None:
        exchange.send_response(403)
        exchange.send_header("Transfer-Encoding", "chunked")
        exchange.end_headers()
        exchange.chunk(b'{"kind":"Status","reason":"Forbidden",')
        exchange.chunk(b'"message":"%s"}' % (b"no " * 2000))
        exchange.end_chunks()

    fake_api.faults.add(chunked, method="EXEC")
    with pytest.raises(ClusterError, match=r"\(Forbidden\): no no no") as caught:
        start(client)
    assert caught.value.status == 403


def test_exec_forbidden_names_the_subresource(client: ClusterClient, fake_api: FakeApi) -> None:
    """RBAC without pods/exec: the API server's text comes through."""
    fake_api.deny("create", "pods/exec")
    with pytest.raises(ClusterError, match='cannot create resource "pods/exec"'):
        start(client)


def test_a_refused_login_is_renewed_once(client: ClusterClient, fake_api: FakeApi) -> None:
    """401 on the handshake: credentials are loaded again and the handshake repeated; a second 401 stands."""
    unauthorized = faults.answer(401, "Unauthorized", "Unauthorized")
    fake_api.faults.add(unauthorized, method="EXEC")
    read(start(client))
    assert len(fake_api.requests) == 2
    fake_api.faults.add(unauthorized, method="EXEC", times=2)
    with pytest.raises(ClusterError, match="You must be logged in to the server"):
        start(client)


@pytest.mark.parametrize("fault", [faults.reset(), faults.hang_up()])
def test_a_handshake_that_is_lost_is_an_error(
    client: ClusterClient, fake_api: FakeApi, fault: faults.Fault
) -> None:
    """And is not repeated: the program may have been started."""
    fake_api.faults.add(fault, method="EXEC")
    with pytest.raises(ClusterError, match="the connection was lost"):
        start(client)
    assert len(fake_api.requests) == 1


def test_an_answer_that_is_no_websocket_is_an_error(client: ClusterClient, fake_api: FakeApi) -> None:
    """A proxy that answers 200 does not let websockets through."""
    fake_api.faults.add(faults.answer_raw(200, b"hello"), method="EXEC")
    with pytest.raises(ClusterError):
        start(client)


def test_a_silent_handshake_ends_with_the_deadline(kubeconfig: Path, fake_api: FakeApi) -> None:
    """The API server waits for a kubelet that does not answer."""
    fake_api.faults.add(faults.stall(), method="EXEC")
    client = connect(ConnectionOptions(kubeconfig=str(kubeconfig)), Deadline.after(1))
    with pytest.raises(DeadlineError, match="open the exec stream"):
        start(client)


def _silent(call: ExecCall) -> None:
    call.write(STDOUT, b"first")
    time.sleep(10)


def test_a_silent_program_ends_with_the_deadline(kubeconfig: Path, fake_api: FakeApi) -> None:
    """What came before is handed out; then the deadline is raised, and the status is no success."""
    fake_api.program = _silent
    client = connect(ConnectionOptions(kubeconfig=str(kubeconfig)), Deadline.after(1))
    stream = start(client)
    output = iter(stream)
    assert next(output) == (1, b"first")
    began = time.monotonic()
    with pytest.raises(DeadlineError, match="the output of the remote command"):
        next(output)
    assert time.monotonic() - began < 2
    assert stream.status.is_cut


def test_a_cancelled_stream_stops(client: ClusterClient, fake_api: FakeApi) -> None:
    """Another thread ends the wait."""
    fake_api.program = _silent
    stream = start(client)
    threading.Timer(0.2, client.deadline.cancel).start()
    with pytest.raises(CancelledError):
        read(stream)


def test_a_closed_stream_stops(client: ClusterClient, fake_api: FakeApi) -> None:
    """close() from another thread ends the reader's wait; the stream is cut."""
    fake_api.program = _silent
    stream = start(client)
    threading.Timer(0.2, stream.close).start()
    began = time.monotonic()
    assert read(stream)[0] == b"first"
    assert stream.status.is_cut
    assert time.monotonic() - began < 2


def test_writing_to_a_stream_that_is_over_is_an_error(client: ClusterClient, fake_api: FakeApi) -> None:
    """Not a foreign exception, and not silence."""
    stream = start(client, stdin=True)
    read(stream)
    with pytest.raises(ClusterError):
        stream.write_stdin(b"x")


def test_a_program_that_does_not_read_holds_the_writer_until_the_deadline() -> None:
    """stdin that nobody takes: the deadline is raised in the writer."""
    near, _far = socket.socketpair()
    stream = ExecStream(Wire(near), V5, Deadline.after(1))
    with pytest.raises(DeadlineError, match="take its input"):
        stream.write_stdin(b"x" * 10_000_000)
    stream.close()


def test_the_reader_goes_on_while_a_writer_waits() -> None:
    """A ping that is due must not wait behind input that the server does not take: both would stand still."""
    stream, far = _pair(Heartbeat(every_s=0.1))
    threading.Thread(target=_write_and_stop, args=(stream,), daemon=True).start()
    time.sleep(0.5)
    threading.Timer(0.5, far.sendall, (_whole_stream(),)).start()
    threading.Timer(0.7, far.shutdown, (socket.SHUT_WR,)).start()
    assert read(stream)[0] == OUTPUT
    assert stream.status.exit_code == 0


def _write_and_stop(stream: ExecStream) -> None:
    with contextlib.suppress(ClusterError):
        stream.write_stdin(b"x" * 10_000_000)


def _pair(heartbeat: Heartbeat) -> tuple[ExecStream, socket.socket]:
    near, far = socket.socketpair()
    return ExecStream(Wire(near), V5, Deadline.after(10), heartbeat), far


def test_a_quiet_connection_is_kept_alive(client: ClusterClient) -> None:
    """Pings go out while the program is silent."""
    stream, far = _pair(Heartbeat(every_s=0.2, give_up_s=5))
    threading.Thread(target=read, args=(stream,), daemon=True).start()
    far.settimeout(3)
    assert far.recv(1) == b"\x89"
    stream.close()


def test_a_dead_server_is_noticed() -> None:
    """No pong for as long as one may take: the stream is cut, long before the deadline."""
    stream, _far = _pair(Heartbeat(every_s=0.1, give_up_s=0.4))
    began = time.monotonic()
    read(stream)
    assert stream.status.is_cut
    assert "silent" in stream.status.message
    assert time.monotonic() - began < 3


def test_a_server_that_does_not_close_is_left() -> None:
    """Once the Status is here nothing more is due; its exit code counts."""
    stream, far = _pair(Heartbeat(linger_s=0.2))
    far.sendall(_whole_stream())
    assert read(stream)[0] == OUTPUT
    assert stream.status.exit_code == 0


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"metadata":{},"status":"Success"}', ExecStatus(0)),
        (b'{"status":"Success"}', ExecStatus(0)),
        (
            b'{"status":"Failure","message":"m","reason":"NonZeroExitCode",'
            b'"details":{"causes":[{"reason":"ExitCode","message":"137"}]}}',
            ExecStatus(137, "m"),
        ),
        (
            b'{"status":"Failure","message":"m","reason":"NonZeroExitCode","details":{}}',
            ExecStatus(None, "m"),
        ),
        (b'{"status":"Failure","message":"m","reason":"NonZeroExitCode"}', ExecStatus(None, "m")),
        (
            b'{"status":"Failure","message":"m","reason":"InternalError","details":{"causes":null}}',
            ExecStatus(None, "m"),
        ),
        (b'{"status":"Failure","message":"runtime text"}', ExecStatus(None, "runtime text")),
        (b'{"status":"Fail', None),
        (b"{}", None),
        (b"", None),
        (b"command terminated", None),
    ],
)
def test_the_status_frame(data: bytes, expected: ExecStatus | None) -> None:
    """Each form that servers send; what is not whole is no Status."""
    assert parse_exec_status(data) == expected


def test_closing_twice_is_fine() -> None:
    """A context manager around a loop that closes."""
    stream, _far = _pair(Heartbeat())
    with stream:
        stream.close()
    assert stream.status.is_cut


def test_output_flows_at_wire_speed(client: ClusterClient, fake_api: FakeApi) -> None:
    """64 MB take seconds at most, though the server of this test is Python too."""
    fake_api.program = programs.says(bytes(64 << 20))
    began = time.monotonic()
    assert sum(len(data) for _, data in start(client)) == 64 << 20
    assert time.monotonic() - began < 10

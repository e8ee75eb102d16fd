"""The small pure parts: deadlines, proxies, headers, frames, retries, errors."""

from __future__ import annotations

import math
import socket
import ssl
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from netinspect.cluster.deadline import CancelledError, Deadline
from netinspect.cluster.errors import ConnectionLost, RequestRefused, refusal, translate, translated
from netinspect.cluster.frames import BINARY, Frame, FrameBuffer, FrameError
from netinspect.cluster.headers import build_headers
from netinspect.cluster.kubeconfig import Impersonation
from netinspect.cluster.proxies import is_bypassed, proxy_credentials, resolve_proxy
from netinspect.cluster.retry import MAX_ATTEMPTS, retry_pause_s
from netinspect.cluster.sockets import open_tcp
from netinspect.errors import ClusterError, DeadlineError, Interrupted
from tests.fake.websocket import encode_frame


def test_a_deadline_names_what_was_waited_for() -> None:
    """After its time, check raises; before, it does not."""
    Deadline.after(5).check("anything")
    with pytest.raises(DeadlineError, match="timed out after 0s while waiting for the moon"):
        Deadline.after(0).check("the moon")


def test_no_deadline_has_no_end() -> None:
    """None means no limit; a poll is still a slice."""
    assert Deadline.after(None).remaining_s() == math.inf
    assert Deadline.after(None).slice_s() == 0.5


def test_a_sooner_deadline_shares_the_flag() -> None:
    """Cancelling the command's deadline ends the request's; a later one changes nothing."""
    deadline = Deadline.after(10)
    sooner = deadline.sooner(5)
    assert 4 < sooner.remaining_s() <= 5
    assert deadline.sooner(60) is deadline
    assert deadline.sooner(None) is deadline
    deadline.cancel()
    with pytest.raises(CancelledError, match="stopped while waiting for x"):
        sooner.check("x")


def test_a_sleep_ends_when_cancelled() -> None:
    """And when time is up."""
    deadline = Deadline.after(30)
    threading.Timer(0.1, deadline.cancel).start()
    start = time.monotonic()
    with pytest.raises(CancelledError):
        deadline.sleep(20, "x")
    assert time.monotonic() - start < 1
    with pytest.raises(DeadlineError):
        Deadline.after(0.05).sleep(20, "x")


@pytest.mark.parametrize(
    ("server", "no_proxy", "expected"),
    [
        ("https://k.example.com:6443", "", False),
        ("https://k.example.com:6443", "*", True),
        ("https://k.example.com:6443", "example.com", True),
        ("https://k.example.com:6443", ".example.com", True),
        ("https://k.example.com:6443", "*.example.com", True),
        ("https://example.com:6443", ".example.com", False),
        ("https://badexample.com", "example.com", False),
        ("https://k.example.com:6443", "k.example.com:6443", True),
        ("https://k.example.com:6443", "k.example.com:443", False),
        ("https://k.example.com", "k.example.com:443", True),
        ("https://10.1.2.3:6443", "10.0.0.0/8", True),
        ("https://10.1.2.3:6443", "11.0.0.0/8, 10.1.2.3", True),
        ("https://[fd00::1]:6443", "fd00::/8", True),
        ("https://[fd00::1]:6443", "[fd00::1]:6443", True),
        ("https://k.example.com", "10.0.0.0/8", False),
    ],
)
def test_no_proxy(server: str, no_proxy: str, expected: bool) -> None:
    """The forms that Go knows."""
    assert is_bypassed(urlsplit(server), no_proxy) is expected


def test_which_proxy() -> None:
    """proxy-url wins over everything; the environment's upper case over its lower; loopback needs none."""
    environ = {
        "HTTPS_PROXY": "p:1",
        "https_proxy": "http://q:2",
        "HTTP_PROXY": "http://r:3",
        "NO_PROXY": "x.org",
    }
    assert resolve_proxy("https://h", "", environ) == "http://p:1"
    assert resolve_proxy("https://x.org", "", environ) == ""
    assert resolve_proxy("https://x.org", "socks5://s:4", environ) == "socks5://s:4"
    assert resolve_proxy("https://127.0.0.1:6443", "", environ) == ""
    assert resolve_proxy("http://h", "", environ) == "http://r:3"
    assert resolve_proxy("https://h", "", {}) == ""


def test_a_proxys_password() -> None:
    """Percent-encoded in the URL, plain in the header."""
    assert proxy_credentials("http://user:p%40ss@proxy:3128") == "user:p@ss"
    assert proxy_credentials("http://proxy:3128") == ""


def test_headers_of_impersonation() -> None:
    """One header a group and a value; an extra key is escaped byte by byte."""
    who = Impersonation("u", "1", ("g", "h"), (("a/b c%é", ("v", "w")),))
    assert build_headers(who, "Bearer t")[1:] == [
        ("Impersonate-User", "u"),
        ("Impersonate-Uid", "1"),
        ("Impersonate-Group", "g"),
        ("Impersonate-Group", "h"),
        ("Impersonate-Extra-a%2Fb%20c%25%C3%A9", "v"),
        ("Impersonate-Extra-a%2Fb%20c%25%C3%A9", "w"),
        ("Authorization", "Bearer t"),
    ]


def test_a_header_cannot_be_smuggled_in() -> None:
    """A line break in a user name is refused: websocket-client would send it."""
    with pytest.raises(ClusterError, match="Impersonate-User holds a control character"):
        build_headers(Impersonation("a\r\nX-Other: b"), "")


@given(payloads=st.lists(st.binary(max_size=70_000), max_size=5), size=st.integers(1, 100_000))
def test_frames_survive_any_packet_size(payloads: list[bytes], size: int) -> None:
    """However the bytes arrive, the frames are the same."""
    data = b"".join(encode_frame(payload) for payload in payloads)
    buffer, frames = FrameBuffer(), []
    while data:
        space = buffer.space()
        count = min(len(space), len(data), size)
        space[:count], data = data[:count], data[count:]
        buffer.received(count)
        while (frame := buffer.take()) is not None:
            frames.append(frame)
    assert frames == [Frame(BINARY, True, payload) for payload in payloads]


@pytest.mark.parametrize(
    "data",
    [b"\xc2\x01a", b"\x82\x81aaaaa", b"\x82\x7f\x7f\x00\x00\x00\x00\x00\x00\x00"],
    ids=["reserved bit", "masked", "huge"],
)
def test_what_is_no_servers_frame(data: bytes) -> None:
    """An unknown extension, a masked frame, and one that would fill the memory."""
    buffer = FrameBuffer()
    buffer.space()[: len(data)] = data
    buffer.received(len(data))
    with pytest.raises(FrameError):
        buffer.take()


def _refused(status: int, retry_after_s: float | None) -> RequestRefused:
    return RequestRefused("m", status=status, reason="", retry_after_s=retry_after_s)


@pytest.mark.parametrize(
    ("error", "method", "attempt", "remaining_s", "is_repeated"),
    [
        (ConnectionLost("m"), "GET", 0, 10, True),
        (ConnectionLost("m"), "DELETE", 0, 10, True),
        (ConnectionLost("m"), "POST", 0, 10, False),
        (ConnectionLost("m"), "PATCH", 0, 10, False),
        (ConnectionLost("m"), "GET", MAX_ATTEMPTS - 1, 10, False),
        (ConnectionLost("m"), "GET", 0, 0, False),
        (_refused(429, 1), "GET", 0, 10, True),
        (_refused(429, 1), "GET", 0, 0.5, False),
        (_refused(429, None), "GET", 0, 10, False),
        (_refused(503, 1), "DELETE", 0, 10, True),
        (_refused(500, 1), "GET", 0, 10, False),
        (_refused(429, 1), "POST", 0, 10, False),
    ],
)
def test_what_is_repeated(
    error: ClusterError, method: str, attempt: int, remaining_s: float, is_repeated: bool
) -> None:
    """Idempotent requests, a bounded number of times, within the deadline."""
    assert (retry_pause_s(error, method, attempt, remaining_s) is not None) is is_repeated


FOREIGN = [
    ConnectionResetError(104, "reset"),
    BrokenPipeError(32, "pipe"),
    TimeoutError("read"),
    TimeoutError(110, "Connection timed out"),
    socket.gaierror(-2, "Name or service not known"),
    socket.gaierror(-3, "Temporary failure"),
    ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
    ssl.SSLEOFError(8, "EOF"),
    OSError(113, "No route to host"),
    OSError("no number"),
    ValueError("x"),
    UnicodeError("x"),
    urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset")),
    urllib3.exceptions.SSLError(ssl.SSLError(1, "x")),
    urllib3.exceptions.ProxyError("Unable to connect to proxy", OSError(111, "refused")),
    urllib3.exceptions.LocationParseError("x"),
    urllib3.exceptions.MaxRetryError(None, "/", ConnectionRefusedError(111, "refused")),  # type: ignore[arg-type]
    RuntimeError(),
]


@pytest.mark.parametrize("error", FOREIGN, ids=repr)
def test_no_foreign_exception_leaves_the_door(error: Exception) -> None:
    """Whatever a library raises becomes a ClusterError with a message of one line, its cause kept."""
    with pytest.raises(ClusterError) as caught, translated("https://h:6443", "an answer"):
        raise error
    assert caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), Interrupted(15)])
def test_orders_to_stop_pass(error: BaseException) -> None:
    """Ctrl-C and signals are no errors of the cluster."""
    with pytest.raises(type(error)), translated("https://h", "x"):
        raise error


def test_an_error_that_is_being_handled_is_not_mistaken_for_the_cause() -> None:
    """Cleaning up after one error, another happens: the message is that of the other."""
    try:
        raise ClusterError("the first")
    except ClusterError:
        with pytest.raises(ClusterError, match="was refused"), translated("https://h:1", "x"):
            raise ConnectionRefusedError(111, "refused") from None


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ConnectionRefusedError(111, "r"),
            "The connection to the server h:6443 was refused - did you specify the right host or port?",
        ),
        (
            socket.gaierror(socket.EAI_NONAME, "n"),
            "Unable to connect to the server: dial tcp: lookup h: no such host",
        ),
        (
            OSError(113, "No route to host"),
            "Unable to connect to the server: dial tcp h:6443: no route to host",
        ),
        (TimeoutError("x"), "Unable to connect to the server: timed out while waiting for x"),
    ],
)
def test_kubectls_words(error: Exception, message: str) -> None:
    """The errors that users know."""
    assert translate(error, "https://h:6443", "x").message == message


@given(status=st.integers(300, 599), body=st.binary(max_size=300))
def test_any_refusal_can_be_shown(status: int, body: bytes) -> None:
    """Whatever the body: an error with the status and something to read."""
    error = refusal(status, body)
    assert error.status == status
    assert error.message.startswith(("Error from server", "error: "))


def test_a_dead_address_leaves_time_for_the_next() -> None:
    """localhost may be ::1 and 127.0.0.1; only one listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = open_tcp("localhost", server.getsockname()[1], 5)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        sock.close()


def test_a_connection_that_does_not_come_about_ends() -> None:
    """A full backlog (no answer to SYN) ends after the given time."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        start = time.monotonic()
        with pytest.raises(ClusterError, match="i/o timeout"), translated(f"https://127.0.0.1:{port}", "x"):
            open_tcp("127.0.0.1", port, 0.7)
        assert time.monotonic() - start < 3
        for filler in fillers:
            filler.close()


def test_importing_the_door_is_cheap() -> None:
    """`--help` pays for none of the libraries."""
    program = (
        "import sys, netinspect.cluster.client, netinspect.cluster.exec, netinspect.cluster.options\n"
        "heavy = ('kubernetes', 'urllib3', 'websocket', 'requests', 'pydantic', 'yaml', 'asyncio')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_listing_loads_no_models() -> None:
    """One request costs the client's core, not its 700 model classes (kubernetes 37 loads them when touched)."""
    program = (
        "import sys\n"
        "from netinspect.cluster.library import load_library\n"
        "load_library()\n"
        "print(sum(name.startswith('kubernetes.client.models.') for name in sys.modules))\n"
        "print(load_library().version)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    count, version = done.stdout.split()
    if int(version.partition(".")[0]) < 37:
        pytest.skip(f"kubernetes {version} imports its models with its package")
    assert int(count) == 0

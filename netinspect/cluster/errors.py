"""From what the libraries and the API server say to `ClusterError` in kubectl's wording. Nothing foreign leaves here.

Sources: kubectl pkg/cmd/util/helpers.go (`StandardErrorMessage`, `checkErr`), apimachinery pkg/api/errors
(`NewGenericServerResponse`).
"""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import msgspec

from netinspect.cluster.sockets import ConnectTimeout
from netinspect.errors import ClusterError, DeadlineError, NetinspectError
from netinspect.models.kubernetes import Status

_GENERIC = {
    400: ("BadRequest", "the server rejected our request for an unknown reason"),
    401: ("Unauthorized", "the server has asked for the client to provide credentials"),
    403: ("Forbidden", "the request was forbidden"),
    404: ("NotFound", "the server could not find the requested resource"),
    405: ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
    409: ("Conflict", "the server reported a conflict"),
    410: ("Expired", "the requested version is gone"),
    413: ("RequestEntityTooLarge", "Request entity too large"),
    429: (
        "TooManyRequests",
        "the server has received too many requests and has asked us to try again later",
    ),
    500: ("InternalError", "an error on the server has prevented the request from succeeding"),
    502: ("", "a proxy before the server could not reach it (bad gateway)"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: (
        "Timeout",
        "the server was unable to return a response in the time allotted, "
        "but may still be processing the request",
    ),
}

_MAX_QUOTED = 200


class RequestRefused(ClusterError):  # noqa: N818 - says what happened to the request
    """The API server answered with an error status.

    Attributes:
        retry_after_s: the Retry-After header; None where there was none.
    """

    def __init__(self, message: str, *, status: int, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(message, status=status, reason=reason)
        self.retry_after_s = retry_after_s


class ConnectionLost(ClusterError):  # noqa: N818 - says what happened to the request
    """The connection was reset or closed before the answer was whole: the request may be sent
    again if that changes nothing."""


class SilentServer(DeadlineError):  # noqa: N818 - says what happened to the request
    """The server sent nothing for as long as one read may take; the command's own deadline is not over."""


def refusal(http_status: int, body: bytes, headers: Mapping[str, str] | None = None) -> RequestRefused:
    """Turn an answer with an error status into the error to raise."""
    status = parse_status(body) or _generic_status(http_status, body)
    return RequestRefused(
        status_message(status),
        status=http_status,
        reason=status.reason,
        retry_after_s=_retry_after_s(headers or {}),
    )


def parse_status(body: bytes) -> Status | None:
    """Read a Status object; None where the body is none (a proxy's page)."""
    try:
        status = msgspec.json.decode(body, type=Status)
    except msgspec.DecodeError:
        return None
    return status if status.message or status.reason else None


def status_message(status: Status) -> str:
    """Word a Status as kubectl does."""
    if status.reason == "Unauthorized":
        return f"error: You must be logged in to the server ({status.message})"
    if status.reason == "Invalid" and status.details:
        return _invalid_message(status)
    prefix = f"Error from server ({status.reason})" if status.reason else "Error from server"
    return f"{prefix}: {status.message}"


def _generic_status(http_status: int, body: bytes) -> Status:
    reason, message = _GENERIC.get(http_status, ("", f"an unexpected answer (HTTP status {http_status})"))
    quoted = " ".join(body[: 4 * _MAX_QUOTED].decode("utf-8", "replace").split())[:_MAX_QUOTED]
    is_text = quoted and not quoted.startswith("<")
    return Status(message=f"{message}: {quoted}" if is_text else message, reason=reason, code=http_status)


def _invalid_message(status: Status) -> str:
    details = status.details or {}
    head = f'The {details.get("kind", "")} "{details.get("name", "")}" is invalid'
    causes = [
        f"{cause.get('field', '')}: {cause.get('message', '')}" for cause in details.get("causes") or ()
    ]
    if not causes:
        return head
    if len(causes) == 1:
        return f"{head}: {causes[0]}"
    return f"{head}: \n" + "\n".join(f"* {cause}" for cause in causes)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After in seconds; its other form, a date, is not used by API servers."""
    value = headers.get("Retry-After") or headers.get("retry-after") or ""
    return float(value) if value.isdigit() else None


@contextmanager
def translated(server: str, what: str) -> Iterator[None]:
    """Let nothing but our own errors, and what is no `Exception` at all, out of the block."""
    try:
        yield
    except NetinspectError:
        raise
    except Exception as error:
        raise translate(error, server, what) from error


def translate(error: Exception, server: str, what: str) -> ClusterError:
    """Word whatever a library raised while it talked to `server` about `what`."""
    chain = list(_causes(error))
    ours = next((each for each in chain if isinstance(each, NetinspectError)), None)
    if isinstance(ours, ClusterError):
        return ours
    for cause in chain:
        known = _translate_known(cause, server, what)
        if known is not None:
            return known
    return ClusterError(f"Unable to connect to the server: {_shown(error)}")


def _translate_known(cause: BaseException, server: str, what: str) -> ClusterError | None:
    if isinstance(cause, ConnectionRefusedError):
        host = _authority(server)
        return ClusterError(
            f"The connection to the server {host} was refused - did you specify the right host or port?"
        )
    if isinstance(cause, socket.gaierror):
        host = urlsplit(server).hostname or server
        return ClusterError(f"Unable to connect to the server: dial tcp: lookup {host}: {_dns_text(cause)}")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ClusterError(f"Unable to connect to the server: {_certificate_text(cause)}", _CERTIFICATE_HINT)
    if isinstance(cause, ConnectTimeout):
        return DeadlineError(f"Unable to connect to the server: dial tcp {_authority(server)}: i/o timeout")
    if isinstance(cause, TimeoutError) and cause.errno is None:
        return SilentServer(f"Unable to connect to the server: timed out while waiting for {what}")
    if _is_lost(cause):
        return ConnectionLost(f"Unable to connect to the server: the connection was lost ({_shown(cause)})")
    if isinstance(cause, ssl.SSLError):
        return ClusterError(f"Unable to connect to the server: tls: {_tls_text(cause)}")
    if isinstance(cause, OSError) and cause.errno is not None:
        text = (cause.strerror or str(cause)).lower()
        return ClusterError(f"Unable to connect to the server: dial tcp {_authority(server)}: {text}")
    return None


_CERTIFICATE_HINT = (
    "the certificate authority comes from the kubeconfig's cluster entry or --certificate-authority"
)
_LOST = (ConnectionError, http.client.IncompleteRead, http.client.BadStatusLine, ssl.SSLEOFError)
_LOST_NUMBERS = (errno.ETIMEDOUT, errno.EPIPE, errno.ECONNRESET, errno.ECONNABORTED)


_LOST_NAMES = ("IncompleteRead", "ProtocolError", "InvalidChunkLength")


def _is_lost(cause: BaseException) -> bool:
    """Whether a connection that stood was cut. urllib3's own exceptions are known by name: it is not imported here."""
    if isinstance(cause, OSError) and cause.errno in _LOST_NUMBERS:
        return True
    return isinstance(cause, _LOST) or type(cause).__name__ in _LOST_NAMES


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk to the innermost cause and yield from there outwards: the innermost knows best what happened."""
    seen: list[BaseException] = []
    queue: list[BaseException] = [error]
    while queue and len(seen) < 20:
        current = queue.pop(0)
        if current in seen:
            continue
        seen.append(current)
        # Not `__context__`: that may be an error which a caller of ours is handling just now.
        inner = (current.__cause__, getattr(current, "reason", None), *current.args)
        queue += [each for each in inner if isinstance(each, BaseException)]
    return reversed(seen)


def _authority(server: str) -> str:
    url = urlsplit(server)
    host = f"[{url.hostname}]" if url.hostname and ":" in url.hostname else (url.hostname or server)
    return f"{host}:{url.port or (80 if url.scheme == 'http' else 443)}"


def _dns_text(error: socket.gaierror) -> str:
    return "no such host" if error.errno == socket.EAI_NONAME else (error.strerror or str(error)).lower()


def _tls_text(error: ssl.SSLError) -> str:
    reason = getattr(error, "reason", None)  # only the ones that OpenSSL raises have it
    return reason.replace("_", " ").lower() if reason else _shown(error)


def _certificate_text(error: ssl.SSLCertVerificationError) -> str:
    text = error.verify_message or str(error)
    if error.verify_code in (18, 19, 20, 21):  # X509_V_ERR_*: self-signed, or no issuer known
        text = "certificate signed by unknown authority"
    return f"tls: failed to verify certificate: x509: {text}"


def _shown(error: BaseException) -> str:
    return str(error).splitlines()[0][:_MAX_QUOTED] if str(error) else type(error).__name__

"""The lines in which dig says why a question got no answer. Source: BIND 9, bin/dig/dighost.c, and lib/isc/result.c."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from netinspect.models.dns import DnsOutcome

# The socket's errors, in the words of isc_result_totext (lib/isc/result.c; lib/isc/netmgr/uverr2result.c).
_ERRORS = {
    "timed out": DnsOutcome.TIMED_OUT,
    "connection refused": DnsOutcome.CONNECTION_REFUSED,
    "network unreachable": DnsOutcome.UNREACHABLE,
    "host unreachable": DnsOutcome.UNREACHABLE,
    "network down": DnsOutcome.UNREACHABLE,
    "host down": DnsOutcome.UNREACHABLE,
    "address not available": DnsOutcome.UNREACHABLE,
    # EACCES and EPERM: a prohibit route, a broadcast address.
    "permission denied": DnsOutcome.UNREACHABLE,
    # EINVAL: a blackhole route, a link-local address without its link.
    "invalid file": DnsOutcome.UNREACHABLE,
    "end of file": DnsOutcome.CONNECTION_LOST,
    "connection reset": DnsOutcome.CONNECTION_LOST,
}


@dataclass(frozen=True)
class Cause:
    """A line that tells why there is no answer.

    Attributes:
        outcome: what it means.
        text: the line without dig's ";; ".
        rank: the lower, the more it tells: "timed out" follows "ID mismatch" by UDP.
        is_end: it is the line that closes every failure since 9.18; it tells little by itself.
        is_final: some version of dig prints nothing after it.
    """

    outcome: DnsOutcome
    text: str
    rank: int
    is_end: bool = False
    is_final: bool = False


# By UDP dig goes on waiting after a wrong answer ("Warning: ..."), by TCP it ends there ("ERROR: ...").
_KNOWN: tuple[tuple[str, DnsOutcome, bool], ...] = (
    (r"dig: .*", DnsOutcome.NOT_SENT, True),
    (r";; No acceptable nameservers", DnsOutcome.NOT_SENT, True),
    (r";; Warning, ignoring invalid (?:type|class) .*", DnsOutcome.NOT_SENT, False),
    (r";; Warning: ID mismatch: .*", DnsOutcome.ID_MISMATCH, False),
    (r";; ERROR: ID mismatch: .*", DnsOutcome.ID_MISMATCH, True),
    (r";; ;; Question section mismatch: .*", DnsOutcome.QUESTION_MISMATCH, True),
    (r";; reply from unexpected source: .*", DnsOutcome.UNEXPECTED_SOURCE, False),
    (r";; Warning: short \(< header size\) message.*", DnsOutcome.MALFORMED, False),
    (r";; ERROR: short \(< header size\) message.*", DnsOutcome.MALFORMED, True),
    (r";; Got bad packet: .*", DnsOutcome.MALFORMED, True),
    (r";; Warning: Opcode mismatch: .*", DnsOutcome.MALFORMED, False),
)
_COMPILED = tuple((re.compile(pattern, re.DOTALL), outcome, final) for pattern, outcome, final in _KNOWN)
_NETWORK = re.compile(
    r";; (?:communications error(?: to [^ ]+)?: (?P<said>[^:]*)"
    r"|(?:UDP setup with|Connection to) .* failed: (?P<failed>[^:]*)\.)"
)
_END = re.compile(r";; (?:connection timed out; )?no servers could be reached|;; no response from .*")
_NETWORK_RANK = len(_KNOWN)


def read_cause(line: str) -> Cause | None:
    """Return what a line says about a failure; None where it is none of these lines."""
    for rank, (pattern, outcome, is_final) in enumerate(_COMPILED):
        if pattern.fullmatch(line):
            return Cause(outcome, _text(line), rank, is_final=is_final)
    network = _NETWORK.fullmatch(line)
    if network is not None:
        error = (network["said"] or network["failed"] or "").strip()
        return Cause(_ERRORS.get(error, DnsOutcome.FAILED), _text(line), _NETWORK_RANK, is_final=True)
    if _END.fullmatch(line):
        timed_out = line.startswith(";; connection timed out")
        outcome = DnsOutcome.TIMED_OUT if timed_out else DnsOutcome.FAILED
        return Cause(outcome, _text(line), _NETWORK_RANK + 1, is_end=True, is_final=True)
    return None


def find_cause(causes: Sequence[Cause]) -> Cause | None:
    """Return the line that tells most; None where none can be the last, so that there may have been more."""
    if not any(cause.is_final for cause in causes):
        return None
    return min(causes, key=lambda cause: cause.rank)


def _text(line: str) -> str:
    while line.startswith(";; "):
        line = line.removeprefix(";; ")
    return line

"""DNS questions put to one server, what came back, and what many of them say about servers.

Words: RFC 1035 and RFC 9499 (QNAME, rcode, section), and dig's (`status:`, `flags:`). A name here ends with the root's
dot wherever it is fully qualified; nothing here knows a search list (that is `models/resolver.py`).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from netinspect.models.address import Address
from netinspect.models.fact import Fact


class _DnsStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of an answer; what was not there is None, "" or empty, and left out of JSON."""


class DnsProtocol(StrEnum):
    """How a question travels."""

    UDP = "udp"
    TCP = "tcp"


class DnsOutcome(StrEnum):
    """What became of one question. A status counts for `answered` alone; NXDOMAIN and SERVFAIL are answers."""

    ANSWERED = "answered"
    TIMED_OUT = "timed-out"
    """Nothing came: lost, dropped, or a server too slow for the time given."""
    CONNECTION_REFUSED = "connection-refused"
    """UDP: an ICMP port unreachable came back (nothing listens, or a REJECT rule). TCP: a reset did."""
    UNREACHABLE = "unreachable"
    """The kernel had no way to send it (no route, a blackhole or prohibit route), or an ICMP error told so. UDP sockets
    are told of "host unreachable" and "administratively prohibited"; "network unreachable" ends as timed-out."""
    CONNECTION_LOST = "connection-lost"
    """TCP: the server closed or reset the connection before an answer was whole."""
    ID_MISMATCH = "id-mismatch"
    """Something answered with another id: a forger, or a NAT that mixes up flows."""
    QUESTION_MISMATCH = "question-mismatch"
    """Something answered another question than the one asked."""
    UNEXPECTED_SOURCE = "unexpected-source"
    """An answer came from another address than the one asked: a translation was not undone. Told by dig before 9.18
    only; newer ones, as getaddrinfo, do not see such an answer and time out."""
    MALFORMED = "malformed"
    """What came is no DNS message, or a broken one."""
    NOT_SENT = "not-sent"
    """dig did not put this question: the name or the type is none, or the server's address cannot be used."""
    FAILED = "failed"
    """dig gave a cause that is none of these; `cause` has it."""


class DnsRecord(_DnsStruct, frozen=True, kw_only=True):
    """A resource record, as dig prints it.

    Attributes:
        name: its owner, in the escapes of a zone file (RFC 1035, 5.1).
        ttl: in seconds.
        rrclass: `IN`, `CH`, ...
        type: `A`, `AAAA`, `CNAME`, `SRV`, ..., `TYPE65280` for one that dig does not know.
        rdata: the rest of the line, as printed: TXT with its quotes, SRV as "PRIORITY WEIGHT PORT TARGET".
    """

    name: str
    ttl: int
    rrclass: str
    type: str
    rdata: str


class DnsQuestion(_DnsStruct, frozen=True, kw_only=True):
    """The question as the answer repeats it."""

    name: str
    rrclass: str
    type: str


class DnsEdns(_DnsStruct, frozen=True, kw_only=True):
    """The OPT pseudo-record (RFC 6891).

    Attributes:
        version: its version; 0 is the only one there is.
        flags: `do`.
        udp_bytes: the largest UDP message that the sender takes.
        options: each option as printed: "COOKIE: ...", "EDE: 22 (No Reachable Authority)", ...
    """

    version: int
    flags: tuple[str, ...] = ()
    udp_bytes: int
    options: tuple[str, ...] = ()


class DnsAnswer(_DnsStruct, frozen=True, kw_only=True):
    """What one dig process had to say about one question.

    Attributes:
        outcome: what became of the question. It, not the exit code, says whether an answer came.
        exit_code: dig's: 0 with an answer of any status, and in some cases without one; 9 where none came.
        cause: dig's own words for why no answer came; "" where one did.
        opcode: `QUERY`.
        status: the rcode by name: NOERROR, NXDOMAIN, SERVFAIL, REFUSED, NOTIMP, ..., `RESERVED13`, `?N` for those
            without a name; "" where no answer came. A malformed message may have one, and so has the answer to the
            question that dig put in place of one that it could not (`not-sent`, an unknown type).
        id: the message's id.
        flags: of `qr aa tc rd ra ad cd`, those that are set, in that order.
        question: None where the message has none.
        answer: the ANSWER section, in the order received: CNAMEs stand before what they lead to.
        authority: the AUTHORITY section: the SOA of a negative answer.
        additional: the ADDITIONAL section, without OPT.
        edns: the OPT record, None where there is none.
        query_time_us: time from question to answer in microseconds; None where dig printed none.
        is_time_coarse: dig printed whole milliseconds (it was run without -u).
        server: the address that answered.
        port: its port.
        protocol: by what the answer came; None where dig did not say it (before 9.18).
        size_bytes: the message's size.
        was_truncated: the UDP answer was cut, and dig asked again by TCP: times and sections are TCP's.
        warnings: what else dig remarked, without its ";; ", and without what says nothing new: that .local is for
            multicast DNS, and that a server without `ra` offers no recursion.
        remainder: lines that are none of the known ones.
    """

    outcome: DnsOutcome
    exit_code: int
    cause: str = ""
    opcode: str = ""
    status: str = ""
    id: int | None = None
    flags: tuple[str, ...] = ()
    question: DnsQuestion | None = None
    answer: tuple[DnsRecord, ...] = ()
    authority: tuple[DnsRecord, ...] = ()
    additional: tuple[DnsRecord, ...] = ()
    edns: DnsEdns | None = None
    query_time_us: int | None = None
    is_time_coarse: bool = False
    server: Address | None = None
    port: int | None = None
    protocol: DnsProtocol | None = None
    size_bytes: int | None = None
    was_truncated: bool = False
    warnings: tuple[str, ...] = ()
    remainder: tuple[str, ...] = ()

    @property
    def is_nodata(self) -> bool:
        """NOERROR without a record of the type asked for: the name exists, with other types (RFC 2308, 2.2)."""
        is_whole = self.outcome is DnsOutcome.ANSWERED and "tc" not in self.flags
        return is_whole and self.status == "NOERROR" and not self.records

    @property
    def records(self) -> tuple[DnsRecord, ...]:
        """The records of the type that was asked for, without the CNAMEs that lead to them."""
        asked = self.question.type if self.question is not None else "ANY"
        return tuple(each for each in self.answer if asked in (each.type, "ANY"))


class DnsRun(_DnsStruct, frozen=True, kw_only=True):
    """One question of a series, put by `probes/dns.sh`.

    Attributes:
        sequence: its place in the series, from 1.
        start_s: when it was put, in seconds since the node's boot (/proc/uptime, hundredths).
        server: whom it was put to.
        port: at which port.
        protocol: by which protocol.
        type: the record type asked for.
        name: the name asked for, as given to dig; bytes that are no UTF-8 as backslash escapes.
        exit_code: dig's.
        answer: what came; unavailable where dig printed what cannot be read.
    """

    sequence: int
    start_s: float
    server: Address
    port: int
    protocol: DnsProtocol
    type: str
    name: str
    exit_code: int
    answer: Fact[DnsAnswer]


class DnsServerStatistics(_DnsStruct, frozen=True, kw_only=True):
    """What a series says about one server and one protocol. All times in microseconds.

    Attributes:
        server: the server.
        port: its port.
        protocol: by which protocol it was asked.
        sent: questions put to it; those that dig did not send (`not-sent`) stand in `failures` alone.
        answered: questions that an answer of any status came to.
        lost: questions that no answer came to: `sent` less `answered` and `unreadable`.
        unreadable: questions whose outcome could not be read; they count neither as answered nor as lost.
        loss: `lost` / (`sent` - `unreadable`), from 0 to 1; None where nothing could be read.
        statuses: how often each rcode came.
        failures: how often each other outcome came.
        min_us: the fastest answer; None where none came or dig printed no times.
        p50_us: the median, by nearest rank.
        p90_us: the 90th percentile; None below 10 answers.
        p99_us: the 99th percentile; None below 100 answers.
        max_us: the slowest answer.
        is_coarse: some of these times are of whole milliseconds only.
    """

    server: Address
    port: int
    protocol: DnsProtocol
    sent: int
    answered: int
    lost: int
    unreadable: int = 0
    loss: float | None = None
    statuses: dict[str, int] = {}
    failures: dict[DnsOutcome, int] = {}
    min_us: int | None = None
    p50_us: int | None = None
    p90_us: int | None = None
    p99_us: int | None = None
    max_us: int | None = None
    is_coarse: bool = False


class DnsVersion(_DnsStruct, frozen=True, kw_only=True):
    """One of the different answers that servers gave to one question.

    Attributes:
        status: the rcode.
        records: "TYPE RDATA" of the ANSWER section, sorted: TTLs and order are left out, they differ by right.
        servers: who answered so, at least once.
    """

    status: str
    records: tuple[str, ...]
    servers: tuple[Address, ...]


class DnsDisagreement(_DnsStruct, frozen=True, kw_only=True):
    """A question that got more than one answer, from several servers or from one at different times.

    Attributes:
        name: the name asked for.
        type: the type asked for.
        versions: the different answers, the most frequent first; truncated ones are not compared.
        is_between_servers: two servers never gave an answer in common: not merely a change in time. Failures (SERVFAIL
            ...) do not count: they are the server's.
    """

    name: str
    type: str
    versions: tuple[DnsVersion, ...]
    is_between_servers: bool

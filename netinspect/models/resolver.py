"""The stub resolver of a process: what its resolv.conf says, and which questions follow from that for a name.

Words: resolv.conf(5), getaddrinfo(3).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from netinspect.models.address import Address
from netinspect.models.dns import DnsProtocol


class _ResolverStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of a resolver's configuration or plan."""


class Libc(StrEnum):
    """Whose getaddrinfo. The file does not say: it depends on the image (Debian, Red Hat: glibc; Alpine: musl)."""

    GLIBC = "glibc"
    MUSL = "musl"


class ResolvConf(_ResolverStruct, frozen=True, kw_only=True):
    """A resolv.conf, as written; the libc's limits are applied by the plan.

    Attributes:
        nameservers: those that are asked, at most three (MAXNS). Empty: the libc asks 127.0.0.1.
        ignored_nameservers: those behind the third, which nobody asks.
        search: the search list; of several `search` and `domain` lines the last counts.
        musl_search: the same as musl reads it: `domain` may name several, an empty line empties the list, and lines of
            255 bytes or more are skipped whole.
        options: the options as written, in order.
        ndots: the last readable `ndots:N`, None where there is none (1 then).
        timeout_s: the last readable `timeout:N` in seconds, None where there is none (5 then).
        attempts: the last readable `attempts:N`, None where there is none (2 then).
        sortlist: the words of `sortlist` lines.
        remainder: lines, or options, that are not understood, as written.
    """

    nameservers: tuple[Address, ...] = ()
    ignored_nameservers: tuple[Address, ...] = ()
    search: tuple[str, ...] = ()
    musl_search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    ndots: int | None = None
    timeout_s: int | None = None
    attempts: int | None = None
    sortlist: tuple[str, ...] = ()
    remainder: tuple[str, ...] = ()

    def has_option(self, *names: str) -> bool:
        """Whether one of the options is on: the last of `NAME` and `-NAME` counts."""
        states = [option for option in self.options if option.removeprefix("-") in names]
        return bool(states) and not states[-1].startswith("-")


class PlanStep(_ResolverStruct, frozen=True, kw_only=True):
    """A name that the resolver asks for, if nothing before it ended the lookup.

    Attributes:
        name: fully qualified, with the root's dot.
        domain: the element of the search list that made it, as written; "" for the name as it was given.
        types: the record types asked for, in the order sent.
        questions_before: the questions that were put before this step's: its cost.
    """

    name: str
    domain: str = ""
    types: tuple[str, ...]
    questions_before: int


class QueryPlan(_ResolverStruct, frozen=True, kw_only=True):
    """What getaddrinfo(NAME) without a family asks for, in order.

    Attributes:
        libc: whose getaddrinfo.
        name: the name as it was given.
        steps: the names tried; when the lookup ends before the last, `ends_when` says.
        refusal: why nothing is asked at all, in a sentence; "" otherwise.
        ndots: as the libc applies it.
        timeout_s: as the libc applies it: glibc, the wait for one server; musl, the wait for all of one name.
        attempts: as the libc applies it.
        nameservers: the addresses asked: 127.0.0.1 where the file names none.
        is_parallel: every question goes to all name servers at once, and the first answer counts (musl).
        is_rotated: lookups begin with another name server in turn (glibc, `rotate`).
        is_serial: A and AAAA are asked one after the other (glibc, `single-request`, `single-request-reopen`).
        protocol: TCP with `use-vc`, else UDP (a truncated answer is asked for again by TCP).
        name_wait_s: the time for one name if no server answers it. None: no bound of the resolver's own (by TCP glibc
            waits for a connection as long as the kernel tries).
        silence_wait_s: the time until the lookup fails if no server answers at all; None likewise.
        longest_wait_s: the most that the lookup takes: every name answered at the last moment; None likewise.
        ends_when: what ends the lookup before its last step, in sentences.
        notes: what is special about this name and this file with this libc, in sentences.
    """

    libc: Libc
    name: str
    steps: tuple[PlanStep, ...] = ()
    refusal: str = ""
    ndots: int
    timeout_s: int
    attempts: int
    nameservers: tuple[Address, ...]
    is_parallel: bool = False
    is_rotated: bool = False
    is_serial: bool = False
    protocol: DnsProtocol = DnsProtocol.UDP
    name_wait_s: int | None
    silence_wait_s: int | None
    longest_wait_s: int | None
    ends_when: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class LookupEnd(StrEnum):
    """How a lookup ends, by getaddrinfo's result (gai_strerror(3))."""

    FOUND = "found"
    NOT_FOUND = "not-found"
    """EAI_NONAME: no such name, in the DNS that was asked."""
    NO_ADDRESS = "no-address"
    """EAI_NODATA (musl before 1.2.4: EAI_NONAME): the name is there, without an address."""
    TRY_AGAIN = "try-again"
    """EAI_AGAIN: a server failed, or none answered."""
    NOT_ASKED = "not-asked"
    """No question is put for such a name."""
    UNDECIDED = "undecided"
    """A question that the lookup comes to was not put, or its answer could not be read."""


class LookupResult(_ResolverStruct, frozen=True, kw_only=True):
    """What a lookup would have come to, had it got certain answers.

    Attributes:
        end: how it ends.
        name: the name that ended it; "" where none did (nothing was asked).
        addresses: the addresses found, in the order of the answers.
        asked: the names that were really asked for, in order; the last is not always the one that counts.
        questions: how many questions that took, were every one answered by the first server asked.
        reason: why it ended there, in a sentence.
    """

    end: LookupEnd
    name: str = ""
    addresses: tuple[Address, ...] = ()
    asked: tuple[str, ...] = ()
    questions: int = 0
    reason: str = ""

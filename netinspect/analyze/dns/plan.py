"""Which questions getaddrinfo really puts for a name, in glibc and in musl: the names, their order, their waits.

Sources: glibc 2.42, resolv/res_query.c (`__res_context_search`: order, ndots, search list), resolv/res_send.c
(`__res_context_send`, `send_dg`: servers, waits), resolv/nss_dns/dns-host.c (A and AAAA at once; what is no host name)
and resolv/res_init.c (caps); musl 1.2.5, src/network/lookup_name.c (`name_from_dns_search`), res_msend.c (waits, all
servers at once), res_mkquery.c (what can be sent) and resolvconf.c (caps).

/etc/hosts, nscd and systemd-resolved's own rules come before all this and are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from netinspect.analyze.dns.plan_notes import describe_ends, describe_glibc, describe_musl
from netinspect.models.address import Address, parse_address
from netinspect.models.dns import DnsProtocol
from netinspect.models.resolver import Libc, PlanStep, QueryPlan, ResolvConf
from netinspect.parse.inet_aton import parse_inet_aton

MAX_NDOTS = 15
DEFAULT_NDOTS, DEFAULT_TIMEOUT_S, DEFAULT_ATTEMPTS = 1, 5, 2
_LOOPBACK = parse_address("127.0.0.1")
# What a question holds, without the root's dot (RFC 1035, 2.3.4: 255 bytes on the wire, the first length and the root's
# among them), and what musl takes from its caller (lookup_name.c).
_MAX_NAME, _MAX_LABEL = 253, 63
_MUSL_MAX_GIVEN = 254
_HOST_NAME = re.compile(r"(?!-)[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*\.?|\.")


@dataclass(frozen=True)
class Caps:
    """The largest values that a libc takes from resolv.conf; larger ones become these."""

    timeout_s: int
    attempts: int


CAPS = {Libc.GLIBC: Caps(30, 5), Libc.MUSL: Caps(60, 10)}


@dataclass(frozen=True)
class _Candidate:
    name: str
    domain: str = ""


def plan_queries(name: str, conf: ResolvConf, libc: Libc) -> QueryPlan:
    """Return what the resolver asks for, step by step, with its waits and its peculiarities."""
    timeout_s = min(_or_default(conf.timeout_s, DEFAULT_TIMEOUT_S), CAPS[libc].timeout_s)
    attempts = min(_or_default(conf.attempts, DEFAULT_ATTEMPTS), CAPS[libc].attempts)
    ndots = min(_or_default(conf.ndots, DEFAULT_NDOTS), MAX_NDOTS)
    nameservers = conf.nameservers or (_LOOPBACK,)
    refusal = _refusal(name, libc)
    candidates = () if refusal else _CANDIDATES[libc](name, conf, ndots)
    if not refusal and not candidates:
        refusal = f"{name} does not fit into a question: nobody is asked, the name does not exist"
    is_glibc = libc is Libc.GLIBC
    uses_tcp = is_glibc and conf.has_option("use-vc")
    wait_s = None if uses_tcp else _name_wait_s(libc, timeout_s, attempts, len(nameservers))
    plan = QueryPlan(
        libc=libc,
        name=name,
        steps=_steps(candidates, ("A",) if is_glibc and conf.has_option("no-aaaa") else ("A", "AAAA")),
        refusal=refusal,
        ndots=ndots,
        timeout_s=timeout_s,
        attempts=attempts,
        nameservers=nameservers,
        is_parallel=not is_glibc,
        is_rotated=is_glibc and conf.has_option("rotate"),
        is_serial=is_glibc and conf.has_option("single-request", "single-request-reopen"),
        protocol=DnsProtocol.TCP if uses_tcp else DnsProtocol.UDP,
        name_wait_s=wait_s,
        silence_wait_s=_times(wait_s, _silent_names(libc, candidates)),
        longest_wait_s=_times(wait_s, len(candidates)),
    )
    return _with_words(plan, conf)


def _or_default(value: int | None, default: int) -> int:
    return default if value is None else value


def _times(wait_s: int | None, count: int) -> int | None:
    return None if wait_s is None else wait_s * count


def _with_words(plan: QueryPlan, conf: ResolvConf) -> QueryPlan:
    if plan.refusal:
        return plan
    describe = describe_glibc if plan.libc is Libc.GLIBC else describe_musl
    return replace(plan, ends_when=tuple(describe_ends(plan)), notes=tuple(describe(plan, conf)))


def _refusal(name: str, libc: Libc) -> str:
    """Say why such a name is not asked for; "" where it is."""
    if not name:
        return "there is no name to ask for"
    if _is_address(name):
        return f"{name} is an address: getaddrinfo returns it and asks nobody"
    if libc is Libc.GLIBC and (not _HOST_NAME.fullmatch(name) or not _is_sendable(name)):
        return f"{name} is no host name: glibc asks nobody, the name does not exist (res_hnok)"
    if libc is Libc.MUSL and (len(name.encode()) > _MUSL_MAX_GIVEN or name.endswith("..") or name == "."):
        return f"{name} is no host name: musl asks nobody, the name does not exist"
    return ""


def _is_address(name: str) -> bool:
    """Tell whether getaddrinfo takes a name for an address (inet_aton(3), inet_pton(3), a scope after `%`)."""
    if parse_inet_aton(name) is not None:
        return True
    try:
        return isinstance(parse_address(name), Address)
    except ValueError:
        return False


def _glibc_candidates(name: str, conf: ResolvConf, ndots: int) -> tuple[_Candidate, ...]:
    as_is = _Candidate(_rooted(name))
    if name.endswith("."):
        return (as_is,)
    searched = []
    for domain in conf.search:
        full = f"{name}.{domain.removeprefix('.')}"
        if not _is_sendable(full):
            break  # NO_RECOVERY: "anything else implies that we're done"
        searched.append(_Candidate(_rooted(full), domain))
    if name.count(".") >= ndots:
        return (as_is, *searched)
    if as_is.name in (each.name for each in searched) or (
        _keeps_to_list(conf) and "." not in name and searched
    ):
        return tuple(searched)
    return (*searched, as_is)


def _keeps_to_list(conf: ResolvConf) -> bool:
    return conf.has_option("no-tld-query", "no_tld_query")


def _musl_candidates(name: str, conf: ResolvConf, ndots: int) -> tuple[_Candidate, ...]:
    searches = name.count(".") < ndots and not name.endswith(".")
    # The root on the list makes "NAME..", which is no name to musl: the name itself comes last anyway.
    tried = [(f"{name}.{domain}", domain) for domain in (conf.musl_search if searches else ())]
    candidates = [_Candidate(_rooted(full), domain) for full, domain in tried if _is_sendable(full)]
    if _is_sendable(name):
        candidates.append(_Candidate(_rooted(name)))
    return tuple(candidates)


_CANDIDATES = {Libc.GLIBC: _glibc_candidates, Libc.MUSL: _musl_candidates}


def _rooted(name: str) -> str:
    return f"{name.rstrip('.')}."


def _is_sendable(name: str) -> bool:
    """Tell whether a name fits into a question: labels of 1 to 63 bytes, and not too long as a whole."""
    text = name.removesuffix(".").encode()
    labels = text.split(b".") if text else []
    return len(text) <= _MAX_NAME and all(1 <= len(label) <= _MAX_LABEL for label in labels)


def _steps(candidates: Sequence[_Candidate], types: tuple[str, ...]) -> tuple[PlanStep, ...]:
    return tuple(
        PlanStep(name=each.name, domain=each.domain, types=types, questions_before=place * len(types))
        for place, each in enumerate(candidates)
    )


def _name_wait_s(libc: Libc, timeout_s: int, attempts: int, servers: int) -> int:
    """Return how long one name takes if nobody answers.

    musl: the timeout is that of the name, whatever the number of servers and attempts. glibc: each server in turn gets
    `timeout << its place`, from the second on divided by the number of servers, at least a second; all that `attempts`
    times (res_send.c, send_dg).
    """
    if libc is Libc.MUSL:
        return timeout_s
    waits = [max(1, (timeout_s << place) // (servers if place else 1)) for place in range(servers)]
    return attempts * sum(waits)


def _silent_names(libc: Libc, candidates: Sequence[_Candidate]) -> int:
    """Return how many names are tried if nobody answers.

    musl gives up after the first. glibc leaves the search list after its first element, but asks for the name itself,
    too, before or after.
    """
    return min(len(candidates), 1 if libc is Libc.MUSL or _is_whole_search(candidates) else 2)


def _is_whole_search(candidates: Sequence[_Candidate]) -> bool:
    """Whether the name as given is never tried by itself (`no-tld-query`)."""
    return bool(candidates) and all(each.domain.strip(".") for each in candidates)

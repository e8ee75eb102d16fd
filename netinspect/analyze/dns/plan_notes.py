"""A query plan in words: what ends the lookup, and what is special about this name and this resolv.conf.

Sources as in `dns_plan`. Versions: glibc's by its tags, musl's likewise (1.2.4 is Alpine 3.18).
"""

from __future__ import annotations

from collections.abc import Iterator

from netinspect.models.dns import DnsProtocol
from netinspect.models.resolver import Libc, QueryPlan, ResolvConf

_OLD_MAX_SEARCH, _OLD_MAX_SEARCH_BYTES = 6, 256
_IGNORED_BY_MUSL = (
    *("rotate", "single-request", "single-request-reopen", "use-vc", "no-aaaa", "edns0", "trust-ad"),
    *("no-tld-query", "no_tld_query", "strict-error"),
)


def describe_ends(plan: QueryPlan) -> Iterator[str]:
    """Say what leads from one name to the next, and what ends the lookup."""
    if plan.libc is Libc.MUSL:
        yield "NXDOMAIN, and nothing else, leads to the next name"
        yield "NODATA (no record of either type) ends it: the name has no address"
        yield (
            "SERVFAIL, REFUSED or no answer in time ends it: try again; "
            "also if only one of A and AAAA was not answered"
        )
        return
    yield "NXDOMAIN, NODATA (no record of either type) or SERVFAIL leads to the next name"
    yield "no answer in time, REFUSED or NOTIMP ends the search list; the name as given is asked for even then"
    yield "connections refused by all name servers end it, once the search list is begun"
    if len(plan.steps[0].types) == 1:
        return
    if plan.protocol is DnsProtocol.TCP:
        yield "both A and AAAA have to be answered"
        return
    yield (
        f"if A is answered and AAAA is not, it waits {plan.timeout_s} s, asks for both again one after the other, and "
        "at last takes what it has"
    )
    yield "if A is not answered, an answer to AAAA does not count"


def describe_glibc(plan: QueryPlan, conf: ResolvConf) -> Iterator[str]:
    """Say what glibc makes of this name and file that is not plain from the steps."""
    yield from _about_servers(conf)
    if len(plan.nameservers) > 1:
        order = "beginning with another one each time" if plan.is_rotated else "the first one first"
        yield f"the {len(plan.nameservers)} name servers are asked one after the other, {order}"
    if not conf.search and not plan.name.endswith("."):
        yield "there is no search list: where the host name has a domain, glibc searches that"
    yield from _about_long_lists(conf)
    yield from _about_missing(plan, conf)
    yield from _about_caps(plan, conf)
    if conf.has_option("no-aaaa"):
        yield "no-aaaa: AAAA is not asked for; glibc before 2.36 asks"
    if plan.protocol is DnsProtocol.TCP:
        yield "use-vc: TCP only, one attempt a server, which waits for a connection as long as the kernel tries"
    elif plan.is_serial:
        yield "single-request: AAAA is asked for once A is answered"
    if conf.has_option("strict-error"):
        yield "strict-error: from glibc 2.41 on the answer to A or AAAA does not make up for an error of the other"


def describe_musl(plan: QueryPlan, conf: ResolvConf) -> Iterator[str]:
    """Say what musl makes of this name and file, and where glibc does otherwise."""
    yield from _about_servers(conf)
    if len(plan.nameservers) > 1:
        yield (
            f"all {len(plan.nameservers)} name servers are asked at once and the first NOERROR or NXDOMAIN counts: "
            "where they do not know the same names, the result changes by chance"
        )
    if plan.name.count(".") >= plan.ndots and conf.musl_search and not plan.name.endswith("."):
        yield (
            f"the name has {plan.ndots} dots or more (ndots): musl never searches for it, glibc does after asking for "
            "the name itself"
        )
    if conf.musl_search != conf.search:
        yield (
            "musl reads another search list than glibc: it skips lines of 255 bytes or more, and takes all words of "
            "`domain`"
        )
    yield from _about_missing(plan, conf)
    yield from _about_caps(plan, conf)
    ignored = [option for option in conf.options if option.removeprefix("-") in _IGNORED_BY_MUSL]
    if ignored:
        yield f"musl ignores {', '.join(ignored)}"
    if plan.attempts == 0:
        yield "attempts:0: musl divides by it, and the process is killed by SIGFPE"
    yield "musl before 1.2.4 does not ask again by TCP: of a truncated answer it takes what is there"


def _about_servers(conf: ResolvConf) -> Iterator[str]:
    if not conf.nameservers:
        yield "no nameserver is named: 127.0.0.1 is asked"
    if conf.ignored_nameservers:
        named = ", ".join(str(address) for address in conf.ignored_nameservers)
        yield f"only the first three name servers are asked; never {named}"
    for line in conf.remainder:
        if line.startswith("nameserver"):
            yield f"this line names no server to glibc: {line!r}"


def _about_long_lists(conf: ResolvConf) -> Iterator[str]:
    size = sum(len(domain) + 1 for domain in conf.search)
    if len(conf.search) > _OLD_MAX_SEARCH or size > _OLD_MAX_SEARCH_BYTES:
        most = f"{_OLD_MAX_SEARCH} domains and {_OLD_MAX_SEARCH_BYTES} characters"
        yield f"glibc before 2.26 reads {most} of the search list"


def _about_missing(plan: QueryPlan, conf: ResolvConf) -> Iterator[str]:
    """Say which search domains make no name, and which names come twice."""
    is_glibc = plan.libc is Libc.GLIBC
    searched = [step.domain for step in plan.steps if step.domain]
    is_searched = not plan.name.endswith(".") and (is_glibc or plan.name.count(".") < plan.ndots)
    for domain in (conf.search if is_glibc else conf.musl_search) if is_searched else ():
        if domain not in searched and domain.strip("."):
            rest = (
                "and all behind it are passed over"
                if is_glibc
                else "is passed over; musl before 1.2.4 ends there"
            )
            yield f"with {domain} the name is too long, or has an empty part: that {rest}"
            break
    if is_searched and not is_glibc and any(not domain.strip(".") for domain in conf.musl_search):
        yield "the root is on the search list: musl before 1.2.4 ends there, with a question that no server can read"
    names = [step.name for step in plan.steps]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        yield f"asked for more than once: {', '.join(repeated)}"


def _about_caps(plan: QueryPlan, conf: ResolvConf) -> Iterator[str]:
    written = (("ndots", conf.ndots, plan.ndots), ("timeout", conf.timeout_s, plan.timeout_s))
    for name, value, used in (*written, ("attempts", conf.attempts, plan.attempts)):
        if value is not None and value > used:
            yield f"{name}:{value} counts as {name}:{used} in {plan.libc}"

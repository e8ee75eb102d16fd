"""What getaddrinfo makes of certain answers: which names of a plan are really asked for, and how the lookup ends.

Sources: glibc 2.42, resolv/res_query.c (`__res_context_query`, `__res_context_search`), resolv/res_send.c (`send_dg`,
`send_vc`), nss/getaddrinfo.c; musl 1.2.5, src/network/lookup_name.c (`name_from_dns`), res_msend.c.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto

from netinspect.models.address import Address, parse_address
from netinspect.models.dns import DnsAnswer, DnsOutcome, DnsProtocol
from netinspect.models.resolver import Libc, LookupEnd, LookupResult, PlanStep, QueryPlan

Answers = Mapping[tuple[str, str], DnsAnswer]


class _Reply(Enum):
    """What one answer is to a resolver."""

    DATA = auto()
    """NOERROR with records in ANSWER, be they CNAMEs only."""
    NODATA = auto()
    NXDOMAIN = auto()
    SERVFAIL = auto()
    REFUSED = auto()
    """REFUSED or NOTIMP."""
    LAME = auto()
    """NOERROR without anything, from a server that is neither authoritative nor recursive: an error to glibc only."""
    OTHER = auto()
    SILENT = auto()
    """Nothing that belongs to the question came in time."""
    UNREACHED = auto()
    """The socket told of an error: glibc goes on at once, musl does not hear of it."""


class _Turn(Enum):
    """What follows from the answers for one name."""

    FOUND = auto()
    NO_SUCH_NAME = auto()
    NO_RECORD = auto()
    SERVER_FAILED = auto()
    NO_ANSWER = auto()
    NO_RECOVERY = auto()
    UNREACHED = auto()


def follow_plan(plan: QueryPlan, answers: Answers) -> LookupResult:
    """Tell how the lookup ends if its questions get these answers.

    Args:
        plan: of one libc.
        answers: by name (with the root's dot, as in the plan's steps) and type. Of a question whose UDP answer was
            truncated, that is the answer by TCP: resolvers ask again.
    """
    if plan.refusal:
        return LookupResult(end=LookupEnd.NOT_ASKED, name=plan.name, reason=plan.refusal)
    unusable: dict[str, str] = {}
    for name, why in _unusable(plan, answers):
        unusable.setdefault(name, why)
    order = _glibc_order(plan, answers) if plan.libc is Libc.GLIBC else _musl_order(plan, answers)
    asked: list[str] = []
    for step, end, reason in order:
        asked.append(step.name)
        if step.name in unusable:
            return _result(LookupEnd.UNDECIDED, step, asked, answers, unusable[step.name])
        if end is not None:
            return _result(end, step, asked, answers, reason)
    raise AssertionError("a lookup without an end")  # the last step always has one


def _unusable(plan: QueryPlan, answers: Answers) -> Iterator[tuple[str, str]]:
    """Yield the names of the plan whose answers do not tell what a resolver would do, and why."""
    for step in plan.steps:
        for type_ in step.types:
            answer = answers.get((step.name, type_))
            if answer is None:
                yield step.name, f"{step.name} {type_} was not asked for"
            elif answer.outcome in (DnsOutcome.NOT_SENT, DnsOutcome.FAILED):
                yield step.name, f"{step.name} {type_}: {answer.cause}"
            elif "tc" in answer.flags:
                yield step.name, f"{step.name} {type_}: the answer is truncated; resolvers ask again by TCP"


_Order = Iterator[tuple[PlanStep, LookupEnd | None, str]]


def _musl_order(plan: QueryPlan, answers: Answers) -> _Order:
    for step in plan.steps:
        turn = _musl_turn(_replies(step, answers), bool(_addresses(step, answers)))
        if turn is _Turn.FOUND:
            yield step, LookupEnd.FOUND, "it has an address"
        elif turn is _Turn.NO_RECORD:
            yield step, LookupEnd.NO_ADDRESS, "it exists without an address, which is final for musl"
        elif turn is _Turn.NO_ANSWER:
            yield step, LookupEnd.TRY_AGAIN, "a server failed or did not answer, which is final for musl"
        elif step is plan.steps[-1]:
            yield step, LookupEnd.NOT_FOUND, "no name of the plan exists"
        else:
            yield step, None, ""


def _musl_turn(replies: Sequence[_Reply], has_address: bool) -> _Turn:
    """Judge A, then AAAA: the first that is no NOERROR decides (lookup_name.c, name_from_dns)."""
    for reply in replies:
        if reply is _Reply.NXDOMAIN:
            return _Turn.NO_SUCH_NAME
        if reply not in (_Reply.DATA, _Reply.NODATA, _Reply.LAME):
            return _Turn.NO_ANSWER
    return _Turn.FOUND if has_address else _Turn.NO_RECORD


def _glibc_order(plan: QueryPlan, answers: Answers) -> _Order:
    """Yield the names in the order of __res_context_search, the last with how it ends."""
    first, last = plan.steps[0], _as_is(plan)
    turns: list[tuple[PlanStep, _Turn]] = []
    waiting = list(plan.steps)
    while waiting:
        step = waiting.pop(0)
        turn = _glibc_turn(plan, _replies(step, answers))
        turns.append((step, turn))
        if turn is _Turn.FOUND:
            yield step, _found(step, answers), _FOUND_REASONS[bool(_addresses(step, answers))]
            return
        is_search = bool(step.domain)
        if is_search and turn is _Turn.UNREACHED:
            yield step, LookupEnd.TRY_AGAIN, "no name server could be reached"
            return
        if is_search and turn in (_Turn.NO_ANSWER, _Turn.NO_RECOVERY):
            waiting = [last] if last is not None and last not in [each for each, _ in turns] else []
        if waiting:
            yield step, None, ""
    end = _glibc_end(turns, as_is_first=last is not None and first is last)
    yield turns[-1][0], end, _END_REASONS[end]


def _as_is(plan: QueryPlan) -> PlanStep | None:
    """Return the step of the name as it was given; the root on the search list makes the same."""
    return next((step for step in plan.steps if not step.domain.strip(".")), None)


_FOUND_REASONS = {True: "it has an address", False: "it has records, but no address: glibc looks no further"}
_END_REASONS = {
    LookupEnd.NOT_FOUND: "no name of the plan exists",
    LookupEnd.NO_ADDRESS: "a name of the plan exists, without an address",
    LookupEnd.TRY_AGAIN: "a server failed or did not answer",
}
_ENDS = {
    _Turn.NO_SUCH_NAME: LookupEnd.NOT_FOUND,
    _Turn.NO_RECORD: LookupEnd.NO_ADDRESS,
    _Turn.NO_RECOVERY: LookupEnd.NOT_FOUND,
    _Turn.SERVER_FAILED: LookupEnd.TRY_AGAIN,
    _Turn.NO_ANSWER: LookupEnd.TRY_AGAIN,
    _Turn.UNREACHED: LookupEnd.TRY_AGAIN,
}


def _found(step: PlanStep, answers: Answers) -> LookupEnd:
    return LookupEnd.FOUND if _addresses(step, answers) else LookupEnd.NOT_FOUND


def _glibc_end(turns: Sequence[tuple[PlanStep, _Turn]], *, as_is_first: bool) -> LookupEnd:
    """Choose the result among those of all names: the given name's if it was first, else the mildest of the list's."""
    searched = [turn for step, turn in turns if step.domain]
    if as_is_first:
        return _ENDS[turns[0][1]]
    if _Turn.NO_RECORD in searched:
        return LookupEnd.NO_ADDRESS
    if _Turn.SERVER_FAILED in searched:
        return LookupEnd.TRY_AGAIN
    return _ENDS[turns[-1][1]]


def _glibc_turn(plan: QueryPlan, replies: Sequence[_Reply]) -> _Turn:
    """Judge the answers to A and AAAA together."""
    if all(each is _Reply.UNREACHED for each in replies):
        return _Turn.UNREACHED
    if plan.protocol is DnsProtocol.TCP:
        return _tcp_turn(replies)
    if plan.is_serial and replies[0] not in _ACCEPTED:
        # An error or silence goes to the next server, and at last ends it: AAAA is never asked for.
        return _udp_turn(replies[:1])
    return _udp_turn(replies)


def _udp_turn(replies: Sequence[_Reply]) -> _Turn:
    """What is an error yields to what is none, but nothing makes up for a lost answer to A (res_send.c, send_dg).

    With only one of two answers glibc asks again, A alone and AAAA once A is answered; where A stays silent, that is
    the end of it.
    """
    if replies[0] not in (_Reply.SILENT, _Reply.UNREACHED):
        if _Reply.DATA in replies:
            return _Turn.FOUND
        usable = [_USABLE[each] for each in replies if each in _USABLE]
        if usable:
            # A is asked for first; its rcode decides, unless that is NOERROR.
            return next((turn for turn in usable if turn is not _Turn.NO_RECORD), _Turn.NO_RECORD)
    error = next((each for each in replies if each in _ERRORS), None)
    return _Turn.SERVER_FAILED if error is _Reply.SERVFAIL else _Turn.NO_ANSWER


def _tcp_turn(replies: Sequence[_Reply]) -> _Turn:
    """By TCP both have to be answered, nothing is lame, and A's rcode decides (res_send.c, send_vc)."""
    first = replies[0]
    if _Reply.SILENT in replies or _Reply.UNREACHED in replies:
        return _Turn.SERVER_FAILED if first is _Reply.SERVFAIL else _Turn.NO_ANSWER
    if _Reply.DATA in replies:
        return _Turn.FOUND
    if first is _Reply.SERVFAIL:
        return _Turn.SERVER_FAILED
    deciding = next((each for each in replies if each not in (_Reply.NODATA, _Reply.LAME)), _Reply.NODATA)
    return _USABLE.get(deciding, _Turn.NO_ANSWER)


_ERRORS = (_Reply.SERVFAIL, _Reply.REFUSED, _Reply.LAME)
_USABLE = {
    _Reply.NODATA: _Turn.NO_RECORD,
    _Reply.NXDOMAIN: _Turn.NO_SUCH_NAME,
    _Reply.OTHER: _Turn.NO_RECOVERY,
}
_ACCEPTED = (_Reply.DATA, *_USABLE)


def _replies(step: PlanStep, answers: Answers) -> tuple[_Reply, ...]:
    found = (answers.get((step.name, type_)) for type_ in step.types)
    return tuple(_Reply.SILENT if answer is None else _classify(answer) for answer in found)


def _classify(answer: DnsAnswer) -> _Reply:
    if answer.outcome in (DnsOutcome.CONNECTION_REFUSED, DnsOutcome.UNREACHABLE):
        return _Reply.UNREACHED
    if answer.outcome is not DnsOutcome.ANSWERED:
        return _Reply.SILENT
    if answer.status != "NOERROR":
        return _RCODES.get(answer.status, _Reply.OTHER)
    if answer.answer:
        return _Reply.DATA
    is_lame = not answer.additional and not {"aa", "ra"} & set(answer.flags)
    return _Reply.LAME if is_lame else _Reply.NODATA


_RCODES = {
    "NXDOMAIN": _Reply.NXDOMAIN,
    "SERVFAIL": _Reply.SERVFAIL,
    "REFUSED": _Reply.REFUSED,
    "NOTIMP": _Reply.REFUSED,
}


def _addresses(step: PlanStep, answers: Answers) -> tuple[Address, ...]:
    found = [answers.get((step.name, type_)) for type_ in step.types]
    records = (record for answer in found if answer is not None for record in answer.records)
    return tuple(parse_address(record.rdata) for record in records if record.type in ("A", "AAAA"))


def _result(
    end: LookupEnd, step: PlanStep, asked: Sequence[str], answers: Answers, reason: str
) -> LookupResult:
    return LookupResult(
        end=end,
        name=step.name,
        addresses=_addresses(step, answers) if end is LookupEnd.FOUND else (),
        asked=tuple(asked),
        questions=len(asked) * len(step.types),
        reason=reason,
    )

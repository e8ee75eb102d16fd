"""The JSON of nft, made for tests: whole outputs around a few objects, and arbitrary ones for hypothesis."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

METAINFO = {"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}
TABLE = {"table": {"family": "ip6", "name": "t", "handle": 1}}
CHAIN = {"chain": {"family": "ip6", "table": "t", "name": "c", "handle": 2}}

Json = Any

# A busy machine is slow to make examples up, which says nothing of what is tested.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def output(*objects: Json) -> str:
    """Return a whole output of nft with these objects behind its metainfo."""
    return json.dumps({"nftables": [METAINFO, *objects]}) + "\n"


def rule(*statements: Json, **more: Json) -> Json:
    """Return a rule of the chain `CHAIN`."""
    return {"rule": {"family": "ip6", "table": "t", "chain": "c", "handle": 3, "expr": [*statements], **more}}


def rules(*statements: Json) -> str:
    """Return a whole output with one rule."""
    return output(TABLE, CHAIN, rule(*statements))


def set_(kind: str = "set", **more: Json) -> Json:
    """Return a set or a map."""
    return {kind: {"family": "ip6", "table": "t", "name": "s", "type": "ipv6_addr", "handle": 4, **more}}


# Words that mean something to nft stand beside ones that do not, so that shapes come near to the real ones.
_WORDS = st.sampled_from(
    (
        "fd00::1",
        "10.0.0.1",
        "tcp",
        "==",
        "in",
        "@set",
        "*",
        "a . b",
        "",
        "eth*",
        "prerouting",
        "kind",
        "é\u2028",
    )
)
_SCALARS = st.one_of(
    _WORDS,
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    _WORDS,
)
_KEYS = st.sampled_from(
    (
        "val",
        "elem",
        "counter",
        "packets",
        "bytes",
        "comment",
        "timeout",
        "set",
        "map",
        "key",
        "data",
        "target",
        "new",
    )
)
ANY_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_KEYS, inner, max_size=2),
    max_leaves=3,
)


def _body(**fields: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Return bodies with all of these keys, and now and then one more or one that is missing."""
    whole = st.fixed_dictionaries(fields)
    return st.one_of(
        whole,
        whole,
        st.builds(lambda body, key, value: {**body, key: value}, whole, _KEYS, ANY_JSON),
        st.builds(lambda body, key: {name: body[name] for name in body if name != key}, whole, _WORDS),
        ANY_JSON,
    )


def _named(name: str, body: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.builds(lambda value: {name: value}, body)


_NUMBERS = st.integers(-1, 2**64)
_FLAGS = st.one_of(
    st.just("random"), st.lists(st.sampled_from(("random", "persistent", "saddr")), max_size=2)
)
_VERDICTS = st.one_of(
    *(_named(name, st.none() | ANY_JSON) for name in ("accept", "drop", "return", "continue", "break")),
    *(_named(name, _body(target=_WORDS)) for name in ("jump", "goto")),
)
_LEAVES = st.one_of(
    ANY_JSON,
    _VERDICTS,
    _named("payload", _body(protocol=_WORDS, field=_WORDS)),
    _named("payload", _body(base=_WORDS, offset=_NUMBERS, len=_NUMBERS)),
    *(_named(name, _body(key=_WORDS)) for name in ("meta", "ct", "rt", "socket")),
    *(_named(name, _body(name=_WORDS, field=_WORDS)) for name in ("exthdr", "tcp option", "ip option")),
    _named("fib", _body(result=_WORDS, flags=_FLAGS)),
    _named("numgen", _body(mode=_WORDS, mod=_NUMBERS, offset=_NUMBERS)),
    _named("symhash", _body(mod=_NUMBERS)),
)


def _elements(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    wrapped = _named("elem", _body(val=inner, comment=_WORDS, timeout=_NUMBERS, counter=ANY_JSON))
    return st.one_of(inner, wrapped, st.tuples(inner | wrapped, inner).map(list))


def _branches(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    several = st.lists(inner, max_size=2)
    sets = _named("set", st.lists(_elements(inner), max_size=3))
    return st.one_of(
        several,
        sets,
        *(_named(name, several) for name in ("concat", "range", "&", "|", "^", "<<", ">>")),
        *(_named(name, _body(key=inner, data=sets | inner)) for name in ("map", "vmap")),
        _named("prefix", _body(addr=inner, len=_NUMBERS)),
        _named("jhash", _body(mod=_NUMBERS, expr=inner)),
    )


EXPRESSIONS = st.recursive(_LEAVES, _branches, max_leaves=5)
ELEMENTS = _elements(EXPRESSIONS)
STATEMENTS = st.one_of(
    _VERDICTS,
    EXPRESSIONS,
    _named("match", _body(op=_WORDS, left=EXPRESSIONS, right=EXPRESSIONS)),
    _named("mangle", _body(key=EXPRESSIONS, value=EXPRESSIONS)),
    *(_named(name, _body(addr=EXPRESSIONS, port=EXPRESSIONS, flags=_FLAGS)) for name in ("dnat", "snat")),
    *(_named(name, st.none() | _body(port=EXPRESSIONS)) for name in ("masquerade", "redirect")),
    _named("set", _body(op=_WORDS, elem=ELEMENTS, set=_WORDS)),
    _named("reject", st.none() | _body(type=_WORDS, expr=EXPRESSIONS)),
    _named("counter", st.none() | _WORDS | _body(packets=_NUMBERS, bytes=_NUMBERS)),
    _named("limit", _WORDS | _body(rate=_NUMBERS, burst=_NUMBERS, per=_WORDS)),
    _named("quota", _WORDS | _body(val=_NUMBERS, val_unit=_WORDS)),
    _named("ct count", _body(val=_NUMBERS, inv=st.booleans())),
    _named("log", st.none() | _body(prefix=_WORDS, flags=_FLAGS)),
    _named("queue", st.none() | _body(num=EXPRESSIONS, flags=_FLAGS)),
    *(_named(name, _WORDS | ANY_JSON) for name in ("notrack", "ct helper", "synproxy", "tproxy")),
    _named("xt", st.none() | _body(type=_WORDS, name=_WORDS)),
)
_PLACE = {"family": st.sampled_from(("ip", "ip6")), "table": st.just("t")}
_MORE = st.dictionaries(
    st.sampled_from(("comment", "flags", "policy", "new", "dev", "type")), _WORDS, max_size=2
)


def _object(name: str, /, **fields: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.builds(lambda body, more: {name: {**more, **body}}, st.fixed_dictionaries(fields), _MORE)


_CHAINS = st.one_of(
    _object("chain", name=_WORDS, **_PLACE),
    _object("chain", name=_WORDS, hook=_WORDS, prio=_NUMBERS, dev=_FLAGS, **_PLACE),
)
_TRAITS: tuple[dict[str, st.SearchStrategy[Json]], ...] = (
    {},
    {"map": _WORDS | _FLAGS},
    {"stmt": st.lists(STATEMENTS, max_size=1)},
)
_SETS = st.one_of(
    *(
        _object(
            kind,
            name=_WORDS,
            type=_WORDS | _FLAGS | ANY_JSON,
            elem=st.lists(ELEMENTS, max_size=2),
            **_PLACE,
            **more,
        )
        for kind in ("set", "map", "meter")
        for more in _TRAITS
    )
)
_RULES = _object("rule", chain=st.just("c"), expr=st.lists(STATEMENTS, max_size=2), **_PLACE)
OBJECTS = st.one_of(
    _RULES,
    _RULES,
    _SETS,
    _CHAINS,
    _object("table", family=_PLACE["family"], name=_PLACE["table"]),
    _object("counter", name=_WORDS, packets=_NUMBERS, bytes=_NUMBERS, **_PLACE),
    _object("novelty", name=_WORDS, **_PLACE),
    st.dictionaries(_KEYS, ANY_JSON, max_size=2),
)
OUTPUTS = st.lists(OBJECTS, max_size=3).map(
    lambda objects: output({"chain": {**CHAIN["chain"], "family": "ip"}}, CHAIN, *objects)
)

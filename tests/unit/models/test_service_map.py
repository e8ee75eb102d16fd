"""The service map as a value: it comes back from JSON as it was, and a backend knows whether it may reach itself."""

from __future__ import annotations

from netinspect.models.address import parse_address
from netinspect.models.codec import decode_json, encode_json, to_builtins
from netinspect.models.service_map import (
    Backend,
    Branch,
    Destination,
    Hook,
    MapEntry,
    Mode,
    Outcome,
    ServiceMap,
    SourceCondition,
    SourceKind,
)

POD = parse_address("fd00:10:244::5")
BACKEND = Backend(address=POD, port=8080, share=1.0, masqueraded_from=(POD,))
OUTSIDE = SourceCondition(kind=SourceKind.NETWORK, values=("fd00:10:244::/48",), negated=True)
NODE_PORT = Destination(address=None, protocol="tcp", port=30080, except_=("::1/128",))
MAP = ServiceMap(
    node="node-a",
    family=6,
    mode=Mode.IPTABLES,
    entries=(
        MapEntry(
            hook=Hook.PREROUTING,
            destination=NODE_PORT,
            branches=(
                Branch(when=(OUTSIDE,), outcome=Outcome.BACKENDS, backends=(BACKEND,), masquerade=True),
                Branch(outcome=Outcome.DROP),
            ),
        ),
    ),
)


def test_a_map_comes_back_from_json_as_it_was() -> None:
    assert decode_json(ServiceMap, encode_json(MAP)) == MAP


def test_json_names_what_is_excluded_and_who_is_masqueraded_in_the_words_of_the_api() -> None:
    entry = to_builtins(MAP)["entries"][0]
    assert entry["destination"]["except"] == ("::1/128",)
    assert entry["branches"][0]["backends"][0]["masqueradedFrom"] == ("fd00:10:244::5",)


def test_a_backend_reaches_itself_where_its_own_address_is_masqueraded() -> None:
    other = parse_address("fd00:10:244::6")
    assert BACKEND.is_hairpin_masqueraded
    assert not Backend(address=POD, port=8080, share=1.0, masqueraded_from=(other,)).is_hairpin_masqueraded

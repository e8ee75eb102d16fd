"""One definition for three uses: decoding tool and API JSON, encoding reports, and their JSON Schema."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from netinspect.models.address import Address, parse_address

T = TypeVar("T")


def decode_json(type_: type[T], data: bytes | str) -> T:
    """Decode JSON into `type_`.

    Raises:
        msgspec.DecodeError: the text is no JSON.
        msgspec.ValidationError: the JSON has another shape.
    """
    return msgspec.json.decode(data, type=type_, dec_hook=_decode_custom)


def json_decoder(type_: type[T]) -> msgspec.json.Decoder[T]:
    """Return a reusable decoder for `type_`."""
    return msgspec.json.Decoder(type_, dec_hook=_decode_custom)


def encode_json(value: object) -> bytes:
    """Encode a model as compact JSON."""
    return msgspec.json.encode(value, enc_hook=_encode_custom)


def to_builtins(value: object) -> Any:
    """Turn a model into dicts, lists and strings, for YAML and for comparison in tests."""
    return msgspec.to_builtins(value, enc_hook=_encode_custom)


def json_schema(type_: object) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `type_`."""
    return msgspec.json.schema(type_, schema_hook=_describe_custom)


def _decode_custom(type_: Any, value: Any) -> Any:
    if type_ is Address:
        return parse_address(value)
    raise NotImplementedError(f"no JSON form is defined for {type_}")


def _encode_custom(value: Any) -> Any:
    if isinstance(value, Address):
        return str(value)
    raise NotImplementedError(f"no JSON form is defined for {type(value)}")


def _describe_custom(type_: Any) -> dict[str, Any]:
    if type_ is Address:
        return {"type": "string", "description": "an IPv4 or IPv6 address"}
    raise NotImplementedError(f"no JSON form is defined for {type_}")

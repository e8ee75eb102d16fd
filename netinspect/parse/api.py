"""The API server's JSON -> our models.

The API may send null where a list is empty (`endpoints` of an EndpointSlice, `items` of a list, and what other
API servers leave unset). Such an object is decoded a second time with its nulls removed: the API's own rule
(null is the same as absent), paid for only where it is needed.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from netinspect.errors import ParseError
from netinspect.models.codec import json_decoder
from netinspect.models.kubernetes import ListMeta

T = TypeVar("T")

# Not JSON or of another shape; no UTF-8; nested deeper than Python can follow.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class ApiList(msgspec.Struct, Generic[T], frozen=True, rename="camel"):
    """One page of a list."""

    metadata: ListMeta
    items: tuple[T, ...] = ()
    kind: str = ""
    api_version: str = ""


class WatchEvent(msgspec.Struct, frozen=True):
    """One line of a watch: `object` is left undecoded, as its kind depends on `type` (ERROR bears a Status)."""

    type: str
    object: msgspec.Raw = msgspec.Raw()


def parse_object(type_: type[T], data: bytes) -> T:
    """Read one API object.

    Raises:
        ParseError: the text is no JSON, or not an object of that type.
    """
    try:
        decoded: T = _decode(type_, data)
    except _UNREADABLE as error:
        raise ParseError(str(error), source=f"API object {type_.__name__}", line=_first_line(data)) from error
    return decoded


def parse_list(type_: type[T], data: bytes) -> ApiList[T]:
    """Read one page of a list.

    Raises:
        ParseError: as `parse_object`.
    """
    try:
        page: ApiList[T] = _decode(ApiList[type_], data)  # type: ignore[valid-type]
    except _UNREADABLE as error:
        raise ParseError(
            str(error), source=f"API list of {type_.__name__}", line=_first_line(data)
        ) from error
    return page


def parse_watch_event(line: bytes) -> WatchEvent:
    """Read one line of a watch.

    Raises:
        ParseError: as `parse_object`.
    """
    return parse_object(WatchEvent, line)


def _decode(type_: Any, data: bytes) -> Any:
    decoder = _decoder(type_)
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        return decoder.decode(msgspec.json.encode(_without_nulls(msgspec.json.decode(data))))


@cache
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return json_decoder(type_)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value


def _first_line(data: bytes) -> str:
    return data[:200].decode("utf-8", "replace").partition("\n")[0]

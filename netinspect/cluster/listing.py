"""Long lists, page by page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import msgspec

from netinspect.errors import ClusterError
from netinspect.parse.api import parse_list

T = TypeVar("T")


class ListResult(msgspec.Struct, Generic[T], frozen=True):
    """A whole list, as of one moment.

    Attributes:
        items: all of them.
        resource_version: where a watch goes on from.
        kind: of the list; the API leaves it out of the items.
        api_version: likewise.
        missing: what of the collection is not known, in words; "" where the list is whole.
    """

    items: tuple[T, ...]
    resource_version: str
    kind: str = ""
    api_version: str = ""
    missing: str = ""


def list_pages(type_: type[T], get_page: Callable[[Mapping[str, str]], bytes]) -> ListResult[T]:
    """Read all pages; where the server forgot our place (410), start once more from the beginning.

    All pages are of one moment: the server keeps it for the `continue` token, for about five minutes.
    """
    try:
        return _read_pages(type_, get_page)
    except ClusterError as error:
        if error.status != 410:
            raise
    return _read_pages(type_, get_page)


def _read_pages(type_: type[T], get_page: Callable[[Mapping[str, str]], bytes]) -> ListResult[T]:
    items: list[T] = []
    position = ""
    while True:
        page = parse_list(type_, get_page({"continue": position} if position else {}))
        items += page.items
        position = page.metadata.continue_
        if not position:
            return ListResult(tuple(items), page.metadata.resource_version, page.kind, page.api_version)

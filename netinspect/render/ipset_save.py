"""Sets -> what `ipset restore` reads: the text of `ipset save` again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netinspect.models.ipset import IpSet, SetMember, SetOption


def render_ipsets(sets: Iterable[IpSet]) -> str:
    """Write sets with their members, one line each; empty where there are none."""
    return "".join(f"{line}\n" for each in sets for line in _write_set(each))


def _write_set(each: IpSet) -> Iterator[str]:
    yield " ".join(["create", each.name, each.type, *map(_write_option, each.options)])
    for member in each.members:
        yield _write_member(each.name, member)


def _write_member(name: str, member: SetMember) -> str:
    return " ".join(["add", name, ",".join(member.parts), *map(_write_option, member.options)])


def _write_option(option: SetOption) -> str:
    """Only comments are quoted, and hold no quotation mark."""
    if option.value is None:
        return option.name
    return f'{option.name} "{option.value}"' if option.name == "comment" else f"{option.name} {option.value}"

"""`lsns -t net -J`, where the captures do not reach: other versions' forms, faults and cuts."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.netns import NamespaceRow
from netinspect.parse.lsns import parse_lsns
from tests.captures.parsers import list_cases

rows = st.builds(
    NamespaceRow,
    inode=st.integers(1, 2**32),
    netnsid=st.none() | st.integers(0, 2**31 - 1),
    pid=st.none() | st.integers(1, 2**22),
    command=st.text().map(lambda text: text.replace(" ", "").replace("/", "")),
)


def print_row(row: NamespaceRow, *, as_strings: bool, unassigned: object) -> dict[str, object]:
    """Print a row as the one or the other version of util-linux does."""
    netnsid = unassigned if row.netnsid is None else row.netnsid
    values = {"ns": row.inode, "netnsid": netnsid, "pid": row.pid, "command": row.command}
    if as_strings:
        return {key: str(value) if isinstance(value, int) else value for key, value in values.items()}
    return dict(values)


@given(st.lists(rows), st.booleans(), st.sampled_from(["unassigned", None, -1]))
def test_reads_what_lsns_would_print(
    listed: list[NamespaceRow], as_strings: bool, unassigned: object
) -> None:
    """Numbers as numbers or as strings, and each version's word for "no id", come back the same."""
    document = {
        "namespaces": [print_row(row, as_strings=as_strings, unassigned=unassigned) for row in listed]
    }
    assert parse_lsns(msgspec.json.encode(document)) == tuple(listed)


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("/usr/bin/redis-server --requirepass hunter2", "redis-server"),
        ("sleep 86400", "sleep"),
        ("nginx: master process", "nginx:"),
        ("/pause", "pause"),
        (" hunter2", ""),
        ("", ""),
    ],
)
def test_of_a_command_line_only_the_program_is_kept(command: str, program: str) -> None:
    document = {"namespaces": [{"ns": 7, "netnsid": "0", "pid": 1, "command": command}]}
    [row] = parse_lsns(msgspec.json.encode(document))
    assert row.command == program


def test_a_row_whose_id_could_not_be_asked_for_is_left_out() -> None:
    """lsns prints "" for that: taken for "no id" it would vote against a match."""
    document = {"namespaces": [{"ns": 7, "netnsid": "", "pid": 1, "command": "x"}]}
    assert parse_lsns(msgspec.json.encode(document)) == ()


@given(st.lists(rows, min_size=1, max_size=8))
def test_flattens_a_tree(listed: list[NamespaceRow]) -> None:
    """Namespaces nested in `children` come after the one that holds them, however deep."""
    inner: list[dict[str, object]] = []
    for row in reversed(listed):
        inner = [{**print_row(row, as_strings=False, unassigned=None), "children": inner}]
    assert parse_lsns(msgspec.json.encode({"namespaces": inner})) == tuple(listed)


@pytest.mark.parametrize(
    "stdout",
    [
        b"",
        b"[]",
        b"{}",
        b'{"namespaces": null}',
        b'{"namespaces": [{}]}',
        b'{"namespaces": [{"ns": ""}]}',
        b'{"namespaces": [{"ns": "x"}]}',
        b'{"namespaces": [{"ns": -4}]}',
        b'{"namespaces": [{"ns": 1.5}]}',
        b'{"namespaces": [{"ns": true}]}',
        b'{"namespaces": [{"ns": 1, "netnsid": "zero"}]}',
        b'{"namespaces": [{"ns": 1, "netnsid": "\xd9\xa3"}]}',
        b'{"namespaces": [{"ns": 1, "pid": "init"}]}',
        b'{"namespaces": [{"ns": 1, "children": 2}]}',
        b'{"namespaces": [' + b'{"ns":1,"children":[' * 100_000,
    ],
    ids=lambda stdout: ascii(stdout[:44]),
)
def test_refuses_what_is_not_the_format(stdout: bytes) -> None:
    """An id or a number that cannot be read is no "unassigned": it is refused."""
    with pytest.raises(ParseError, match=r"^lsns "):
        parse_lsns(stdout)


@pytest.mark.parametrize("case", list_cases("lsns"), ids=lambda path: path.stem)
def test_a_cut_output_is_never_a_shorter_list(case: Path) -> None:
    """Cut at any byte before its end, the output is refused."""
    stdout = case.read_bytes().rstrip()
    for end in range(len(stdout)):
        with pytest.raises(ParseError):
            parse_lsns(stdout[:end])


@given(st.binary())
def test_arbitrary_bytes_raise_nothing_else(stdout: bytes) -> None:
    """Whatever comes, it is namespaces or a ParseError."""
    with contextlib.suppress(ParseError):
        parse_lsns(stdout)

"""Listings of /proc."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.parse.proc import parse_comm_grep, parse_netns_listing

pids = st.integers(1, 2**22)


@given(st.dictionaries(pids, st.none() | st.integers(1, 2**32), min_size=1), st.booleans())
def test_reads_what_ls_would_print(netns: dict[int, int | None], busybox: bool) -> None:
    """Every readable link comes back with its inode, and every refused one is left out."""
    columns = "    1 root     root             0" if busybox else " 1 root root 0"
    lines = [
        f"lrwxrwxrwx{columns} Nov 22 22:59 /proc/{pid}/ns/net" + (f" -> net:[{inode}]" if inode else "")
        for pid, inode in netns.items()
    ]
    assert parse_netns_listing("\n".join(lines).encode() + b"\n") == {p: i for p, i in netns.items() if i}


@pytest.mark.parametrize(
    "stdout",
    [
        b"",
        b"\n\n",
        b"total 0\n",
        b"ls: /proc/1/ns/net: cannot read link: Permission denied\n",
        b"lrwxrwxrwx 1 root root 0 Nov 22 22:59 /proc/1/ns/net -> net:[40265\n",
        b"lrwxrwxrwx 1 root root 0 Nov 22 22:59 /proc/1/ns/mnt -> mnt:[4026531841]\n",
        b"lrwxrwxrwx 1 root root 0 Nov 22 22:59 /proc/self/ns/net -> net:[4026531840]\n",
    ],
)
def test_refuses_what_is_no_listing(stdout: bytes) -> None:
    """An empty listing is one, too: at least `ls` itself is running."""
    with pytest.raises(ParseError):
        parse_netns_listing(stdout)


@given(
    st.dictionaries(
        pids, st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=15)
    )
)
def test_reads_what_grep_would_print(comms: dict[int, str]) -> None:
    """Every name comes back, whatever characters it has."""
    stdout = "".join(f"/proc/{pid}/comm:{comm}\n" for pid, comm in comms.items())
    assert parse_comm_grep(stdout.encode()) == comms


def test_knows_greps_word_for_a_name_that_is_no_text() -> None:
    """Old and new GNU grep say it differently; either way the process is left out."""
    stdout = b"Binary file /proc/3/comm matches\ngrep: /proc/4/comm: binary file matches\n/proc/5/comm:sh\n"
    assert parse_comm_grep(stdout) == {5: "sh"}


def test_refuses_a_name_without_its_file() -> None:
    """`grep` without -H leaves the file's name out where it is given one file; then nobody knows whose name it is."""
    with pytest.raises(ParseError, match="pause"):
        parse_comm_grep(b"pause\n")


@pytest.mark.parametrize("parse", [parse_netns_listing, parse_comm_grep])
@given(
    stdout=st.binary() | st.from_regex(r"l\S+ .*/proc/\d+/(ns/net|comm:)( -> net:\[\d+\])?").map(str.encode)
)
def test_arbitrary_bytes_raise_nothing_else(parse: Callable[[bytes], object], stdout: bytes) -> None:
    """Whatever comes, it is a listing or a ParseError."""
    with contextlib.suppress(ParseError):
        parse(stdout)

"""Pinned network namespaces in /proc/PID/mountinfo."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.netns import PinnedNetns
from netinspect.parse.mountinfo import parse_pinned_netns

paths = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"], max_codepoint=0x2FF), min_size=1
).map(lambda name: f"/run/netns/{name}")


def escape(path: str) -> str:
    """Escape a path as the kernel does (fs/proc_namespace.c: blank, tab, line end, backslash, and #)."""
    return "".join(f"\\{ord(char):03o}" if char in " \t\n\\#" else char for char in path)


@given(
    st.lists(st.builds(PinnedNetns, st.integers(1, 2**32), paths)),
    st.sampled_from(["", "shared:16 ", "a b c "]),
)
def test_reads_what_the_kernel_would_print(pinned: list[PinnedNetns], optional: str) -> None:
    """Paths come back unescaped, however many optional fields a line has."""
    lines = [
        f"58 42 0:4 net:[{each.inode}] {escape(each.path)} rw {optional}- nsfs nsfs rw\n" for each in pinned
    ]
    assert parse_pinned_netns("".join(lines).encode()) == tuple(pinned)


def test_takes_network_namespaces_only() -> None:
    """Other namespaces are pinned too, and a directory may be called like one."""
    stdout = (
        b"58 42 0:4 uts:[4026531838] /run/uts rw - nsfs nsfs rw\n"
        b"59 42 8:1 net:[4026531840] /mnt rw - ext4 /dev/sda1 rw\n"
    )
    assert parse_pinned_netns(stdout) == ()


@pytest.mark.parametrize(
    "stdout",
    [b"nsfs on /run/netns/x type nsfs (rw)\n", b"58 42 0:4 net:[1] /run/x rw\n", b"58 42 0:4 net:[1\n"],
)
def test_refuses_what_is_no_mount_table(stdout: bytes) -> None:
    """The output of mount(8), or a line that was cut, is refused."""
    with pytest.raises(ParseError, match=r"^/proc/PID/mountinfo"):
        parse_pinned_netns(stdout)


@given(st.binary())
def test_arbitrary_bytes_raise_nothing_else(stdout: bytes) -> None:
    """Whatever comes, it is mounts or a ParseError."""
    with contextlib.suppress(ParseError):
        parse_pinned_netns(stdout)

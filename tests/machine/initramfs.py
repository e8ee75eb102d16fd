"""The machine's initramfs: busybox, the few modules that lead to the shared tree, and the two scripts.

It is a cpio archive in the "newc" format (Linux, Documentation/driver-api/early-userspace/buffer-format.rst), a few
megabytes that are put together anew for each boot.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.machine.tree import list_needed

GUEST = Path(__file__).resolve().parent / "guest"
MODULES = ("virtio_pci", "9pnet_virtio", "9p")

_FOLDER = 0o040755
_FILE = 0o100755


def build_initramfs(tree: Path) -> bytes:
    """Return the archive."""
    return b"".join(_entry(*entry, inode) for inode, entry in enumerate(_list_entries(tree), 1))


def _list_entries(tree: Path) -> Iterator[tuple[str, int, bytes]]:
    yield "bin", _FOLDER, b""
    yield "bin/busybox", _FILE, (tree / "bin/busybox").read_bytes()
    yield "modules", _FOLDER, b""
    for place, module in enumerate(list_needed(tree, *MODULES)):
        yield f"modules/{place:02}-{module.name}", _FILE, module.read_bytes()
    yield "init", _FILE, (GUEST / "init.sh").read_bytes()
    yield "agent.sh", _FILE, (GUEST / "agent.sh").read_bytes()
    yield "TRAILER!!!", 0, b""


def _entry(name: str, mode: int, content: bytes, inode: int) -> bytes:
    """One entry: a header of hexadecimal numbers, the name and the content, both padded to four bytes.

    The numbers: inode, mode, uid, gid, links, mtime, size, device (two), device of a device file (two), length of the
    name with its NUL, checksum (none in this format).
    """
    path = name.encode() + b"\0"
    numbers = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    header = b"070701" + b"".join(b"%08X" % number for number in numbers)
    return _padded(header + path) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)

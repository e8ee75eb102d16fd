"""Read the members of a recording's file, which may come from anybody: nothing of it is trusted, or put on a disk."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from netinspect.archive.layout import MANIFEST, MemberEntry
from netinspect.errors import RecordingError

MAX_TOTAL_BYTES = 4 << 30
"""Of all members, unpacked: a thousand nodes with rules of a few MB each. What is larger is taken for a bomb."""

MAX_MEMBER_BYTES = 1 << 30
"""A connection tracking table of some million entries prints less."""

MAX_MEMBERS = 1_000_000

_BLOCK = 1 << 20
_BROKEN = (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, ValueError, UnicodeError, OverflowError)


def unpack(path: Path) -> dict[str, bytes]:
    """Return the members of an archive by their paths, in the archive's order, all its checksums checked.

    Raises:
        RecordingError: there is no such file, it is no gzip tar or not whole, or holds what a recording never does:
            other things than files, paths that lead elsewhere, a path twice, more than the limits.
    """
    with _translated(path), path.open("rb") as file, gzip.GzipFile(fileobj=file, mode="rb") as unzipped:
        bounded = _Bounded(unzipped)
        found = dict(_members(bounded))
        _check_end(bounded)
    return found


def check_members(members: dict[str, bytes], listed: tuple[MemberEntry, ...]) -> None:
    """Make sure that the members are those that the manifest lists, byte for byte.

    Raises:
        RecordingError: they are not.
    """
    names = [each.path for each in listed]
    if len(set(names)) != len(names):
        raise RecordingError("the manifest lists a member twice")
    unknown = [path for path in members if path != MANIFEST and path not in set(names)]
    if unknown:
        raise RecordingError(f"{_shown(unknown[0])} is not in the manifest")
    for each in listed:
        if each.path not in members or each.path == MANIFEST:
            raise RecordingError(f"{_shown(each.path)} is in the manifest and not in the archive")
        data = members[each.path]
        if len(data) != each.size_bytes:
            raise RecordingError(f"{_shown(each.path)} has {len(data)} bytes, and not {each.size_bytes}")
        if hashlib.sha256(data).hexdigest() != each.sha256:
            raise RecordingError(f"{_shown(each.path)} has another SHA-256 than the manifest says")


def _members(stream: _Bounded) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    # Not as a stream: that would read ahead, over the end that is looked at afterwards.
    with tarfile.open(fileobj=stream, mode="r:", encoding="utf-8", errors="strict") as tar:
        for info in tar:
            path = _check_member(info, seen)
            seen.add(path)
            content = tar.extractfile(info)
            assert content is not None  # it is a file
            data = content.read()
            if len(data) != info.size:
                raise RecordingError(f"{_shown(path)} is cut")
            yield path, data
    # Where a header is broken tarfile ends without a word. The end is a block of zeros, and the last that it read.
    if stream.last != bytes(tarfile.BLOCKSIZE):
        raise RecordingError("it does not end as a tar does")


def _check_member(info: tarfile.TarInfo, seen: set[str]) -> str:
    path, parts = info.name, PurePosixPath(info.name).parts
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.pax_headers or info.sparse is not None:
        raise RecordingError(f"{_shown(path)} is no plain file: a recording holds nothing else")
    if path.startswith("/") or ".." in parts or "\\" in path or path != "/".join(parts):
        raise RecordingError(f"the path {_shown(path)} leads out of the archive")
    if path in seen:
        raise RecordingError(f"{_shown(path)} is there twice")
    if info.size > MAX_MEMBER_BYTES:
        raise RecordingError(f"{_shown(path)} is too large: {info.size} bytes, of {MAX_MEMBER_BYTES} at most")
    if len(seen) >= MAX_MEMBERS:
        raise RecordingError(f"there are more than {MAX_MEMBERS} members")
    if MANIFEST in seen:
        raise RecordingError(f"{_shown(path)} stands behind the manifest, which is the last member")
    return path


def _check_end(stream: _Bounded) -> None:
    """Read to the end, for the checksum's sake: behind a tar's members there are zeros only."""
    while block := stream.read(_BLOCK):
        if block.strip(b"\0"):
            raise RecordingError("there is something behind the last member")


class _Bounded(io.RawIOBase):
    """Reads what was compressed, up to a limit. Goes forwards only: tarfile needs no more.

    Attributes:
        last: what was read last.
    """

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self._position = 0
        self.last = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or offset < self._position:
            raise RecordingError("it cannot be read from its begin to its end")
        while self._position < offset and self.read(min(_BLOCK, offset - self._position)):
            pass
        return self._position

    def read(self, size: int = -1) -> bytes:
        data = self.last = self._stream.read(size if size >= 0 else _BLOCK)
        self._position += len(data)
        if self._position > MAX_TOTAL_BYTES:
            raise RecordingError(f"it unpacks to more than {MAX_TOTAL_BYTES} bytes")
        return data


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except RecordingError:
        raise
    except FileNotFoundError as error:
        raise RecordingError(f"there is no recording {path}") from error
    except _BROKEN as error:
        raise RecordingError(f"{error or 'it is cut'}") from error
    except OSError as error:
        raise RecordingError(f"the recording {path} could not be read: {error.strerror or error}") from error


def _shown(path: str) -> str:
    return repr(path[:200])

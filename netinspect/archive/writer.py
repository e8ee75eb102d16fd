"""Write a recording: a gzip tar, whose members are written as they come and whose manifest is the last of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from netinspect.archive.layout import (
    FORMAT,
    LOG,
    MANIFEST,
    REQUESTS,
    VERSION,
    Manifest,
    MemberEntry,
    RequestEntry,
    ResultEntry,
    TripEntry,
    segment,
)
from netinspect.archive.scrub import scrub_object, scrub_output, scrub_text
from netinspect.errors import RecordingError
from netinspect.models.recording import RecordedError, RecordedRequest, RecordedResult, RecordedTrip

_MODE = 0o600
_LEVEL = 6


class RecordingWriter:
    """Takes what is recorded, and writes it at once. Safe for threads.

    Nothing is at `path` before `finish`; what is never recorded is left out here, whoever hands it in.
    """

    def __init__(
        self, path: Path, *, made_at: str, made_by: str, command: str, is_snapshot: bool, namespace: str
    ) -> None:
        """Begin a recording.

        Args:
            path: of the file.
            made_at: see `models.recording.Recording`, as the others.
            made_by: likewise.
            command: likewise.
            is_snapshot: likewise.
            namespace: likewise.

        Raises:
            RecordingError: a file cannot be made there.
        """
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._manifest = Manifest(
            format=FORMAT,
            version=VERSION,
            made_at=made_at,
            made_by=made_by,
            command=scrub_text(command),
            is_snapshot=is_snapshot,
            namespace=namespace,
        )
        self._lock = threading.RLock()
        self._members: list[MemberEntry] = []
        self._requests: list[RequestEntry] = []
        self._trips: dict[str, list[str]] = {}
        self._order: list[str] = []
        self._clock: list[float] = []
        self._log: list[str] = []
        self._is_open = True
        self._failure: RecordingError | None = None
        with self._translated():
            self._check_place()
            descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, _MODE)
            self._file = os.fdopen(descriptor, "wb")
            # No name and no time in the gzip header: equal recordings are equal files.
            self._gzip = gzip.GzipFile("", "wb", _LEVEL, self._file, mtime=0)
            self._tar = tarfile.TarFile(fileobj=self._gzip, mode="w", format=tarfile.USTAR_FORMAT)

    def add_request(self, request: RecordedRequest) -> None:
        """Write an answer of the API server."""
        body = _scrub_json(request.body) if request.body else b""
        with self._lock:
            self._check_open()
            number = len(self._requests) + 1
            path = self._add(f"api/{number:04}.json", body) if body else None
            self._requests.append(
                RequestEntry(
                    path=request.path,
                    is_list=request.is_list,
                    label_selector=request.label_selector,
                    field_selector=request.field_selector,
                    body=path,
                    error=_scrub_error(request.error),
                )
            )

    def add_trip(self, trip: RecordedTrip) -> None:
        """Write what came of a trip to a node."""
        with self._lock:
            self._check_open()
            trips = self._trips.setdefault(trip.node, [])
            folder = f"nodes/{segment(trip.node)}/{len(trips) + 1:04}"
            results = tuple(
                self._add_result(f"{folder}/{number:04}-{segment(each.outcome.name)}", each)
                for number, each in enumerate(trip.results, 1)
            )
            entry = TripEntry(
                node=trip.node,
                privilege=trip.privilege.value,
                how=trip.how,
                pods=trip.pods,
                netns=trip.netns,
                is_whole=trip.is_whole,
                error=_scrub_error(trip.error),
                results=results,
            )
            trips.append(self._add(f"{folder}/trip.json", msgspec.json.format(msgspec.json.encode(entry))))
            self._order.append(trips[-1])

    def add_time(self, seconds: float) -> None:
        """Take the time that the command was told, in seconds since the epoch."""
        with self._lock:
            self._clock.append(seconds)

    def add_log(self, line: str) -> None:
        """Take a line that the program said of its work."""
        with self._lock:
            self._log.append(scrub_text(" ".join(line.splitlines())))

    def finish(self) -> None:
        """Write what is left, and give the file its name.

        Raises:
            RecordingError: it could not be written whole; nothing is left behind then.
        """
        with self._lock:
            self._check_open()
            self._add(REQUESTS, b"".join(msgspec.json.encode(each) + b"\n" for each in self._requests))
            self._add(LOG, "".join(f"{line}\n" for line in self._log).encode("utf-8", "surrogatepass"))
            manifest = replace(
                self._manifest,
                clock=tuple(self._clock),
                trips=tuple(self._order),
                members=tuple(self._members),
            )
            self._add(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
            with self._translated():
                self._tar.close()
                self._gzip.close()
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                os.replace(self._part, self._path)
            self._is_open = False

    def discard(self) -> None:
        """End without a file."""
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            with suppress(OSError, AttributeError):  # it may not have begun
                self._file.close()
            with suppress(OSError):
                os.unlink(self._part)

    def _add_result(self, path: str, result: RecordedResult) -> ResultEntry:
        outcome = result.outcome
        stdout = scrub_output(outcome.name, outcome.stdout)
        stderr = scrub_output(outcome.name, outcome.stderr)
        return ResultEntry(
            key=outcome.key,
            netns=outcome.netns,
            how=outcome.how,
            name=outcome.name,
            argv=result.argv,
            exit_code=outcome.exit_code,
            duration_s=outcome.duration_s,
            start_s=outcome.start_s,
            stdout=self._add(f"{path}.stdout", stdout) if stdout else None,
            stderr=self._add(f"{path}.stderr", stderr) if stderr else None,
        )

    def _add(self, path: str, data: bytes) -> str:
        info = tarfile.TarInfo(path)
        info.size = len(data)
        info.mode = _MODE
        with self._translated():
            self._tar.addfile(info, io.BytesIO(data))
        self._members.append(
            MemberEntry(path=path, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        )
        return path

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failure
        if not self._is_open:
            raise RecordingError(f"the recording {self._path} is closed already")

    def _check_place(self) -> None:
        if self._path.is_dir():
            raise RecordingError(f"{self._path} is a directory", "name a file to record to")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.discard()
            self._failure = RecordingError(
                f"the recording {self._path} could not be written: {error.strerror or error}"
            )
            raise self._failure from error


def _scrub_json(body: bytes) -> bytes:
    decoded: Any = msgspec.json.decode(body)
    return msgspec.json.encode(scrub_object(decoded)) if isinstance(decoded, dict) else b"null"


def _scrub_error(error: RecordedError | None) -> RecordedError | None:
    if error is None:
        return None
    return replace(error, message=scrub_text(error.message), hint=scrub_text(error.hint))

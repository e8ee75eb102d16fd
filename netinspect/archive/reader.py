"""Read a recording's file, whole: every digest is checked before anything of it is believed."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from netinspect.archive.layout import (
    FORMAT,
    LOG,
    MANIFEST,
    REQUESTS,
    VERSION,
    Header,
    Manifest,
    RequestEntry,
    ResultEntry,
    TripEntry,
)
from netinspect.archive.unpack import check_members, unpack
from netinspect.errors import RecordingError
from netinspect.models.command import CommandResult
from netinspect.models.debug_pod import Privilege
from netinspect.models.recording import RecordedRequest, RecordedResult, RecordedTrip, Recording

T = TypeVar("T")


def read_recording(path: Path) -> Recording:
    """Return a recording.

    Raises:
        RecordingError: there is none, it is of a version that is not known, or anything in it is not as it was written.
    """
    try:
        return _read(unpack(path))
    except RecordingError as error:
        shown = str(path)
        if shown in error.message:
            raise
        raise RecordingError(
            f"{shown} is no recording that can be read: {error.message}", error.hint
        ) from error


def _read(members: dict[str, bytes]) -> Recording:
    if MANIFEST not in members:
        raise RecordingError(f"it has no {MANIFEST}")
    _check_header(members[MANIFEST])
    manifest = _decode(Manifest, members[MANIFEST], MANIFEST)
    check_members(members, manifest.members)
    requests = _get(members, REQUESTS).splitlines()
    return Recording(
        made_at=manifest.made_at,
        made_by=manifest.made_by,
        command=manifest.command,
        is_snapshot=manifest.is_snapshot,
        namespace=manifest.namespace,
        clock=manifest.clock,
        requests=tuple(_request(members, _decode(RequestEntry, line, REQUESTS)) for line in requests),
        trips=tuple(_trip(members, _decode(TripEntry, _get(members, name), name)) for name in manifest.trips),
        log=tuple(_get(members, LOG).decode("utf-8", "replace").splitlines()),
    )


def _check_header(data: bytes) -> None:
    header = _decode(Header, data, MANIFEST)
    if header.format != FORMAT:
        raise RecordingError(f"its format is {header.format!r}, and not {FORMAT!r}")
    if header.version != VERSION:
        raise RecordingError(
            f"its version is {header.version}: this netinspect reads version {VERSION}",
            "read it with a netinspect of the time that it was made with",
        )


def _request(members: dict[str, bytes], entry: RequestEntry) -> RecordedRequest:
    return RecordedRequest(
        path=entry.path,
        is_list=entry.is_list,
        label_selector=entry.label_selector,
        field_selector=entry.field_selector,
        body=_get(members, entry.body),
        error=entry.error,
    )


def _trip(members: dict[str, bytes], entry: TripEntry) -> RecordedTrip:
    if entry.privilege not in [each.value for each in Privilege]:
        raise RecordingError(f"a trip has the privilege {entry.privilege!r}, which there is not")
    return RecordedTrip(
        node=entry.node,
        privilege=Privilege(entry.privilege),
        how=entry.how,
        pods=entry.pods,
        netns=entry.netns,
        results=tuple(_result(members, each) for each in entry.results),
        is_whole=entry.is_whole,
        error=entry.error,
    )


def _result(members: dict[str, bytes], entry: ResultEntry) -> RecordedResult:
    outcome = CommandResult(
        key=entry.key,
        netns=entry.netns,
        how=entry.how,
        name=entry.name,
        exit_code=entry.exit_code,
        stdout=_get(members, entry.stdout),
        stderr=_get(members, entry.stderr),
        duration_s=entry.duration_s,
        start_s=entry.start_s,
    )
    return RecordedResult(argv=entry.argv, outcome=outcome)


def _get(members: dict[str, bytes], name: str | None) -> bytes:
    if name is None:
        return b""
    if name not in members:
        raise RecordingError(f"{name[:200]!r} is named and not there")
    return members[name]


def _decode(type_: type[T], data: bytes, name: str) -> T:
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RecordingError(f"{name[:200]!r} is not as it should be: {error}") from error

"""What the JSON in a recording's file looks like, and what its members are called: docs/recording.md."""

from __future__ import annotations

import hashlib
import re

import msgspec

from netinspect.models.recording import RecordedError

FORMAT = "netinspect-recording"
VERSION = 1

MANIFEST = "manifest.json"
REQUESTS = "api/requests.jsonl"
LOG = "log.txt"

_UNSAFE = re.compile(r"[^0-9A-Za-z._-]+")
_MAX_SEGMENT = 60


class _Json(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A JSON object in camelCase; what is not known is refused: the version says what there can be."""


class MemberEntry(_Json, frozen=True, forbid_unknown_fields=True):
    """A member of the archive: its path, its length, its SHA-256 in hex."""

    path: str
    size_bytes: int
    sha256: str


class Header(_Json, frozen=True):
    """What has to be known before the rest of a manifest can be read."""

    format: str
    version: int


class Manifest(_Json, frozen=True, forbid_unknown_fields=True):
    """manifest.json, the last member: what the recording is, and all other members.

    Attributes:
        format: `netinspect-recording`.
        version: of the format.
        made_at: see `models.recording.Recording`, as the next five.
        made_by: likewise.
        command: likewise.
        is_snapshot: likewise.
        namespace: likewise.
        clock: likewise.
        trips: the members that describe trips, in order.
        members: all other members, in the order in which they stand in the archive.
    """

    format: str
    version: int
    made_at: str
    made_by: str
    command: str = ""
    is_snapshot: bool = False
    namespace: str = "default"
    clock: tuple[float, ...] = ()
    trips: tuple[str, ...] = ()
    members: tuple[MemberEntry, ...] = ()


class RequestEntry(_Json, frozen=True, forbid_unknown_fields=True):
    """A line of api/requests.jsonl: a `RecordedRequest`, its body by the path of a member."""

    path: str
    is_list: bool = False
    label_selector: str = ""
    field_selector: str = ""
    body: str | None = None
    error: RecordedError | None = None


class ResultEntry(_Json, frozen=True, forbid_unknown_fields=True):
    """What came of a probe: a `RecordedResult`, its outputs by the paths of members; none where there was none."""

    key: str
    netns: int
    how: str
    name: str
    argv: tuple[str, ...] = ()
    exit_code: int | None = None
    duration_s: float = 0.0
    start_s: float = 0.0
    stdout: str | None = None
    stderr: str | None = None


class TripEntry(_Json, frozen=True, forbid_unknown_fields=True):
    """nodes/NODE/NNNN/trip.json: a `RecordedTrip`."""

    node: str
    privilege: str
    how: str = ""
    pods: tuple[str, ...] = ()
    netns: int | None = None
    is_whole: bool = False
    error: RecordedError | None = None
    results: tuple[ResultEntry, ...] = ()


def segment(name: str) -> str:
    """Return a name as one segment of a path: it is for people; what it names stands in the JSON.

    A name that has to be changed gets a part of its digest, so that two names never share a segment.
    """
    safe = _UNSAFE.sub("_", name)[:_MAX_SEGMENT].lstrip(".-")
    if safe and safe == name:
        return name
    return f"{safe}~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"

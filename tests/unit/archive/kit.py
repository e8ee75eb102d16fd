"""Recordings made for tests, and archives made by hand, as a hostile hand would."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from netinspect.archive.writer import RecordingWriter
from netinspect.models.command import CommandResult
from netinspect.models.debug_pod import Privilege
from netinspect.models.recording import (
    RecordedError,
    RecordedRequest,
    RecordedResult,
    RecordedTrip,
    Recording,
)

POD = {"kind": "Pod", "metadata": {"name": "web", "namespace": "demo"}, "spec": {"nodeName": "node-a"}}

RECORDING = Recording(
    made_at="2026-11-27T05:00:00Z",
    made_by="0.1.0",
    command="veth web",
    is_snapshot=True,
    namespace="demo",
    clock=(1.5, 2.25),
    requests=(
        RecordedRequest(path="/api/v1/namespaces/demo/pods/web", body=msgspec.json.encode(POD)),
        RecordedRequest(
            path="/api/v1/nodes",
            is_list=True,
            label_selector="a=b",
            field_selector="metadata.name=node-a",
            error=RecordedError(
                kind="ClusterError", message="no", hint="ask", status=403, reason="Forbidden"
            ),
        ),
    ),
    trips=(
        RecordedTrip(
            node="node-a",
            privilege=Privilege.SYSADMIN,
            how="with privilege sysadmin",
            pods=("uid-1", "uid-2"),
            netns=4026531840,
            results=(
                RecordedResult(
                    argv=("ip", "-j", "addr"),
                    outcome=CommandResult(
                        "node", 4026531840, "node", "links", 0, b"[]\n", b"so\n", duration_s=0.25, start_s=9.5
                    ),
                ),
                RecordedResult(argv=(), outcome=CommandResult("node", 1, "node", "cgroups", None, b"cut")),
            ),
            is_whole=False,
        ),
        RecordedTrip(
            node="node/б",
            privilege=Privilege.NETADMIN,
            error=RecordedError(kind="DebugPodError", message="not admitted"),
        ),
    ),
    log=("read node-a",),
)


def write(recording: Recording, path: Path) -> Path:
    """Write a recording as the program does."""
    writer = RecordingWriter(
        path,
        made_at=recording.made_at,
        made_by=recording.made_by,
        command=recording.command,
        is_snapshot=recording.is_snapshot,
        namespace=recording.namespace,
    )
    for request in recording.requests:
        writer.add_request(request)
    for trip in recording.trips:
        writer.add_trip(trip)
    for seconds in recording.clock:
        writer.add_time(seconds)
    for line in recording.log:
        writer.add_log(line)
    writer.finish()
    return path


Member = tuple[tarfile.TarInfo, bytes]


def read_members(path: Path) -> list[Member]:
    """Return an archive's members."""
    with tarfile.open(path) as tar:
        found = []
        for info in tar.getmembers():
            content = tar.extractfile(info)
            assert content is not None
            found.append((info, content.read()))
        return found


def member(name: str, data: bytes = b"", type_: bytes = tarfile.REGTYPE, **fields: Any) -> Member:
    """A member as a hostile hand may make it."""
    info = tarfile.TarInfo(name)
    info.type, info.size = type_, len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def write_members(path: Path, members: Iterable[Member], *, format_: int = tarfile.USTAR_FORMAT) -> Path:
    """Write an archive of these members, whatever they are."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=format_) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    path.write_bytes(gzip.compress(packed.getvalue(), mtime=0))
    return path


def with_manifest(members: Iterable[Member], **changes: Any) -> list[Member]:
    """Return members with a manifest that fits them, but for what is changed."""
    kept = list(members)
    [(_, old)] = [each for each in kept if each[0].name == "manifest.json"]
    others = [each for each in kept if each[0].name != "manifest.json"]
    listed = [
        {"path": info.name, "sizeBytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for info, data in others
    ]
    manifest = {**msgspec.json.decode(old), "members": listed, **changes}
    return [*others, member("manifest.json", msgspec.json.encode(manifest))]

"""What is written comes back, but for what is never written."""

from __future__ import annotations

import os
import resource
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netinspect.archive.reader import read_recording
from netinspect.archive.writer import RecordingWriter
from netinspect.errors import RecordingError
from netinspect.models.codec import encode_json
from netinspect.models.command import CommandResult
from netinspect.models.debug_pod import Privilege
from netinspect.models.recording import (
    RecordedError,
    RecordedRequest,
    RecordedResult,
    RecordedTrip,
    Recording,
)
from tests.unit.archive.kit import RECORDING, read_members, write

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
errors = st.builds(
    RecordedError,
    kind=texts,
    message=texts,
    hint=texts,
    status=st.none() | st.integers(100, 599),
    reason=texts,
)
requests = st.builds(
    RecordedRequest,
    path=texts,
    is_list=st.booleans(),
    label_selector=texts,
    field_selector=texts,
    body=st.sampled_from([b"", b"{}", b'{"kind":"Pod"}', b'{"kind":"PodList","items":[{"a":1}]}']),
    error=st.none() | errors,
)
outcomes = st.builds(
    CommandResult,
    key=texts,
    netns=st.integers(0, 2**32),
    how=texts,
    name=texts,
    exit_code=st.none() | st.integers(0, 255),
    stdout=st.binary(max_size=1100),
    stderr=st.binary(max_size=20),
    duration_s=st.floats(0, 1e6),
    start_s=st.floats(0, 1e6),
)
trips = st.builds(
    RecordedTrip,
    node=texts,
    privilege=st.sampled_from(Privilege),
    how=texts,
    pods=st.lists(texts, max_size=3).map(tuple),
    netns=st.none() | st.integers(0, 2**32),
    results=st.lists(
        st.builds(RecordedResult, argv=st.lists(texts, max_size=3).map(tuple), outcome=outcomes), max_size=3
    ).map(tuple),
    is_whole=st.booleans(),
    error=st.none() | errors,
)
recordings = st.builds(
    Recording,
    made_at=texts,
    made_by=texts,
    command=texts,
    is_snapshot=st.booleans(),
    namespace=texts,
    clock=st.lists(st.floats(0, 1e12), max_size=3).map(tuple),
    requests=st.lists(requests, max_size=3).map(tuple),
    trips=st.lists(trips, max_size=3).map(tuple),
    log=st.lists(st.text("abc xyz", min_size=1, max_size=20).map(str.strip), max_size=3).map(tuple),
)


def test_a_recording_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_recording(write(RECORDING, tmp_path / "it.tar.gz")) == RECORDING


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(recordings)
def test_any_recording_is_read_as_it_was_written(tmp_path: Path, recording: Recording) -> None:
    """Whatever names nodes and probes have, also two that differ in what no path can hold."""
    assert read_recording(write(recording, tmp_path / "it.tar.gz")) == recording


def test_equal_recordings_are_equal_files(tmp_path: Path) -> None:
    first, second = (write(RECORDING, tmp_path / name).read_bytes() for name in ("a", "b"))
    assert first == second


def test_the_manifest_is_the_last_member(tmp_path: Path) -> None:
    names = [info.name for info, _ in read_members(write(RECORDING, tmp_path / "it.tar.gz"))]
    assert names[0] == "api/0001.json"
    assert names[-1] == "manifest.json"
    assert "nodes/node-a/0001/0001-links.stdout" in names


def test_only_its_owner_may_read_a_recording(tmp_path: Path) -> None:
    path = write(RECORDING, tmp_path / "it.tar.gz")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [*tmp_path.iterdir()] == [path]


def begin(path: Path) -> RecordingWriter:
    return RecordingWriter(path, made_at="", made_by="", command="", is_snapshot=False, namespace="")


def test_there_is_no_file_before_the_end_and_none_without_it(tmp_path: Path) -> None:
    path = tmp_path / "it.tar.gz"
    path.write_text("what was there before")
    writer = begin(path)
    writer.add_trip(RECORDING.trips[0])
    assert path.read_text() == "what was there before"
    writer.discard()
    writer.discard()
    assert [*tmp_path.iterdir()] == [path]
    with pytest.raises(RecordingError, match="closed already"):
        writer.add_trip(RECORDING.trips[0])


def test_a_recording_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"nowhere/it could not be written: No such file"):
        begin(tmp_path / "nowhere" / "it")
    with pytest.raises(RecordingError, match="is a directory"):
        begin(tmp_path)


def fill(writer: RecordingWriter) -> None:
    for _ in range(100):
        writer.add_request(RecordedRequest(path="/x", body=encode_json({"a": os.urandom(50_000).hex()})))


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path: Path) -> None:
    """The limit of a file's size stands for it: Python ignores the signal, and the call fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = begin(tmp_path / "it")
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(RecordingError, match="could not be written: File too large"):
            fill(writer)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [*tmp_path.iterdir()] == []


def test_threads_write_into_one_recording(tmp_path: Path) -> None:
    path = tmp_path / "it"
    writer = begin(path)

    def add(name: str) -> None:
        for _ in range(50):
            writer.add_request(RecordedRequest(path=f"/{name}", body=b'{"name":"%s"}' % name.encode()))

    threads = [threading.Thread(target=add, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.finish()
    found = read_recording(path).requests
    assert len(found) == 200
    assert all(each.body == b'{"name":"%s"}' % each.path[1:].encode() for each in found)

"""Archives from anybody: what is not as it was written is refused by name, and never read as something else."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netinspect.archive import unpack
from netinspect.archive.reader import read_recording
from netinspect.errors import RecordingError
from netinspect.models.recording import Recording
from tests.unit.archive.kit import (
    RECORDING,
    Member,
    member,
    read_members,
    with_manifest,
    write,
    write_members,
)


@pytest.fixture
def members(tmp_path: Path) -> list[Member]:
    return read_members(write(RECORDING, tmp_path / "good.tar.gz"))


def refusal_of(path: Path) -> str:
    with pytest.raises(RecordingError) as caught:
        read_recording(path)
    return caught.value.message


def test_members_written_again_by_hand_are_a_recording(members: list[Member], tmp_path: Path) -> None:
    """Else the tests below would show nothing."""
    assert read_recording(write_members(tmp_path / "it", with_manifest(members))) == RECORDING


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (member("/etc/passwd", b"x"), "leads out of the archive"),
        (member("../x", b"x"), "leads out of the archive"),
        (member("api/../../x", b"x"), "leads out of the archive"),
        (member("api//x", b"x"), "leads out of the archive"),
        (member("./x", b"x"), "leads out of the archive"),
        (member("..\\x", b"x"), "leads out of the archive"),
        (member("x", type_=tarfile.SYMTYPE, linkname="/etc/passwd"), "no plain file"),
        (member("x", type_=tarfile.LNKTYPE, linkname="manifest.json"), "no plain file"),
        (member("x", type_=tarfile.CHRTYPE), "no plain file"),
        (member("x", type_=tarfile.FIFOTYPE), "no plain file"),
        (member("x", type_=tarfile.DIRTYPE), "no plain file"),
        (member("api/0001.json", b"{}"), "is there twice"),
        (member("api/0009.json", b"{}"), "is not in the manifest"),
    ],
    ids=lambda value: value[0].name if isinstance(value, tuple) else None,
)
def test_a_member_that_a_recording_never_has_is_refused_by_name(
    bad: Member, why: str, members: list[Member], tmp_path: Path
) -> None:
    message = refusal_of(write_members(tmp_path / "it", [members[0], bad, *members[1:]]))
    assert why in message
    assert repr(bad[0].name) in message


def test_nothing_may_stand_behind_the_manifest(members: list[Member], tmp_path: Path) -> None:
    path = write_members(tmp_path / "it", [*members, member("x", b"x")])
    assert "'x' stands behind the manifest" in refusal_of(path)
    good = write_members(tmp_path / "good", members).read_bytes()
    (tmp_path / "it").write_bytes(good + b"trailing")
    assert "Not a gzipped file" in refusal_of(tmp_path / "it")
    (tmp_path / "it").write_bytes(good + gzip.compress(b"trailing"))
    assert "something behind the last member" in refusal_of(tmp_path / "it")


def test_members_are_those_of_the_manifest(members: list[Member], tmp_path: Path) -> None:
    path = tmp_path / "it"
    assert "has no manifest.json" in refusal_of(write_members(path, members[:-1]))
    missing = write_members(path, members[1:])
    assert "'api/0001.json' is in the manifest and not in the archive" in refusal_of(missing)
    info, data = members[0]
    longer = write_members(path, [member(info.name, data + b" "), *members[1:]])
    assert f"'api/0001.json' has {len(data) + 1} bytes, and not {len(data)}" in refusal_of(longer)
    other = write_members(path, [member(info.name, data[:-1] + b"]"), *members[1:]])
    assert "'api/0001.json' has another SHA-256 than the manifest says" in refusal_of(other)
    twice = [*with_manifest(members)]
    manifest = msgspec.json.decode(twice[-1][1])
    twice[-1] = member(
        "manifest.json", msgspec.json.encode({**manifest, "members": manifest["members"][:1] * 2})
    )
    assert "lists a member twice" in refusal_of(write_members(path, twice))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"format": "kubectl-debug"}, "its format is 'kubectl-debug'"),
        ({"version": 2}, "its version is 2: this netinspect reads version 1"),
        ({"version": "1"}, "manifest.json' is not as it should be"),
        ({"clock": ["now"]}, "manifest.json' is not as it should be"),
        ({"secret": 1}, "unknown field"),
        ({"trips": ["nodes/node-z/trip.json"]}, "'nodes/node-z/trip.json' is named and not there"),
        ({"trips": ["log.txt"]}, "'log.txt' is not as it should be"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(
    changes: dict[str, object], why: str, members: list[Member], tmp_path: Path
) -> None:
    assert why in refusal_of(write_members(tmp_path / "it", with_manifest(members, **changes)))


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        (
            "api/requests.jsonl",
            b'{"path":"/x","body":"api/0009.json"}\n',
            "'api/0009.json' is named and not there",
        ),
        ("api/requests.jsonl", b"[]\n", "'api/requests.jsonl' is not as it should be"),
        ("api/requests.jsonl", b"\xff\n", "'api/requests.jsonl' is not as it should be"),
        (
            "nodes/node-a/0001/trip.json",
            b'{"node":"a","privilege":"root"}',
            "privilege 'root', which there is not",
        ),
        (
            "nodes/node-a/0001/trip.json",
            b"[" * 100_000,
            "'nodes/node-a/0001/trip.json' is not as it should be",
        ),
    ],
)
def test_json_of_another_shape_is_refused_by_its_member(
    name: str, data: bytes, why: str, members: list[Member], tmp_path: Path
) -> None:
    changed = [member(name, data) if info.name == name else (info, old) for info, old in members]
    assert why in refusal_of(write_members(tmp_path / "it", with_manifest(changed)))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "has no manifest.json|does not end as a tar does|empty"),
        (b"hello", "Not a gzipped file"),
        (gzip.compress(b""), "does not end as a tar does|empty"),
        (gzip.compress(b"hello" * 200), "invalid header|truncated|bad checksum"),
        (gzip.compress(bytes(10240)), "has no manifest.json"),
    ],
)
def test_what_is_no_gzip_tar_is_refused(data: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=why):
        read_recording(path)


def test_where_there_is_no_file_is_said(tmp_path: Path) -> None:
    assert refusal_of(tmp_path / "none") == f"there is no recording {tmp_path / 'none'}"
    assert "could not be read: Is a directory" in refusal_of(tmp_path)


def test_pax_headers_and_long_names_are_refused(members: list[Member], tmp_path: Path) -> None:
    """They can say other sizes and names than the header does; the program writes none."""
    for format_, bad in (
        (tarfile.PAX_FORMAT, member("x" * 300, b"x")),
        (tarfile.GNU_FORMAT, member("x" * 300, b"x")),
    ):
        path = write_members(tmp_path / "it", [*members[:-1], bad, members[-1]], format_=format_)
        assert "no plain file" in refusal_of(path) or "is not in the manifest" in refusal_of(path)


def test_a_bomb_is_refused_before_it_is_held(
    members: list[Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_members(tmp_path / "it", [member("zeros", bytes(5_000_000)), *members])
    assert path.stat().st_size < 50_000
    monkeypatch.setattr(unpack, "MAX_MEMBER_BYTES", 4_000_000)
    assert "'zeros' is too large: 5000000 bytes, of 4000000 at most" in refusal_of(path)
    monkeypatch.setattr(unpack, "MAX_MEMBER_BYTES", 1 << 30)
    monkeypatch.setattr(unpack, "MAX_TOTAL_BYTES", 4_000_000)
    assert "it unpacks to more than 4000000 bytes" in refusal_of(path)
    monkeypatch.setattr(unpack, "MAX_TOTAL_BYTES", 1 << 32)
    monkeypatch.setattr(unpack, "MAX_MEMBERS", 3)
    assert "there are more than 3 members" in refusal_of(path)


def test_a_size_that_is_a_lie_is_refused(members: list[Member], tmp_path: Path) -> None:
    """A header of 8 GiB before 1 KiB: nothing is made of that size."""
    packed = bytearray(gzip.decompress(write_members(tmp_path / "it", members).read_bytes()))
    info = tarfile.TarInfo("huge")
    info.size = unpack.MAX_MEMBER_BYTES
    (tmp_path / "it").write_bytes(gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + packed))
    assert refusal_of(tmp_path / "it")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(RECORDING, tmp_path_factory.mktemp("good") / "it").read_bytes()


def read_bytes(data: bytes, path: Path) -> Recording | None:
    """Return the recording, or None where it is refused; anything else that is raised is a fault."""
    path.write_bytes(data)
    try:
        return read_recording(path)
    except RecordingError:
        return None


def test_cut_at_any_byte_it_is_refused(good: bytes, tmp_path: Path) -> None:
    assert [at for at in range(len(good)) if read_bytes(good[:at], tmp_path / "it") is not None] == []


def test_with_any_byte_flipped_it_is_refused_or_the_same(good: bytes, tmp_path: Path) -> None:
    """The gzip header has bytes that mean nothing: the time, and the system that it was made on."""
    for at in range(len(good)):
        found = read_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :], tmp_path / "it")
        assert found in (None, RECORDING), at
        assert found is None or at < 10, at


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=300,
)
@given(st.data())
def test_bytes_changed_inside_the_compression_are_refused_too(
    good: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    """As somebody would who can compute gzip's checksum: the digests are left, and what the headers say."""
    plain = bytearray(gzip.decompress(good))
    for _ in range(data.draw(st.integers(1, 3))):
        plain[data.draw(st.integers(0, len(plain) - 1))] = data.draw(st.integers(0, 255))
    found = read_bytes(gzip.compress(bytes(plain)), tmp_path / "it")
    if found is not None:
        # What the manifest itself says of the recording is bound by nothing but gzip's checksum.
        kept = ("made_at", "made_by", "command", "is_snapshot", "namespace", "clock")
        same = {name: getattr(RECORDING, name) for name in kept}
        assert msgspec.structs.replace(found, **same) == RECORDING

"""Cgroup paths of every driver and runtime, written out and read again."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.netns import ProcessCgroup
from netinspect.parse.cgroup import parse_cgroup_grep, parse_proc_cgroup

POD = "47c7da73-f486-45b6-b7ab-1bcf1bd63978"
CONTAINER = "322eb454a922b4f85c2c09486751945f206c00e28b0e4483eac2b66515ee976d"
OTHER = "0d1e2f3a" * 8

hex64 = st.text("0123456789abcdef", min_size=64, max_size=64)
uids = st.uuids().map(str) | st.text("0123456789abcdef", min_size=32, max_size=32)


@dataclass(frozen=True)
class Place:
    """Where a container's process is, in a node's terms."""

    uid: str
    container: str
    runtime: str | None
    qos: str
    driver: str
    root: str
    below: str


places = st.builds(
    Place,
    uid=uids,
    container=hex64,
    runtime=st.sampled_from([None, "cri-containerd", "crio", "docker", "libpod"]),
    qos=st.sampled_from(["", "burstable", "besteffort"]),
    driver=st.sampled_from(["cgroupfs", "systemd"]),
    # A node that is itself a container, the kubelet's own root, and a pod of an outer cluster.
    root=st.sampled_from(["", f"/docker/{OTHER}", f"/kubepods/besteffort/pod{POD}/{OTHER}"]),
    below=st.sampled_from(["", "/container", "/init.scope", f"/docker/{OTHER}", f"/libpod-{OTHER}.scope/x"]),
)


def print_path(place: Place) -> str:
    """Print a path as kubelet and runtime make it (cgroup_manager_linux.go, the runtimes' own drivers)."""
    prefix = f"{place.runtime}-" if place.runtime else ""
    if place.driver == "cgroupfs":
        levels = [
            "kubepods",
            *([place.qos] if place.qos else []),
            f"pod{place.uid}",
            prefix + place.container,
        ]
    else:
        qos = f"-{place.qos}" if place.qos else ""
        levels = ["kubepods.slice", *([f"kubepods{qos}.slice"] if qos else [])]
        levels += [
            f"kubepods{qos}-pod{place.uid.replace('-', '_')}.slice",
            f"{prefix}{place.container}.scope",
        ]
    return f"{place.root}/{'/'.join(levels)}{place.below}"


@given(places, st.sampled_from(["0::{}", "4:memory:{}", "1:name=systemd:{}", "12:pids:/\n4:memory:{}\n0::/"]))
def test_reads_what_it_would_print(place: Place, form: str) -> None:
    """For every driver, runtime, QoS level, nesting and hierarchy, pod and container come back unchanged."""
    found = parse_proc_cgroup(7, form.format(print_path(place)))
    assert found == ProcessCgroup(7, place.uid, place.container, place.runtime)


@given(places)
def test_never_takes_a_containers_monitor(place: Place) -> None:
    """conmon bears the container's id and runs in the node's netns: it is no process of the pod."""
    path = print_path(place).replace(place.container, f"conmon-{place.container}", 1)
    assert parse_proc_cgroup(7, f"0::{path}") is None


@given(places)
def test_reads_the_output_of_grep(place: Place) -> None:
    """The file's name in front of each line is taken off, and lines of one process are put together."""
    path = print_path(place)
    stdout = (
        f"/proc/7/cgroup:4:memory:{path}\n/proc/7/cgroup:0::/\n/proc/9/cgroup:0::/system.slice/ssh.service\n"
    )
    assert parse_cgroup_grep(stdout.encode()) == (parse_proc_cgroup(7, f"0::{path}"),)


def test_recognises_ids_of_other_forms_where_they_are_known() -> None:
    """Not every runtime's ids are 64 hex digits; those that the API names are found whole or after a prefix."""
    known = frozenset({"web-1.x", CONTAINER})
    for leaf in ("web-1.x", "web-1.x.scope", "other-web-1.x.scope"):
        found = parse_proc_cgroup(7, f"0::/kubepods/pod{POD}/{leaf}", known)
        assert found == ProcessCgroup(7, POD, "web-1.x", None)
    assert parse_proc_cgroup(7, f"0::/kubepods/pod{POD}/my-web-1.y", known) == ProcessCgroup(
        7, POD, None, None
    )


def test_needs_no_uid_beside_a_known_id() -> None:
    """A private cgroup namespace hides the pod's level, so an id that the API names is enough."""
    path = f"0::/../../../system.slice/docker-{CONTAINER}.scope"
    assert parse_proc_cgroup(7, path) is None
    assert parse_proc_cgroup(7, path, {CONTAINER}) == ProcessCgroup(7, None, CONTAINER, "docker")


@pytest.mark.parametrize(
    ("path", "runtime"),
    [
        (f"/../{CONTAINER}", None),
        (f"/../docker-{CONTAINER}.scope/init.scope", "docker"),
        (f"/../../../machine.slice/crio-{CONTAINER}.scope", "crio"),
        (f"/cri-containerd-{CONTAINER}.scope", "cri-containerd"),
    ],
)
def test_needs_no_uid_beside_a_container_that_must_be_a_pods(path: str, runtime: str | None) -> None:
    """The container next to our own in a private cgroup namespace, and those of runtimes that serve pods only."""
    assert parse_proc_cgroup(7, f"0::{path}") == ProcessCgroup(7, None, CONTAINER, runtime)


def test_takes_the_line_that_tells_most() -> None:
    """On a hybrid node one hierarchy can name the pod alone, and another the container too."""
    text = f"4:memory:/kubepods/pod{POD}\n3:pids:/kubepods/pod{POD}/{CONTAINER}\n0::/../{CONTAINER}\n"
    assert parse_proc_cgroup(7, text) == ProcessCgroup(7, POD, CONTAINER, None)


@pytest.mark.parametrize(
    "path",
    [
        f"/kubepods/besteffort/pod{POD}x/{CONTAINER}",
        f"/kubepods/pod{POD[:-1]}/{CONTAINER}",
        "/kubepods/pod47c7da73-f486_45b6-b7ab-1bcf1bd63978/x",
        f"/machine.slice/{CONTAINER}",
        f"/../../{CONTAINER}",
        "/..",
        "/",
    ],
)
def test_does_not_take_what_only_resembles_a_pod(path: str) -> None:
    """A UID must be whole, and be all of the component behind `pod`."""
    assert parse_proc_cgroup(7, f"0::{path}") is None


def test_empty_output_of_grep_means_no_process() -> None:
    """grep's way to say that nothing matched is to say nothing."""
    assert parse_cgroup_grep(b"") == ()


@pytest.mark.parametrize(
    "stdout", [b"0::/kubepods\n", b"/proc/self/cgroup:0::/\n", b"/proc/7/cgroup:kubepods\n", b"grep: x\n"]
)
def test_refuses_lines_of_another_form(stdout: bytes) -> None:
    """A line that is none of grep's, or of the kernel's, is shown and not skipped."""
    with pytest.raises(ParseError) as caught:
        parse_cgroup_grep(stdout)
    assert caught.value.line in stdout.decode()


@given(st.binary() | st.text("/proc/7cgroup:0\n-_.scopekubd" + "0123456789abcdef").map(str.encode))
def test_arbitrary_bytes_raise_nothing_else(stdout: bytes) -> None:
    """Whatever comes, it is processes or a ParseError."""
    with contextlib.suppress(ParseError):
        parse_cgroup_grep(stdout)


@given(st.text(st.characters(exclude_characters="\n")))
def test_any_path_is_read_without_complaint(path: str) -> None:
    """A cgroup may have any name but one with a line end; none makes the parser fail."""
    parse_proc_cgroup(7, f"0::/{path}")

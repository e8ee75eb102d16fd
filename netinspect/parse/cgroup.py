"""`/proc/PID/cgroup` -> which pod and which container a process belongs to.

A line is `hierarchy:controllers:path` (cgroup v1) or `0::path` (v2); a hybrid node has both in one file, and any
of them may bear the pod's path. Sources of the paths: kubelet cgroup_manager_linux.go (kubepods, QoS levels, the
systemd driver's `_` for `-`), containerd helpers.go getCgroupsPath (`cri-containerd`), CRI-O cgmgr (`crio`).

A path can be nested in others: a node that is itself a container has its own container's id in front, and a
process that moved itself (systemd, dockerd) has more components behind. So the pod is the last UID in the path,
and its container the first id after that UID.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

from netinspect.errors import ParseError
from netinspect.models.netns import ProcessCgroup
from netinspect.parse.tool_output import output_lines

_SOURCE = "/proc/PID/cgroup"
_GREP_SOURCE = "grep PATTERN /proc/[0-9]*/cgroup"

_LINE = re.compile(r"[0-9]+:[^:]*:(/.*)")
_GREP_LINE = re.compile(r"/proc/([0-9]{1,10})/cgroup:(.*)")
_POD_UID = re.compile(
    r"pod([0-9a-f]{8}([-_])[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?=/|$)"
)
_CONTAINER = re.compile(r"(?:(cri-containerd|crio|docker|libpod)-)?([0-9a-f]{64})(?:\.scope)?")
# The container's monitor: it bears the container's id and runs in the node's netns (crio-conmon, libpod-conmon).
_MONITOR = re.compile(r"(?:^|[/-])conmon-")
# Runtimes that make no containers but those of pods, so that their scope needs no UID beside it.
_POD_RUNTIMES = frozenset({"cri-containerd", "crio"})
_DELETED = " (deleted)"


def parse_cgroup_grep(stdout: bytes, known_ids: Container[str] = frozenset()) -> tuple[ProcessCgroup, ...]:
    """Read the output of `grep -s PATTERN /proc/[0-9]*/cgroup`: each line after its file's name.

    Processes of no pod are left out; the others come in the order in which they are first named. No output is
    grep's way to say that nothing matched.

    Raises:
        ParseError: a line has another form.
    """
    lines: dict[int, list[str]] = {}
    for line in output_lines(stdout):
        match = _GREP_LINE.fullmatch(line)
        if match is None:
            raise ParseError("a line without /proc/PID/cgroup: in front", source=_GREP_SOURCE, line=line)
        lines.setdefault(int(match[1]), []).append(match[2])
    found = (parse_proc_cgroup(pid, "\n".join(own), known_ids) for pid, own in lines.items())
    return tuple(process for process in found if process is not None)


def parse_proc_cgroup(pid: int, text: str, known_ids: Container[str] = frozenset()) -> ProcessCgroup | None:
    """Read one process's cgroups; None where they are no pod's, or where the process is a container's monitor.

    `known_ids` are container ids to recognise though they are not 64 hex digits, or though their path bears no
    pod UID (a private cgroup namespace hides what is above).

    Raises:
        ParseError: a line has another form.
    """
    best: ProcessCgroup | None = None
    for path in _paths(text):
        if _MONITOR.search(path):
            return None
        found = _read_path(pid, path, known_ids)
        if found is not None and (best is None or _weight(found) > _weight(best)):
            best = found
    return best


def _paths(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ParseError("a line that is not hierarchy:controllers:path", source=_SOURCE, line=line)
        yield match[1].removesuffix(_DELETED)


def _weight(found: ProcessCgroup) -> int:
    """How much a line tells: a hybrid node's v2 line can stop short of what the v1 lines say."""
    return 2 * (found.pod_uid is not None) + (found.container_id is not None)


def _read_path(pid: int, path: str, known_ids: Container[str]) -> ProcessCgroup | None:
    uids = list(_POD_UID.finditer(path))
    below = path[uids[-1].end() :] if uids else path
    runtime, container_id = _container(below, known_ids)
    if uids:
        return ProcessCgroup(pid, uids[-1][1].replace("_", "-"), container_id, runtime)
    if container_id is None:
        return None
    if container_id in known_ids or runtime in _POD_RUNTIMES or _is_sibling(path):
        return ProcessCgroup(pid, None, container_id, runtime)
    return None


def _container(path: str, known_ids: Container[str]) -> tuple[str | None, str | None]:
    """Return the runtime and the id of the first container in a path."""
    for component in path.split("/"):
        match = _CONTAINER.fullmatch(component)
        if match is not None:
            return match[1], match[2]
        known = _known_id(component.removesuffix(".scope"), known_ids)
        if known is not None:
            return None, known
    return None, None


def _known_id(name: str, known_ids: Container[str]) -> str | None:
    """Find a known id that is the whole name, or what follows one of its dashes (`RUNTIME-ID`)."""
    starts = [0, *(index + 1 for index, char in enumerate(name) if char == "-")]
    return next((name[start:] for start in starts if name[start:] in known_ids), None)


def _is_sibling(path: str) -> bool:
    """Whether the path is seen from inside a private cgroup namespace, as that of a container beside ours.

    `/../cri-containerd-X.scope`: one level up is our own pod. Further up could be anything that runs containers.
    """
    return path.startswith("/../") and _CONTAINER.fullmatch(path.split("/")[2]) is not None

"""What one command, or a snapshot, read: every answer of the API and of the nodes, in the order in which it came.

The form in which a recording is written down is in docs/recording.md; this is its meaning.
"""

from __future__ import annotations

import msgspec

from netinspect.models.command import CommandResult
from netinspect.models.debug_pod import Privilege


class RecordedError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A failure, as it has to come again.

    Attributes:
        kind: the name of its class in `netinspect.errors`: ClusterError, DeadlineError, DebugPodError ...
        message: what was attempted and what came of it.
        hint: what the user can do next.
        status: the HTTP status code, where an answer of the API server was the failure.
        reason: the reason of the API's Status object.
    """

    kind: str
    message: str
    hint: str = ""
    status: int | None = None
    reason: str = ""


class RecordedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A question to the API server and its answer.

    Attributes:
        path: from the server's root: of an object, or of a collection.
        is_list: whether a collection was listed (whole: its pages are joined).
        label_selector: as it was sent; "" for none.
        field_selector: likewise.
        body: the object or the list as JSON, without what is never recorded; b"" where the answer was an error.
        error: why there is no body.
    """

    path: str
    is_list: bool = False
    label_selector: str = ""
    field_selector: str = ""
    body: bytes = b""
    error: RecordedError | None = None


class RecordedResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one probe.

    Attributes:
        argv: the command that was run; empty for what the node side reads by itself (`probes.catalog.LISTINGS`).
        outcome: its exit code, output, duration, and the netns in which it ran.
    """

    argv: tuple[str, ...]
    outcome: CommandResult


class RecordedTrip(msgspec.Struct, frozen=True, kw_only=True):
    """One trip to a node.

    Attributes:
        node: the node's name.
        privilege: how much was to be seen there.
        how: the way onto the node in words, as notes say it: "with privilege sysadmin", "through pod demo/agent".
        pods: the keys of the pods that were looked for: listings of /proc are about these, and one without results was
            not found.
        netns: the inode of the netns that the node side ran in; None where not even that came.
        results: in the order in which they were made.
        is_whole: whether the answer ended with its own end mark.
        error: why nothing came.
    """

    node: str
    privilege: Privilege
    how: str = ""
    pods: tuple[str, ...] = ()
    netns: int | None = None
    results: tuple[RecordedResult, ...] = ()
    is_whole: bool = False
    error: RecordedError | None = None


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A whole recording.

    Attributes:
        made_at: when its making began, RFC 3339, UTC.
        made_by: the version of netinspect that made it.
        command: what was run, without the program's name and without anything secret ("rules web -o json").
        is_snapshot: whether it holds a cluster at large rather than what one command asked.
        namespace: the namespace of the context, or of `--namespace`.
        clock: every time that the command asked for, in seconds since the epoch, in the order in which it asked.
        requests: to the API server, in the order of their answers.
        trips: to nodes, in the order of their ends.
        log: the lines that the program itself said of its work (stderr).
    """

    made_at: str
    made_by: str
    command: str = ""
    is_snapshot: bool = False
    namespace: str = "default"
    clock: tuple[float, ...] = ()
    requests: tuple[RecordedRequest, ...] = ()
    trips: tuple[RecordedTrip, ...] = ()
    log: tuple[str, ...] = ()

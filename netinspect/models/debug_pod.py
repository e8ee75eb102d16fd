"""What a user may choose about the debug pod."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Privilege(StrEnum):
    """How much the debug pod may do, named as the profiles of `kubectl debug` are.

    NETADMIN: the node's network with NET_ADMIN and NET_RAW: enough for the node's own tables.
    SYSADMIN: privileged, with the node's PIDs: needed to enter a pod's netns.
    """

    NETADMIN = "netadmin"
    SYSADMIN = "sysadmin"


class Transport(StrEnum):
    """How the results leave the node.

    EXEC: the pod sleeps, and the script runs by exec.
    LOGS: the script is the pod's own command, and its log is read: for roles and nodes without exec.
    """

    EXEC = "exec"
    LOGS = "logs"


class DebugPodOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The command line's wishes about debug pods.

    Attributes:
        image: the image that holds the tools.
        image_pull_policy: `Always`, `IfNotPresent` or `Never`; None leaves it to the API server.
        image_pull_secrets: names of Secrets in the pod's namespace.
        namespace: where debug pods are made; None means the context's namespace.
        privilege: None means the least that serves the command.
        timeout_s: for the whole command.
        keep_s: leave the pod for later commands of the same user for so long; None deletes it at the end.
        via: NAMESPACE/POD or POD of a running host-network pod to use instead of one of ours.
        transport: how results leave the node.
    """

    image: str
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    namespace: str | None = None
    privilege: Privilege | None = None
    timeout_s: float = 120.0
    keep_s: float | None = None
    via: str | None = None
    transport: Transport = Transport.EXEC

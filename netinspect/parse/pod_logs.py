"""Names that the kubelet gives to logs -> which pod has which UID, and which container which id.

`/var/log/pods/NAMESPACE_NAME_UID` is a folder of each pod; the UID is the node's, which of a static pod is a hash
(kubelet, kuberuntime/helpers.go BuildPodLogsDirectory). `/var/log/containers/NAME_NAMESPACE_CONTAINER-ID.log` is a
link to each container's latest log (kuberuntime/legacy.go logSymlink). No name in either can hold an underscore.
"""

from __future__ import annotations

import re

from netinspect.models.local_host import ContainerLog, PodLogFolder

_POD = re.compile(r"([a-z0-9.-]+)_([a-z0-9.-]+)_([0-9a-zA-Z-]+)")
_CONTAINER = re.compile(r"([a-z0-9.-]+)_([a-z0-9.-]+)_([a-z0-9.-]+)-([0-9a-f]{64})\.log")


def parse_pod_log_folder(name: str) -> PodLogFolder | None:
    """Read the name of a folder in /var/log/pods; None where it is of another form, and so no pod's."""
    match = _POD.fullmatch(name)
    return PodLogFolder(match[1], match[2], match[3]) if match else None


def parse_container_log(name: str) -> ContainerLog | None:
    """Read the name of a link in /var/log/containers; None where it is of another form."""
    match = _CONTAINER.fullmatch(name)
    return ContainerLog(match[2], match[1], match[3], match[4]) if match else None

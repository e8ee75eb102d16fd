"""kube-proxy's settings of a node: asked of itself first, else read from where kubeadm keeps its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from netinspect.analyze.conntrack.kube_proxy_max import depends_on_version, is_capped
from netinspect.errors import ParseError
from netinspect.models.fact import Fact, Known, Reason, Unavailable
from netinspect.models.kubernetes import Node
from netinspect.models.node_limit import KubeProxyConntrack, LimitReading
from netinspect.parse.kube_proxy_config import parse_config_file
from netinspect.usecases.attempts import attempt

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource

_NAME, _KEY = "kube-system/kube-proxy", "config.conf"
_PATH = "/api/v1/namespaces/kube-system/configmaps/kube-proxy"


class _ConfigMap(msgspec.Struct):
    data: dict[str, str] = {}


def find_settings(api: ApiSource, reading: LimitReading) -> Fact[KubeProxyConntrack]:
    """Return kube-proxy's settings on a node: its own word, else kubeadm's ConfigMap.

    Raises:
        DeadlineError: time is up.
    """
    if isinstance(reading.kube_proxy, Known):
        return reading.kube_proxy
    kept = _read_config_map(api)
    if isinstance(kept, Unavailable):
        unasked = "it does not answer at its usual place (port 10249, /configz) on the node"
        return Unavailable(kept.reason, f"{unasked}, and {kept.detail}")
    return kept


def find_is_capped(api: ApiSource, settings: Fact[KubeProxyConntrack], reading: LimitReading) -> bool:
    """Whether the node's kube-proxy caps its limit. It is taken to be of the kubelet's version.

    Raises:
        ClusterError: the version matters, and the API server refused or failed.
    """
    cpus = reading.facts.value.cpus if isinstance(reading.facts, Known) else None
    if isinstance(settings, Unavailable) or not cpus or not depends_on_version(settings.value, cpus):
        return True
    node = api.get_object(Node, f"/api/v1/nodes/{quote(reading.node, safe='')}")
    return is_capped(node.status.node_info.kubelet_version)


def _read_config_map(api: ApiSource) -> Fact[KubeProxyConntrack]:
    kept = attempt(lambda: api.get_object(_ConfigMap, _PATH))
    if isinstance(kept, Unavailable):
        if kept.reason is Reason.NOT_FOUND:
            return Unavailable(kept.reason, f"there is no ConfigMap {_NAME}")
        return Unavailable(kept.reason, f"the ConfigMap {_NAME} could not be read: {kept.detail}")
    data = kept.value.data
    if _KEY not in data:
        return Unavailable(Reason.NOT_FOUND, f"the ConfigMap {_NAME} has no {_KEY}")
    try:
        return Known(parse_config_file(data[_KEY], f"ConfigMap {_NAME}, {_KEY}"))
    except ParseError as error:
        return Unavailable(Reason.UNPARSABLE, error.message)

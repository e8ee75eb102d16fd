"""kube-proxy's settings of connection tracking, as it tells them itself and as its configuration file has them.

Sources of the formats: kubernetes, cmd/kube-proxy/app/server.go (configz: a JSON object with one member, named for the
API group); kubeproxy.config.k8s.io/v1alpha1, KubeProxyConfiguration.
"""

from __future__ import annotations

import msgspec

from netinspect.errors import ParseError
from netinspect.models.codec import json_decoder
from netinspect.models.node_limit import KubeProxyConntrack
from netinspect.parse.tool_output import decode_output

_CONFIGZ = "kube-proxy's /configz"
_KIND = "KubeProxyConfiguration"


class _Conntrack(msgspec.Struct, rename="camel"):
    max_per_core: int | None = None
    min: int | None = None


class _Config(msgspec.Struct, kw_only=True):
    conntrack: _Conntrack = msgspec.field(default_factory=_Conntrack)
    kind: str = ""


class _Configz(msgspec.Struct):
    config: _Config = msgspec.field(name="kubeproxy.config.k8s.io")


_DECODER = json_decoder(_Configz)


def parse_configz(stdout: bytes) -> KubeProxyConntrack:
    """Read what kube-proxy answers at /configz: the settings that it runs with.

    Raises:
        ParseError: it is no JSON, is cut, or is another program's answer.
    """
    return _build(decode_output(_DECODER, stdout, _CONFIGZ).config, "kube-proxy's own /configz on the node")


def parse_config_file(text: str, origin: str) -> KubeProxyConntrack:
    """Read kube-proxy's configuration file (YAML).

    Args:
        text: the file.
        origin: what names it in messages and in the result.

    Raises:
        ParseError: it is no YAML, or no KubeProxyConfiguration.
    """
    import yaml  # late: most commands never read YAML

    try:
        config = msgspec.convert(yaml.safe_load(text), _Config)
    except (yaml.YAMLError, msgspec.ValidationError, RecursionError) as error:
        raise ParseError(str(error), source=origin) from error
    if config.kind != _KIND:
        raise ParseError(f'its kind is "{config.kind}", not {_KIND}', source=origin)
    return _build(config, origin)


def _build(config: _Config, origin: str) -> KubeProxyConntrack:
    return KubeProxyConntrack(
        max_per_core=config.conntrack.max_per_core, min=config.conntrack.min, origin=origin
    )

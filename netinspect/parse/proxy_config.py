"""kube-proxy's settings that change its rules, as it tells them itself at /configz.

Sources of the format: kubernetes, cmd/kube-proxy/app/server.go (configz: a JSON object with one member, named for the
API group). 1.36 writes its v1alpha1 form; earlier ones write the program's own struct, whose names begin with capitals
and of which parts stood elsewhere (`Linux.MasqueradeAll`, `DetectLocal.ClusterCIDRs` from 1.31 on): read of
pkg/proxy/apis/config/types.go of 1.28, 1.29, 1.31, 1.34 and 1.36.
"""

from __future__ import annotations

from typing import Any

import msgspec

from netinspect.errors import ParseError
from netinspect.models.proxy_config import LocalMode, ProxyConfig
from netinspect.models.service_map import Mode
from netinspect.parse.tool_output import decode_output

_CONFIGZ = "kube-proxy's /configz"
_GROUP = "kubeproxy.config.k8s.io"
_DECODER = msgspec.json.Decoder(dict[str, dict[str, Any]])
_UNREADABLE = (msgspec.ValidationError, ValueError, RecursionError)


class _Netfilter(msgspec.Struct):
    masquerade_all: bool = msgspec.field(name="masqueradeall", default=False)
    masquerade_bit: int | None = msgspec.field(name="masqueradebit", default=None)
    localhost_node_ports: bool | None = msgspec.field(name="localhostnodeports", default=None)


class _Ipvs(msgspec.Struct):
    scheduler: str = ""
    exclude_cidrs: tuple[str, ...] | None = msgspec.field(name="excludecidrs", default=None)
    strict_arp: bool = msgspec.field(name="strictarp", default=False)


class _DetectLocal(msgspec.Struct):
    bridge_interface: str = msgspec.field(name="bridgeinterface", default="")
    interface_name_prefix: str = msgspec.field(name="interfacenameprefix", default="")
    cluster_cidrs: tuple[str, ...] | None = msgspec.field(name="clustercidrs", default=None)


class _Linux(msgspec.Struct):
    masquerade_all: bool = msgspec.field(name="masqueradeall", default=False)


class _Config(msgspec.Struct, kw_only=True):
    mode: str
    iptables: _Netfilter = msgspec.field(default_factory=_Netfilter)
    nftables: _Netfilter = msgspec.field(default_factory=_Netfilter)
    ipvs: _Ipvs = msgspec.field(default_factory=_Ipvs)
    linux: _Linux = msgspec.field(default_factory=_Linux)
    detect_local: _DetectLocal = msgspec.field(name="detectlocal", default_factory=_DetectLocal)
    detect_local_mode: str = msgspec.field(name="detectlocalmode", default="")
    cluster_cidr: str = msgspec.field(name="clustercidr", default="")
    node_port_addresses: tuple[str, ...] | None = msgspec.field(name="nodeportaddresses", default=None)
    bind_address: str = msgspec.field(name="bindaddress", default="")
    hostname_override: str = msgspec.field(name="hostnameoverride", default="")


def parse_proxy_configz(stdout: bytes) -> ProxyConfig:
    """Read what kube-proxy answers at /configz: the settings that it runs with.

    Raises:
        ParseError: it is no JSON, is cut, is another program's answer, or names a mode that is not known.
    """
    answer = decode_output(_DECODER, stdout, _CONFIGZ)
    if _GROUP not in answer:
        raise ParseError(f"it has no member {_GROUP}", source=_CONFIGZ)
    told = answer[_GROUP]
    try:
        gates = msgspec.convert(_find(told, "featuregates") or {}, dict[str, bool])
        return _build(msgspec.convert(_lower(told), _Config), gates)
    except _UNREADABLE as error:
        raise ParseError(str(error), source=_CONFIGZ) from error


def _find(told: dict[str, Any], name: str) -> Any:
    return next((value for key, value in told.items() if key.lower() == name), None)


def _lower(told: Any) -> Any:
    """Return the same with all names in small letters, which is what all versions have in common."""
    if isinstance(told, dict):
        return {str(key).lower(): _lower(value) for key, value in told.items() if value is not None}
    return told


def _build(told: _Config, gates: dict[str, bool]) -> ProxyConfig:
    mode = Mode(told.mode or Mode.IPTABLES)
    own = told.nftables if mode is Mode.NFTABLES else told.iptables
    cidrs = tuple(each.strip() for each in told.cluster_cidr.split(",") if each.strip())
    return ProxyConfig(
        mode=mode,
        detect_local_mode=LocalMode(told.detect_local_mode or LocalMode.CLUSTER_CIDR),
        cluster_cidrs=cidrs or told.detect_local.cluster_cidrs or (),
        bridge_interface=told.detect_local.bridge_interface,
        interface_name_prefix=told.detect_local.interface_name_prefix,
        node_port_addresses=told.node_port_addresses or (),
        bind_address=told.bind_address,
        hostname_override=told.hostname_override,
        masquerade_all=own.masquerade_all or told.linux.masquerade_all,
        masquerade_bit=14 if own.masquerade_bit is None else own.masquerade_bit,
        localhost_node_ports=told.iptables.localhost_node_ports is not False,
        scheduler=told.ipvs.scheduler,
        exclude_cidrs=told.ipvs.exclude_cidrs or (),
        strict_arp=told.ipvs.strict_arp,
        feature_gates=gates,
    )

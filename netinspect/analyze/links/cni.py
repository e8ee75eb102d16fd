"""Which CNI plugin a node link looks like the work of.

Names and masters suggest, they do not prove: prefixes are settings, and one node can carry links of several plugins
(Canal has Calico's links and flannel's overlay). Only a name that is computed from the pod's own name or id, and is
equal, says "verified". Sources: calico workload_endpoint_default.go, amazon-vpc-cni-k8s names.go (the same hash, on
purpose), azure-container-networking endpoint_linux.go, cilium connector/link.go, antrea interface_name.go,
ovn-kubernetes cni/helper_linux.go, containernetworking/plugins link_linux.go.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

from netinspect.models.veth import CniHint, HostLink

_HASH_DIGITS = 11
# A pod with several ENIs has the index of each but the first one in the hashed name.
_MAX_AWS_INDEX = 8
_BRIDGE = "bridge plugin (flannel and k3s use it too)"

_HASHED_PREFIXES = {
    "cali": "Calico",
    "eni": "AWS VPC CNI",
    "vlan": "AWS VPC CNI (pod with its own ENI)",
    "gke": "GKE",
}
_MASTERS = {
    "cni0": _BRIDGE,
    "cbr0": "kubenet or bridge plugin",
    "kube-bridge": "kube-router",
    "azure0": "Azure CNI",
    "weave": "Weave Net",
    "docker0": "docker's own bridge",
    "ovs-system": "Open vSwitch (Antrea or OVN-Kubernetes)",
}
# The master outweighs what a name of the library's general form says, so `veth` + 8 hex digits stands last.
_NAMES = (
    (re.compile(r"cali[0-9a-f]{11}"), "Calico"),
    (re.compile(r"eni[0-9a-f]{11}|vlan\.eth\.[0-9]+|vlan[0-9a-f]{11}"), "AWS VPC CNI"),
    (re.compile(r"azv[0-9a-f]{7}(?:[0-9a-f]{4})?"), "Azure CNI"),
    (re.compile(r"lxc_health|lxc[0-9a-f]{5,12}"), "Cilium"),
    (re.compile(r"gke[0-9a-f]{11}"), "GKE"),
    (re.compile(r"vethwepl.+"), "Weave Net"),
)
_LIBRARY_NAME = re.compile(r"veth[0-9a-f]{8}")


def suggest_cni(host: HostLink, namespace: str, name: str, container_ids: Collection[str]) -> CniHint | None:
    """Suggest the plugin that made a node link, given its pod's name and its containers' ids (the sandbox's too).

    Returns:
        None where nothing about the link is any plugin's own.
    """
    return (
        _by_pod_hash(host.ifname, namespace, name)
        or _by_container_id(host.ifname, name, container_ids)
        or _by_name(host)
        or _by_master(host)
        or _by_library(host)
    )


def pod_hash(namespace: str, name: str) -> str:
    """Return the 11 hex digits that Calico and the AWS VPC CNI end a node link's name with."""
    return hashlib.sha1(f"{namespace}.{name}".encode(), usedforsecurity=False).hexdigest()[:_HASH_DIGITS]


def _by_pod_hash(ifname: str, namespace: str, name: str) -> CniHint | None:
    prefix, digits = ifname[:-_HASH_DIGITS], ifname[-_HASH_DIGITS:]
    hashed = [name]
    if prefix in ("eni", "vlan"):
        hashed += [f"{name}.{index}" for index in range(1, _MAX_AWS_INDEX)]
    for each in hashed:
        if prefix and digits == pod_hash(namespace, each):
            family = _HASHED_PREFIXES.get(prefix, "Calico, or a plugin that names links as it does")
            return CniHint(
                family, True, f'verified by name hash: sha1("{namespace}.{each}") begins with {digits}'
            )
    return None


def _by_container_id(ifname: str, name: str, container_ids: Collection[str]) -> CniHint | None:
    for id_ in container_ids:
        if len(ifname) == 15 and id_.startswith(ifname):
            return CniHint(
                "OVN-Kubernetes", True, f"verified by name: container id {id_} begins with {ifname}"
            )
        digits = hashlib.sha1(id_.encode(), usedforsecurity=False).hexdigest()[:6]
        if ifname == f"{name[:8]}-{digits}":
            return CniHint(
                "Antrea", True, f"verified by name hash: sha1 of container id {id_} begins with {digits}"
            )
    return None


def _by_name(host: HostLink) -> CniHint | None:
    for pattern, family in _NAMES:
        if pattern.fullmatch(host.ifname):
            shown = "Cilium in netkit mode" if (family, host.kind) == ("Cilium", "netkit") else family
            return CniHint(shown, False, f"the name {host.ifname} is of the form that {family} gives")
    return None


def _by_master(host: HostLink) -> CniHint | None:
    family = _MASTERS.get(host.master or "")
    return CniHint(family, False, f"{host.ifname} is a port of {host.master}") if family else None


def _by_library(host: HostLink) -> CniHint | None:
    if host.kind == "netkit":
        return CniHint("Cilium in netkit mode", False, f"{host.ifname} is a netkit device")
    if host.kind != "veth" or not _LIBRARY_NAME.fullmatch(host.ifname):
        return None
    what = f"a port of {host.master}" if host.master else "no port of a bridge"
    family = "bridge plugin, or one built on its library" if host.master else "ptp plugin, or kindnet"
    return CniHint(
        family, False, f"the name {host.ifname} is the CNI library's random form, and it is {what}"
    )

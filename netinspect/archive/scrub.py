"""What is never recorded, taken out of objects of the API and of nodes' output.

What goes: values that people give to their programs (environment, command lines, hooks, headers of HTTP probes,
volumes) and what quotes them (messages of containers' ends, texts of events), copies of whole objects
(last-applied-configuration, managedFields), the names of image pull secrets, and whatever has the shape of a private
key or a bearer token, wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

HIDDEN = "***"
"""Stands for what was taken out of a text."""

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_GONE_FROM_SPEC = ("imagePullSecrets", "volumes")
_GONE_FROM_CONTAINER = ("command", "args", "lifecycle", "volumeMounts", "volumeDevices")
_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_STATES = ("state", "lastState")
_KEPT_EVENTS = frozenset(
    (
        *("FailedCreatePodSandBox", "NetworkNotReady", "SandboxChanged", "Scheduled", "FailedScheduling"),
        *("NodeNotReady", "NodeReady", "FailedToUpdateEndpoint", "FailedToUpdateEndpointSlices"),
        *("EnsuringLoadBalancer", "EnsuredLoadBalancer", "SyncLoadBalancerFailed", "IPAllocationFailed"),
    )
)
"""Reasons of events whose text is about the network. Others quote command lines, output of probes, names of Secrets."""

_MACHINE_IDS = ("machineID", "systemUUID", "bootID")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_KEPT_OF_MANAGED_FIELDS = ("manager", "operation", "time")
_KEPT_CONFIG_MAPS = {
    "coredns",
    "dns-default",
    "rke2-coredns-rke2-coredns",
    "node-local-dns",
    "kube-proxy",
    "cilium-config",
}
"""ConfigMaps of a cluster's DNS and dataplane: the only ones whose data is read."""

_SECRETS = (
    (
        b"PRIVATE KEY",
        re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S),
    ),
    (b"eyJ", re.compile(rb"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")),
    (b"earer", re.compile(rb"(?<=earer )[\w.~+/=-]{12,}")),
)
"""Words without which a pattern cannot match, and the pattern: a PEM private key, a JSON Web Token, a bearer token."""

_LSNS = "namespaces"
_LSNS_COMMAND = re.compile(rb'("command"\s*:\s*")((?:[^"\\]|\\.)*)')


def scrub_object(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object of the API without what is never recorded. What is scrubbed stays as it is.

    Args:
        value: the object, as JSON is decoded. A list is told by its `items`.
    """
    items = value.get("items")
    if isinstance(items, list) and str(value.get("kind", "List")).endswith("List"):
        scrubbed = {key: _scrub(each) for key, each in value.items() if key != "items"}
        return {
            **scrubbed,
            "items": [scrub_object(each) if isinstance(each, dict) else each for each in items],
        }
    kind = value.get("kind")
    if kind == "Secret":
        return {key: _scrub(each) for key, each in value.items() if key not in ("data", "stringData")}
    if kind == "ConfigMap" and not _is_kept(value):
        return {key: _scrub(each) for key, each in value.items() if key not in ("data", "binaryData")}
    if kind == "Event" and value.get("reason") not in _KEPT_EVENTS:
        return {key: _scrub(each) for key, each in value.items() if key not in ("message", "note")}
    scrubbed_object: dict[str, Any] = _scrub(value)
    return scrubbed_object


def scrub_output(probe: str, data: bytes) -> bytes:
    """Return what a probe printed without what is never recorded: of command lines only the program's name stays.

    Args:
        probe: its name; a number may stand behind it.
        data: its output, whole or cut.
    """
    if probe.partition("-")[0] == _LSNS:
        data = _LSNS_COMMAND.sub(_first_word, data)
    return scrub_bytes(data)


def scrub_text(text: str) -> str:
    """Return a text without what has the shape of a secret."""
    data = text.encode("utf-8", "surrogatepass")
    scrubbed = scrub_bytes(data)
    return text if scrubbed is data else scrubbed.decode("utf-8", "surrogatepass")


def scrub_bytes(data: bytes) -> bytes:
    """Return bytes without what has the shape of a secret; the same object where there is none."""
    for word, pattern in _SECRETS:
        if word in data:
            data = pattern.sub(HIDDEN.encode(), data)
    return data


def _first_word(found: re.Match[bytes]) -> bytes:
    program = found[2].split(b" ", 1)[0]
    return found[1] + program.rpartition(b"/")[2]


def _is_kept(config_map: dict[str, Any]) -> bool:
    metadata = config_map.get("metadata")
    return isinstance(metadata, dict) and metadata.get("name") in _KEPT_CONFIG_MAPS


def _scrub(value: Any) -> Any:
    """Scrub a value of any depth. What a dict is, is told by its keys: pods stand in pods and in templates."""
    if isinstance(value, str):
        return scrub_text(value)
    if isinstance(value, list):
        return [_scrub(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {key: each for key, each in value.items() if not _is_dropped(key, value)}
    return {key: _RULES.get(key, _scrub)(each) for key, each in kept.items()}


def _is_dropped(key: str, of: dict[str, Any]) -> bool:
    return key in _GONE_FROM_SPEC and any(each in of for each in _CONTAINERS)


def _scrub_annotations(value: Any) -> Any:
    if not isinstance(value, dict):
        return _scrub(value)
    return {key: _scrub(each) for key, each in value.items() if key != _LAST_APPLIED}


def _scrub_managed_fields(value: Any) -> Any:
    return _of_each(value, lambda each: {key: each[key] for key in _KEPT_OF_MANAGED_FIELDS if key in each})


def _scrub_containers(value: Any) -> Any:
    return _of_each(value, _scrub_container)


def _scrub_container(value: dict[str, Any]) -> dict[str, Any]:
    kept = {key: _scrub(each) for key, each in value.items() if key not in (*_GONE_FROM_CONTAINER, "env")}
    if "env" in value:
        kept["env"] = _of_each(value["env"], lambda each: {"name": each["name"]} if "name" in each else {})
    for name in _PROBES:
        if isinstance(kept.get(name), dict):
            kept[name] = {key: _without_headers(each) for key, each in kept[name].items() if key != "exec"}
    return kept


def _scrub_statuses(value: Any) -> Any:
    """Leave out what a container said at its end, and what could not be run: a runtime quotes the command."""
    return _of_each(
        value,
        lambda status: {
            key: _scrub_state(each) if key in _STATES else _scrub(each) for key, each in status.items()
        },
    )


def _scrub_state(value: Any) -> Any:
    if not isinstance(value, dict):
        return _scrub(value)
    return {key: _without(each, "message") for key, each in value.items()}


def _without(value: Any, *names: str) -> Any:
    if not isinstance(value, dict):
        return _scrub(value)
    return {key: _scrub(each) for key, each in value.items() if key not in names}


def _without_headers(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: each for key, each in value.items() if key != "httpHeaders"}


def _of_each(value: Any, scrub: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """Scrub a list of objects; what is none is not what it is said to be, and goes."""
    return [scrub(each) for each in value if isinstance(each, dict)] if isinstance(value, list) else []


_RULES: dict[str, Callable[[Any], Any]] = {
    "annotations": _scrub_annotations,
    "managedFields": _scrub_managed_fields,
    "nodeInfo": lambda value: _without(value, *_MACHINE_IDS),
    **dict.fromkeys(_CONTAINERS, _scrub_containers),
    **dict.fromkeys(_STATUSES, _scrub_statuses),
}

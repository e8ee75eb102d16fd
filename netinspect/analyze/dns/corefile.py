"""What a Corefile says that matters for diagnosis: the cluster domain, the upstreams, the plugins at work."""

from __future__ import annotations

from collections.abc import Iterator

from netinspect.models.corefile import Corefile, CorefileDirective, CorefileServer
from netinspect.parse.corefile_zones import has_variable, parse_zones

_REVERSE_TREES = ("in-addr.arpa.", "ip6.arpa.")


def find_cluster_domain(corefile: Corefile) -> str | None:
    """Return the cluster domain without the root's dot; None where the file does not say.

    It is the first zone of the first `kubernetes` plugin that is no reverse zone; the server block's own zone where
    the plugin lists none (CoreDNS, plugin/kubernetes/setup.go). The root is none: no kubelet takes it for a domain.
    Where that zone is a variable, only the server knows it.
    """
    for server, plugin in _plugins(corefile, "kubernetes"):
        for zone in _forward_zones(server, plugin):
            if has_variable(zone):
                return None
            if zone != ".":
                return zone.removesuffix(".")
    return None


def is_reverse_zone(zone: str) -> bool:
    """Whether a zone, written with or without the root's dot, has names of addresses: in-addr.arpa, ip6.arpa."""
    name = zone.lower().removesuffix(".") + "."
    return any(name == tree or name.endswith(f".{tree}") for tree in _REVERSE_TREES)


def list_upstreams(corefile: Corefile) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return each `forward` as its FROM zone and its TO addresses or files, as written."""
    return tuple(
        (plugin.arguments[0], plugin.arguments[1:])
        for _, plugin in _plugins(corefile, "forward")
        if plugin.arguments
    )


def servers_with(corefile: Corefile, plugin: str) -> tuple[CorefileServer, ...]:
    """Return the server blocks that a plugin is used in: `loop`, `cache`, `hosts`, `rewrite`, `acl`, `template`."""
    return tuple(server for server in corefile.servers if any(each.name == plugin for each in server.plugins))


def _plugins(corefile: Corefile, name: str) -> Iterator[tuple[CorefileServer, CorefileDirective]]:
    for server in corefile.servers:
        for plugin in server.plugins:
            if plugin.name == name:
                yield server, plugin


def _forward_zones(server: CorefileServer, plugin: CorefileDirective) -> Iterator[str]:
    listed = [zone for argument in plugin.arguments for zone in parse_zones(argument)]
    for zone in listed if plugin.arguments else server.zones:
        if not is_reverse_zone(zone.zone):
            yield zone.zone

"""Make the captures of `tests/captures/dataplanes` anew: what real kube-proxies of several versions write.

As root: `python tests/captures/capture_dataplanes.py [NAME-PREFIX ...]`. Each is a folder `VERSION-MODE[-CASE]`:

- `iptables-save.txt`, `ip6tables-save.txt`, `nft.json`: the node's whole rules, as printed. (nft shows iptables' rules
  too; of the iptables mode `nft.json` is kept in the plain cases only.)
- `addresses.json` (`ip -j addr`), `configz.json` and `proxy-mode.txt` (kube-proxy's own words).
- `services.json`, `endpointslices.json`, `nodes.json`: the API's objects, without managedFields.
- `meta.json`: versions, kernel, command, configuration.

Files of more than 32 KiB are gzipped (`.gz`). `load` reads one, whichever it is.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.captures.kube_proxy_lab import (
    CONFIGURATION,
    NAMESPACE,
    Lab,
    Setting,
    new_lab,
    record,
    version_line,
)
from tests.cluster.bench import old_kube_proxy
from tests.cluster.service_shapes import Builder, Shape, build_few_shapes, build_large_shape, build_shapes

DATAPLANES = Path(__file__).parent / "dataplanes"
_GZIP_ABOVE = 32 * 1024

NEW, OLD, OLDER, OLDEST = "1.36.2", "1.34.3", "1.29.0", "1.28.15"
# What changed in the nftables mode between them.
_BETWEEN = ("1.33.5", "1.31.0")
_GATE = {"featureGates": {"NFTablesProxyMode": True}}
# Settings of kube-proxy's that change its rules.
SETTINGS: dict[str, dict[str, Any]] = {
    "primary": {"nodePortAddresses": ["primary"]},
    "cidr": {"nodePortAddresses": ["192.168.77.0/24", "fd00:77::/64"]},
    "any": {"nodePortAddresses": ["0.0.0.0/0", "::/0"]},
    "masquerade": {mode: {"masqueradeAll": True, "masqueradeBit": 10} for mode in ("iptables", "nftables")},
    "bridge": {"detectLocalMode": "BridgeInterface", "detectLocal": {"bridgeInterface": "cni0"}},
    "prefix": {"detectLocalMode": "InterfaceNamePrefix", "detectLocal": {"interfaceNamePrefix": "veth"}},
    "node-cidr": {"detectLocalMode": "NodeCIDR"},
    "no-cidr": {"clusterCIDR": ""},
    "no-localhost": {"iptables": {"localhostNodePorts": False}},
}
_ONLY_IPTABLES = frozenset({"no-localhost"})


@dataclass(frozen=True)
class Case:
    """One capture."""

    version: str
    mode: str
    shapes: Callable[[Builder], tuple[Shape, ...]] = build_shapes
    name: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    is_legacy: bool = False

    @property
    def folder(self) -> str:
        """The capture's folder."""
        return "-".join(word for word in (self.version, self.mode, self.name) if word)


def cases() -> Iterator[Case]:
    """Return all captures; those of the same Services stand together."""
    for version in (NEW, OLD):
        for mode in ("iptables", "nftables"):
            yield Case(version, mode)
    yield from (Case(version, "nftables") for version in _BETWEEN)
    yield Case(OLDER, "iptables")
    yield Case(OLDER, "nftables", _without_any, extra=_GATE)
    yield Case(OLDEST, "iptables")
    for name, extra in SETTINGS.items():
        for mode in ("iptables", "nftables"):
            if mode == "iptables" or name not in _ONLY_IPTABLES:
                yield Case(NEW, mode, build_few_shapes, name, extra)
    yield Case(NEW, "iptables", build_few_shapes, "legacy", is_legacy=True)
    # By index, not by name (`iif`); with a prefix of names it writes what nft refuses as a whole.
    yield Case(OLDER, "nftables", build_few_shapes, "bridge", {**_GATE, **SETTINGS["bridge"]})
    yield from (Case(NEW, mode, _large, "large") for mode in ("iptables", "nftables"))
    yield Case(OLDEST, "iptables", _large, "large")


def main() -> None:
    """Record all captures, or those whose folders begin with one of the words."""
    wanted = [each for each in cases() if each.folder.startswith(tuple(sys.argv[1:] or [""]))]
    programs = {version: old_kube_proxy.build(version) for version in {each.version for each in wanted}}
    with new_lab() as lab:
        for shapes in dict.fromkeys(each.shapes for each in wanted):
            with lab.services(shapes(Builder(NAMESPACE))):
                for case in (each for each in wanted if each.shapes is shapes):
                    capture(lab, case, programs[case.version], DATAPLANES / case.folder)
                    sys.stdout.write(f"{case.folder}\n")


def load(folder: Path, name: str) -> str:
    """Return a capture's file as text."""
    packed = folder / f"{name}.gz"
    return gzip.decompress(packed.read_bytes()).decode() if packed.exists() else (folder / name).read_text()


def _large(builder: Builder) -> tuple[Shape, ...]:
    return (build_large_shape(builder), *build_few_shapes(builder))


def _without_any(builder: Builder) -> tuple[Shape, ...]:
    """Return the shapes that 1.29.0 can write as nftables.

    A source range that holds the load balancer's own address (/0) makes it add an element twice, and nft then refuses
    the whole transaction: nothing of any Service is written.
    """
    return tuple(shape for shape in build_shapes(builder) if shape.name != "ranges-any")


def capture(lab: Lab, case: Case, program: Path, folder: Path) -> None:
    """Run a kube-proxy and record all that a capture holds; the lab has the case's Services already."""
    setting = Setting(program, case.mode, case.extra, case.is_legacy)
    with lab.node() as node, lab.kube_proxy(node, setting):
        files = record(node, setting)
    if case.mode == "iptables" and case.name:
        # nft shows iptables' rules a second time: once a version is enough.
        del files["nft.json"]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in {**files, "meta.json": _meta(case, setting)}.items():
        _write(folder / name, text)


def _write(path: Path, text: str) -> None:
    data = text.encode()
    if len(data) > _GZIP_ABOVE:
        # Without a time, so that the same text is the same file.
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(data, mtime=0))
    else:
        path.write_bytes(data)


def _meta(case: Case, setting: Setting) -> str:
    meta = {
        "origin": "captured",
        "kubeProxy": case.version,
        "mode": case.mode,
        "case": case.name,
        "command": f"kube-proxy --config={CONFIGURATION}",
        "configuration": setting.configuration,
        "api": NEW,
        "kernel": ".".join(os.uname().release.split(".")[:2]),
        "iptables": version_line(f"iptables-{'legacy' if case.is_legacy else 'nft'}", "--version"),
        "nft": version_line("nft", "--version"),
        "ip": version_line("ip", "-V"),
    }
    return json.dumps(meta, indent=1) + "\n"


if __name__ == "__main__":
    main()

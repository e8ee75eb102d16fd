"""Build kube-proxies of other versions from the Go module proxy's sources, once per version.

Each has a go.mod of its own below `go/`, since no two versions of Kubernetes fit into one. Not every patch release is
whole there: 1.30.14, 1.31.14 and 1.33.6 lack a module or its checksum.
"""

from __future__ import annotations

from pathlib import Path

from tests.cluster.bench import golang, paths

PACKAGE = "k8s.io/kubernetes/cmd/kube-proxy"


def versions() -> list[str]:
    """The versions that can be built beside the cluster's own."""
    return sorted(each.name.removeprefix("kube-proxy-") for each in paths.GO_MODULES.glob("kube-proxy-*"))


def build(version: str) -> Path:
    """Return the kube-proxy of a version; builds it where the cache lacks it (a minute or two on two cores)."""
    own = golang.kubernetes_bin()
    if own.name == f"kubernetes-v{version}":
        return golang.build_kubernetes() / "kube-proxy"
    program = own.with_name(f"kubernetes-v{version}") / "kube-proxy"
    stamp = f"-X k8s.io/component-base/version.gitVersion=v{version}"
    golang.build(f"kube-proxy-{version}", PACKAGE, program, stamp)
    return program

"""Build the cluster's programs from the Go module proxy's sources, once per version.

The versions are written in one place only: the go.mod files below `go/`.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from tests.cluster.bench import paths
from tests.cluster.bench.shell import BenchError, run

NEEDED_GO = (1, 26)
KUBERNETES_PROGRAMS = (
    "kubectl",
    "kube-proxy",
    "kube-scheduler",
    "kubelet",
    "kube-controller-manager",
    "kube-apiserver",
)


def kubernetes_bin() -> Path:
    """The cache folder that holds kubectl and the five daemons of the version in go.mod."""
    return paths.cache() / f"kubernetes-{_required_version('kubernetes', 'k8s.io/kubernetes')}"


def build_kubernetes() -> Path:
    """Build what is missing of Kubernetes (about 8 minutes on two cores, cold)."""
    # Kubernetes' own release scripts stamp the version the same way; without it every program says v0.0.0.
    version = _required_version("kubernetes", "k8s.io/kubernetes")
    stamp = f"-X k8s.io/component-base/version.gitVersion={version}"
    for program in KUBERNETES_PROGRAMS:
        build("kubernetes", f"k8s.io/kubernetes/cmd/{program}", kubernetes_bin() / program, stamp)
    return kubernetes_bin()


def build_coredns() -> Path:
    """Build CoreDNS (about 2.5 minutes on two cores, cold)."""
    module = "github.com/coredns/coredns"
    program = paths.cache() / f"coredns-{_required_version('coredns', module)}" / "coredns"
    build("coredns", module, program)
    return program


def build_own(name: str) -> Path:
    """Build one of our own small programs below `go/`, keyed by its sources."""
    digest = hashlib.sha256()
    for source in sorted((paths.GO_MODULES / name).iterdir()):
        digest.update(source.read_bytes())
    program = paths.cache() / f"{name}-{digest.hexdigest()[:12]}" / name
    build(name, ".", program)
    return program


def build(module: str, package: str, program: Path, linker_flags: str = "") -> None:
    """Build one program unless the cache has it; a build that is killed leaves nothing that looks whole."""
    if program.exists():
        return
    _require_go()
    print(f"building {program.name} ...", flush=True)
    program.parent.mkdir(parents=True, exist_ok=True)
    unfinished = program.with_name(f".{program.name}.{os.getpid()}")
    flags = ["-trimpath", "-ldflags", f"-s -w {linker_flags}".strip()]
    try:
        # Without cgo the programs are static: they run in an image that holds nothing else.
        run(
            ["go", "build", *flags, "-o", unfinished, package],
            cwd=paths.GO_MODULES / module,
            env={**os.environ, "CGO_ENABLED": "0"},
        )
        unfinished.rename(program)
    finally:
        unfinished.unlink(missing_ok=True)


def _require_go() -> None:
    needed = ".".join(map(str, NEEDED_GO))
    try:
        said = run(["go", "env", "GOVERSION"])
    except BenchError:
        raise BenchError(f"the test cluster is built from source: put Go {needed} or newer on PATH") from None
    found = re.search(r"go(\d+)\.(\d+)", said)
    if not found or (int(found[1]), int(found[2])) < NEEDED_GO:
        raise BenchError(f"the go on PATH is {said.strip()}: the test cluster needs Go {needed} or newer")


def _required_version(module: str, requirement: str) -> str:
    """The version that `go/<module>/go.mod` requires."""
    text = (paths.GO_MODULES / module / "go.mod").read_text()
    found = re.search(rf"^(?:require)?\s*{re.escape(requirement)} (v\S+)", text, re.MULTILINE)
    if not found:
        raise BenchError(f"{module}/go.mod does not require {requirement}")
    return found[1]

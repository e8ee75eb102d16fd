"""Container images without a registry: docker-archive files that `ctr images import` reads.

A docker-archive is a tar of one tar per layer, an image configuration, and a `manifest.json` that names both
(Docker Image Specification v1.2, "Combined Image JSON + Filesystem Changeset Format").
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from pathlib import Path

from tests.cluster.bench import debian_tree, golang, paths

PAUSE = "netinspect.test/pause:1"
WEB = "netinspect.test/web:1"
COREDNS = "netinspect.test/coredns:1"
NODE_TOOLS = "netinspect.test/node-tools:1"
SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make_all() -> list[Path]:
    """Make what the cache lacks and return every image's archive."""
    return [
        _program_image(PAUSE, golang.build_own("pause")),
        _program_image(WEB, golang.build_own("web")),
        _program_image(COREDNS, golang.build_coredns()),
        node_tools_image(),
    ]


def _program_image(name: str, program: Path) -> Path:
    """An image that holds one static program and runs it."""
    # Beside the program, whose folder is keyed by its version or its sources.
    archive = program.with_name(f"{program.name}.image.tar")
    if not archive.exists():
        with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
            layer = Path(folder) / "layer.tar"
            with tarfile.open(layer, "w") as tar:
                entry = tarfile.TarInfo(program.name)
                entry.mode, entry.size = 0o755, program.stat().st_size
                with program.open("rb") as content:
                    tar.addfile(entry, content)
            _write_archive(archive, name, layer, [f"/{program.name}"])
    return archive


def node_tools_image() -> Path:
    """Make the node-tools image if the cache lacks it, and return its archive."""
    folder = paths.cache() / f"node-tools-{debian_tree.recipe_key()}"
    archive = folder / "node-tools.image.tar"
    if not archive.exists():
        print("making the node-tools image ...", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            layer = debian_tree.write_layer(Path(work))
            _write_archive(archive, NODE_TOOLS, layer, [])
    return archive


def _write_archive(archive: Path, name: str, layer: Path, entrypoint: list[str]) -> None:
    """Write the docker-archive beside the layer, then move it into place: half an archive is never found."""
    config = {
        "architecture": _go_architecture(),
        "os": "linux",
        "config": {"Env": [SEARCH_PATH], "Entrypoint": entrypoint},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_sha256(layer)}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    unfinished = layer.with_name("archive.tar")
    with tarfile.open(unfinished, "w") as tar:
        _add_json(tar, "manifest.json", manifest)
        _add_json(tar, "config.json", config)
        tar.add(layer, "layer.tar")
    unfinished.rename(archive)


def _add_json(tar: tarfile.TarFile, name: str, value: object) -> None:
    content = json.dumps(value).encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _go_architecture() -> str:
    """This machine's architecture in the words of image configurations, which are Go's."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)

"""The machine's file tree: the node-tools image's, with Debian's kernel, its modules and kmod. Made once and kept.

It lies beside the test bench's images, keyed by what it is made from, and is shared read-only with every machine.
"""

from __future__ import annotations

import fcntl
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.bench import debian_tree, images, paths
from tests.cluster.bench.shell import BenchError, run

KERNEL = "linux-image-amd64"
PACKAGES = ("busybox-static", "kmod", "libkmod2")
# Two thirds of the kernel package: drivers of hardware that qemu has not.
NOT_KEPT = tuple(
    f"./lib/modules/*/kernel/{folder}"
    for folder in (
        "drivers/gpu",
        "drivers/infiniband",
        "drivers/media",
        "drivers/net/ethernet",
        "drivers/net/wireless",
        "drivers/scsi",
        "drivers/staging",
        "drivers/usb",
        "sound",
    )
)


def make_tree() -> Path:
    """Return the tree's folder; make it first if the cache lacks it (about half a minute, and the image's 100 s).

    Raises:
        BenchError: a package could not be had, or not be unpacked.
    """
    tree = paths.cache() / f"machine-{_recipe_key()}"
    with _lock():
        if not tree.exists():
            archive = images.node_tools_image()
            with tempfile.TemporaryDirectory(dir=paths.cache()) as work:
                _make_in(Path(work), archive).rename(tree)
    return tree


def kernel(tree: Path) -> Path:
    """Return the file that qemu boots."""
    return _only(tree / "boot", "vmlinuz-*")


def modules(tree: Path) -> Path:
    """Return the folder of the kernel's modules, which bears the kernel's release as its name."""
    return _only(tree / "usr/lib/modules", "*")


def list_needed(tree: Path, *names: str) -> list[Path]:
    """Return the files of these modules and of all that they need, in the order in which they can be loaded.

    Source: modules.dep(5); modprobe loads what stands behind the colon from right to left, as depmod sorts it.
    """
    folder = modules(tree)
    needed = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        file, _, others = line.partition(":")
        needed[Path(file).stem] = [*reversed(others.split()), file]
    return [folder / file for file in dict.fromkeys(file for name in names for file in needed[name])]


def _recipe_key() -> str:
    """A key that changes with whatever the tree is made from."""
    return hashlib.sha256(
        "\n".join((debian_tree.recipe_key(), KERNEL, *PACKAGES, *NOT_KEPT)).encode()
    ).hexdigest()[:12]


@contextmanager
def _lock() -> Iterator[None]:
    """Let one run make the tree and the others wait; the kernel lets go of a killed one's lock."""
    paths.cache().mkdir(parents=True, exist_ok=True)
    with (paths.cache() / "machine.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_in(work: Path, archive: Path) -> Path:
    print("making the tree of the test machine ...", flush=True)
    tree = work / "tree"
    tree.mkdir()
    run(["tar", "--extract", "--file", archive, "--directory", work, "layer.tar"])
    run(["tar", "--extract", "--file", work / "layer.tar", "--directory", tree, "--numeric-owner"])
    for package in _download(work, tree):
        _unpack(package, tree)
    # What the kernel package's own installation would do (its postinst).
    run(["chroot", tree, "depmod", modules(tree).name])
    return tree


def _download(work: Path, tree: Path) -> list[Path]:
    """Download the packages from where the tree itself came from: they then fit each other on any machine."""
    state, debs = work / "apt", work / "debs"
    for folder in (state / "lists/partial", debs):
        folder.mkdir(parents=True)
    options = {
        "Dir::Etc::sourcelist": tree / "etc/apt/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::trustedparts": tree / "etc/apt/trusted.gpg.d",
        "Dir::State": state,
        "Dir::State::status": tree / "var/lib/dpkg/status",
        "Dir::Cache": state,
        "APT::Sandbox::User": "root",
    }
    words = [f"--option={name}={value}" for name, value in options.items()]
    run(["apt-get", *words, "update"])
    # A package of no files that depends on the newest kernel.
    depends = run(["apt-cache", *words, "depends", "--important", KERNEL])
    newest = next(
        line.split()[-1] for line in depends.splitlines() if "linux-image-" in line and "Depends:" in line
    )
    run(["apt-get", *words, "download", newest, *PACKAGES], cwd=debs)
    return sorted(debs.glob("*.deb"))


def _unpack(package: Path, tree: Path) -> None:
    """Unpack into the tree, where /bin, /lib and /sbin are links: dpkg-deb --extract would replace them by folders."""
    script = 'dpkg-deb --fsys-tarfile "$1" | tar --extract --keep-directory-symlink --directory "$2" "${@:3}"'
    excluded = [f"--exclude={pattern}" for pattern in NOT_KEPT]
    run(["bash", "-o", "pipefail", "-c", script, "bash", package, tree, *excluded])


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise BenchError(f"{len(found)} files are {folder / pattern}, not one")
    return found[0]

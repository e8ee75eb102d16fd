"""krew-manifest.yaml follows krew's rules.

They are ported from kubernetes-sigs/krew: pkg/index/types.go, internal/index/validation/validate.go and
cmd/validate-krew-manifest, and from the notes for authors in krew-index.
"""

from __future__ import annotations

import copy
import posixpath
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from netinspect import __version__
from tests.docs.markdown import ROOT

PLATFORMS = (
    ("windows", "386"),
    ("windows", "amd64"),
    ("windows", "arm64"),
    ("linux", "386"),
    ("linux", "amd64"),
    ("linux", "arm"),
    ("linux", "arm64"),
    ("linux", "ppc64le"),
    ("darwin", "386"),
    ("darwin", "amd64"),
    ("darwin", "arm64"),
)
DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))}
LICENCES = {
    "license",
    "license.txt",
    "license.md",
    "licenses",
    "licenses.txt",
    "licenses.md",
    "copying",
    "copying.txt",
}
SEMVER = re.compile(r"v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "krew-manifest.yaml").read_text("utf-8"))


def faults(manifest: dict[str, Any]) -> list[str]:
    """Return what krew, or a reviewer of krew-index, would refuse."""
    spec = manifest["spec"]
    platforms = spec.get("platforms") or []
    checks = {
        "apiVersion": manifest.get("apiVersion") == "krew.googlecontainertools.github.com/v1alpha2",
        "kind": manifest.get("kind") == "Plugin",
        "name": is_name(manifest["metadata"].get("name", "")),
        "version": bool(SEMVER.fullmatch(spec.get("version", ""))),
        "shortDescription": is_short_description(spec.get("shortDescription", "")),
        "description": is_description(spec.get("description", "")),
        "homepage": spec.get("homepage", "").startswith("https://"),
        "caveats": all(len(line) <= 80 for line in spec.get("caveats", "").splitlines()),
        "platforms": bool(platforms),
    }
    found = [key for key, is_good in checks.items() if not is_good]
    found += [
        f"platform {index}: {fault}"
        for index, each in enumerate(platforms)
        for fault in platform_faults(each)
    ]
    return found + overlaps(platforms)


def is_name(name: str) -> bool:
    """Letters, digits, underscore and dash, and no device of Windows; krew-index wants lower case."""
    return bool(re.fullmatch(r"[a-z0-9_-]+", name)) and name not in DEVICES


def is_short_description(text: str) -> bool:
    """One line of at most 50 characters that is no sentence."""
    return bool(text) and "\n" not in text and len(text) <= 50 and not text.endswith(".")


def is_description(text: str) -> bool:
    """Wrapped at 80 columns, without usage."""
    return (
        bool(text.strip()) and all(len(line) <= 80 for line in text.splitlines()) and "kubectl " not in text
    )


def platform_faults(platform: dict[str, Any]) -> list[str]:
    """Return what is wrong with one platform by itself."""
    program = platform.get("bin", "")
    checks = {
        "uri": bool(re.fullmatch(r"https://\S+\.(tar\.gz|zip)", platform.get("uri", ""))),
        "sha256": bool(re.fullmatch(r"[a-f0-9]{64}", str(platform.get("sha256", "")))),
        "selector": is_selector(platform.get("selector") or {}),
        "files": "files" not in platform or are_files(platform["files"]),
        "bin": bool(program) and is_inside(program),
        "matches": any(matches(platform, pair) for pair in PLATFORMS),
    }
    return [key for key, is_good in checks.items() if not is_good]


def is_selector(selector: dict[str, Any]) -> bool:
    """Not empty, and about os and arch only."""
    expressions = selector.get("matchExpressions") or []
    keys = {*(selector.get("matchLabels") or {}), *(each.get("key") for each in expressions)}
    return bool(keys) and keys <= {"os", "arch"}


def are_files(files: list[dict[str, str]]) -> bool:
    """Not empty; each goes from somewhere to a clean path inside of the folder."""
    return bool(files) and all(each.get("from") and is_inside(each.get("to", "")) for each in files)


def is_inside(path: str) -> bool:
    """Whether a path is clean and does not leave its folder."""
    return bool(path) and posixpath.normpath(path) == path and not path.startswith(("/", ".."))


def matches(platform: dict[str, Any], pair: tuple[str, str]) -> bool:
    """Whether a platform's selector takes a pair of os and arch."""
    selector = platform.get("selector") or {}
    labels = dict(zip(("os", "arch"), pair, strict=True))
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(fits(each, labels) for each in selector.get("matchExpressions") or [])


def fits(expression: dict[str, Any], labels: dict[str, str]) -> bool:
    """Evaluate one expression of a label selector."""
    value, values = labels.get(expression["key"]), expression.get("values") or []
    outcomes = {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }
    return outcomes[expression["operator"]]


def overlaps(platforms: list[dict[str, Any]]) -> list[str]:
    """Return the pairs of os and arch that two platforms take."""
    taken = {pair: sum(matches(each, pair) for each in platforms) for pair in PLATFORMS}
    return [f"{os}/{arch} is taken {count} times" for (os, arch), count in taken.items() if count > 1]


def test_manifest_follows_the_rules() -> None:
    """krew would take the manifest."""
    assert faults(MANIFEST) == []


def test_manifest_is_of_this_version() -> None:
    """Version and addresses are those of the program."""
    version = f"v{__version__}"
    assert MANIFEST["spec"]["version"] == version
    for platform in MANIFEST["spec"]["platforms"]:
        labels = platform["selector"]["matchLabels"]
        folder = f"{MANIFEST['spec']['homepage']}/releases/download/{version}"
        assert (
            platform["uri"] == f"{folder}/kubectl-netinspect_{version}_{labels['os']}_{labels['arch']}.tar.gz"
        )


def test_manifest_is_for_the_promised_platforms() -> None:
    """Linux and macOS, each on amd64 and arm64."""
    taken = {pair for pair in PLATFORMS for each in MANIFEST["spec"]["platforms"] if matches(each, pair)}
    assert taken == {(os, arch) for os in ("linux", "darwin") for arch in ("amd64", "arm64")}


def test_program_and_licence_are_there() -> None:
    """What an archive has to hold is in the repository: the program, executable, and a licence krew knows by name."""
    (program,) = {each["bin"] for each in MANIFEST["spec"]["platforms"]}
    assert (ROOT / program).stat().st_mode & 0o111 == 0o111
    assert not (ROOT / program).is_symlink()
    assert {path.name.lower() for path in ROOT.iterdir() if path.is_file()} & LICENCES


def test_caveats_name_the_oldest_python() -> None:
    """The Python that the caveats ask for is the one of setup.cfg."""
    required = re.search(r"^python_requires = >=(\d+\.\d+)$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)
    assert required is not None
    assert f"Python {required.group(1)} or later" in MANIFEST["spec"]["caveats"]


def _double_platform(manifest: dict[str, Any]) -> None:
    manifest["spec"]["platforms"].append(
        {**manifest["spec"]["platforms"][0], "selector": {"matchLabels": {"os": "linux"}}}
    )


def _expression(manifest: dict[str, Any]) -> None:
    expressions = [{"key": "os", "operator": "NotIn", "values": ["windows", "darwin"]}]
    manifest["spec"]["platforms"][2]["selector"] = {"matchExpressions": expressions}


def _set(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["spec"].update({key: value})


def _set_platform(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["spec"]["platforms"][0].update({key: value})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda manifest: manifest.update(apiVersion="v1"), ["apiVersion"]),
        (lambda manifest: manifest["metadata"].update(name="NUL"), ["name"]),
        (lambda manifest: manifest["metadata"].update(name="nul"), ["name"]),
        (_set("version", "0.1.0"), ["version"]),
        (_set("shortDescription", "x" * 51), ["shortDescription"]),
        (_set("description", "x" * 81), ["description"]),
        (_set("platforms", []), ["platforms"]),
        (_set_platform("sha256", "A" * 64), ["platform 0: sha256"]),
        (_set_platform("bin", "../x"), ["platform 0: bin"]),
        (_set_platform("files", []), ["platform 0: files"]),
        (_set_platform("selector", {}), ["platform 0: selector", "linux/arm64 is taken 2 times"]),
        (_set_platform("selector", {"matchLabels": {"os": "plan9"}}), ["platform 0: matches"]),
        (_double_platform, ["linux/amd64 is taken 2 times", "linux/arm64 is taken 2 times"]),
        (_expression, ["linux/amd64 is taken 2 times", "linux/arm64 is taken 2 times"]),
    ],
)
def test_what_krew_refuses_is_found(change: Callable[[dict[str, Any]], object], expected: list[str]) -> None:
    """Each rule finds the manifest that breaks it."""
    manifest = copy.deepcopy(MANIFEST)
    change(manifest)
    assert set(expected) <= set(faults(manifest))

"""docs/security.md says what the debug pod is, and the roles in docs/rbac give what they say and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from netinspect.cluster.debug_pod import DebugPod, build_debug_pod
from netinspect.models.debug_pod import Privilege
from tests.docs.markdown import ROOT, section, table

SECURITY = (ROOT / "docs" / "security.md").read_text("utf-8")
RBAC = ROOT / "docs" / "rbac"

PODS = {
    privilege.value: DebugPod(
        name="netinspect-node-a-0",
        namespace="demo",
        node="node-a",
        image="node-tools:1",
        privilege=privilege,
        lifetime_s=150,
        expires="2026-01-01T00:00:00Z",
        user="kim@example.org",
        run_id="0",
    )
    for privilege in Privilege
}
WISHES = {
    "--keep": replace(PODS["sysadmin"], is_kept=True),
    "--image-pull-policy": replace(PODS["sysadmin"], pull_policy="Never"),
    "--image-pull-secret": replace(PODS["sysadmin"], pull_secrets=("registry",)),
}


def fields(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of an object's leaves; those of labels and annotations are their keys."""
    if isinstance(value, dict):
        for key, inner in value.items():
            is_free = path in ("metadata.labels", "metadata.annotations")
            yield from fields(inner, f'{path}["{key}"]' if is_free else f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and all(isinstance(each, dict) for each in value):
        for each in value:
            yield from fields(each, f"{path}[]")
    else:
        yield path


def test_every_field_of_the_debug_pod_is_explained() -> None:
    """The table holds exactly the fields that the pod can have, and says of each when it has it."""
    plain = {level: set(fields(build_debug_pod(pod))) for level, pod in PODS.items()}
    when = dict.fromkeys(plain["netadmin"] & plain["sysadmin"], "always")
    for level, other in (("netadmin", "sysadmin"), ("sysadmin", "netadmin")):
        when |= dict.fromkeys(plain[level] - plain[other], level)
    for flag, pod in WISHES.items():
        when |= dict.fromkeys(set(fields(build_debug_pod(pod))) - plain["sysadmin"], flag)
    rows = table(SECURITY, "field")
    assert {row[0]: row[1] for row in rows} == when
    assert len(rows) == len(when)
    assert all(row[2] for row in rows)


def test_what_the_debug_pod_never_has() -> None:
    """No pod of any wish has a volume, a mount, a port, another host namespace or a token of the API."""
    for pod in (*PODS.values(), *WISHES.values()):
        manifest = build_debug_pod(pod)
        named = " ".join(fields(manifest))
        assert not re.search(r"(?i)volume|ports|hostIPC|serviceAccountName|env", named)
        assert manifest["spec"]["automountServiceAccountToken"] is False
        assert manifest["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_levels() -> None:
    """The table of levels holds those that the program knows, behind the one that needs no pod."""
    assert [row[0] for row in table(SECURITY, "level")] == ["none", *(each.value for each in Privilege)]


def rights(role: dict[str, Any]) -> set[tuple[str, str]]:
    """Return a role's rules as pairs of resource (with its group) and verb."""
    return {
        (f"{resource}.{group}".rstrip("."), verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def load(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text("utf-8")))


ROLES = [
    each
    for path in sorted(RBAC.glob("*.yaml"))
    for each in load(path)
    if each["kind"] in ("Role", "ClusterRole")
]


def title(role: dict[str, Any]) -> str:
    return f"{role['kind']} {role['metadata']['name']}"


@pytest.mark.parametrize("role", ROLES, ids=title)
def test_roles_give_what_is_explained(role: dict[str, Any]) -> None:
    """Each verb of a role is in the table that says what it serves, and the other way round; none is a wildcard."""
    text = (RBAC / "README.md").read_text("utf-8")
    rows = table(section(text, f"### {title(role)}"), "resource")
    assert {(resource, verb) for resource, verb, _ in rows} == rights(role)
    assert all(reason for _, _, reason in rows)
    assert "*" not in str(role["rules"])
    assert not any(rule.get("nonResourceURLs") for rule in role["rules"])


def test_every_role_is_explained() -> None:
    """docs/rbac/README.md has a section for each role in the files, and for no other."""
    headings = re.findall(r"^### (.*)$", (RBAC / "README.md").read_text("utf-8"), re.MULTILINE)
    assert headings == [title(role) for role in ROLES]


def test_api_role_only_reads() -> None:
    """The role for commands that ask the API only can change nothing."""
    (role,) = load(RBAC / "netinspect-api.yaml")
    assert {verb for _, verb in rights(role)} <= {"get", "list", "watch"}


def test_bindings_name_roles_that_exist() -> None:
    """Every example binding refers to a role of these files; its namespace is one that they make, or kube-system."""
    known = {(role["kind"], role["metadata"]["name"]) for role in ROLES}
    (namespace,) = load(RBAC / "namespace.yaml")
    bindings = load(RBAC / "bindings-example.yaml")
    assert {(each["roleRef"]["kind"], each["roleRef"]["name"]) for each in bindings} == known
    places = {each["metadata"].get("namespace") for each in (*bindings, *ROLES)}
    assert places == {None, namespace["metadata"]["name"], "kube-system"}

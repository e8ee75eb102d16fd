"""Who may do what: the documented roles suffice, and whichever verb is missing is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.kit import Cluster, Ran
from tests.cluster.test_veth import deployment, simple_pod

pytestmark = pytest.mark.cluster

RBAC = Path(__file__).parents[2] / "docs" / "rbac"
ACCOUNT = "reader"

# For each right that docs/rbac/netinspect-node.yaml gives, a command that needs it.
NEEDS: dict[tuple[str, str, str], tuple[str, ...]] = {
    ("ClusterRole", "pods", "get"): ("veth", "seen"),
    ("ClusterRole", "pods", "list"): ("veth", "-l", "app=seen"),
    ("ClusterRole", "nodes", "get"): ("veth", "seen"),
    ("ClusterRole", "services", "get"): ("veth", "svc/spread"),
    ("ClusterRole", "deployments", "get"): ("veth", "deploy/spread"),
    ("ClusterRole", "replicasets", "get"): ("veth", "rs/any"),
    ("ClusterRole", "statefulsets", "get"): ("veth", "sts/any"),
    ("ClusterRole", "daemonsets", "get"): ("veth", "ds/any"),
    ("ClusterRole", "jobs", "get"): ("veth", "job/any"),
    ("Role", "pods", "create"): ("veth", "seen"),
    ("Role", "pods", "watch"): ("veth", "seen"),
    ("Role", "pods", "delete"): ("veth", "seen"),
    ("Role", "pods/exec", "create"): ("veth", "seen"),
    ("Role", "pods/exec", "get"): ("veth", "seen"),
    ("Role", "pods/log", "get"): ("veth", "seen", "--transport", "logs"),
}

# For each right that docs/rbac/netinspect-tables.yaml gives, a command that goes on without it and lists the gap.
LACKS: dict[tuple[str, str, str], tuple[str, ...]] = {
    ("ClusterRole", "nodes", "list"): ("conntrack", "list", "--node"),
    ("ClusterRole", "services", "list"): ("conntrack", "list", "--node"),
    ("ClusterRole", "endpointslices", "list"): ("conntrack", "stale", "--for", "5s", "--node"),
    ("Role", "configmaps", "get"): ("dns", "--node"),
}
TABLES = "netinspect-test-tables"


@pytest.fixture(scope="module")
def account(cluster: Cluster) -> Iterator[str]:
    """Give the kubeconfig of a service account that has the documented roles and nothing else."""
    cluster.apply(simple_pod(cluster, "seen"))
    cluster.kubectl("wait", "-n", cluster.namespace, "--for=condition=Ready", "pod/seen", "--timeout=60s")
    deployment(cluster)
    cluster.kubectl("create", "serviceaccount", ACCOUNT, "-n", cluster.namespace)
    token = cluster.kubectl("create", "token", ACCOUNT, "-n", cluster.namespace).out.strip()
    view = cluster.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json").json
    view["users"] = [{"name": ACCOUNT, "user": {"token": token}}]
    view["contexts"][0]["context"].update(user=ACCOUNT, namespace=cluster.namespace)
    path = Path(f"/tmp/netinspect-test-{ACCOUNT}.yaml")
    path.write_text(json.dumps(view))
    yield str(path)
    path.unlink()
    roles = ("netinspect-test", TABLES)
    cluster.kubectl("delete", "clusterrole,clusterrolebinding", *roles, "--ignore-not-found")
    cluster.kubectl("delete", "role,rolebinding", TABLES, "-n", "kube-system", "--ignore-not-found")


def grant(
    cluster: Cluster,
    *,
    without: tuple[str, str, str] | None = None,
    file: str = "netinspect-node.yaml",
    name: str = "netinspect-test",
) -> None:
    """Give the account what a file of docs/rbac holds, less one verb."""
    for role in yaml.safe_load_all((RBAC / file).read_text()):
        kind, changed = role["kind"], copy.deepcopy(role)
        changed["metadata"] = {"name": name}
        binding: dict[str, Any] = {
            "apiVersion": role["apiVersion"],
            "kind": f"{kind}Binding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": cluster.namespace}],
        }
        if kind == "Role":
            place = role["metadata"]["namespace"]
            for each in (changed, binding):
                each["metadata"]["namespace"] = place if place == "kube-system" else cluster.namespace
        changed["rules"] = [part for rule in changed["rules"] for part in split(kind, rule, without)]
        cluster.apply(changed, binding)


def split(kind: str, rule: dict[str, Any], without: tuple[str, str, str] | None) -> list[dict[str, Any]]:
    """Return a rule as one rule a resource, without the verb that is taken away."""
    return [
        {**rule, "resources": [resource], "verbs": verbs}
        for resource in rule["resources"]
        if (verbs := [verb for verb in rule["verbs"] if (kind, resource, verb) != without])
    ]


def documented(file: str) -> set[tuple[str, str, str]]:
    """Return every right that the roles of a file give."""
    roles = yaml.safe_load_all((RBAC / file).read_text())
    return {
        (role["kind"], resource, verb)
        for role in roles
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def as_account(cluster: Cluster, account: str, *arguments: str) -> Ran:
    """Run the plugin as the service account."""
    return cluster.netinspect(*arguments, env={"KUBECONFIG": account})


def test_every_documented_right_is_needed_by_a_command() -> None:
    """The roles hold no verb that the tables above do not justify."""
    assert documented("netinspect-node.yaml") == set(NEEDS)
    assert documented("netinspect-tables.yaml") == set(LACKS)


def test_the_documented_roles_suffice(cluster: Cluster, account: str) -> None:
    """With them, and nothing else, the commands work by both transports."""
    grant(cluster)
    for command in (("veth", "seen"), ("veth", "deploy/spread"), ("netns", "seen"), ("cleanup",)):
        as_account(cluster, account, *command).ok()
    as_account(cluster, account, "veth", "seen", "--transport", "logs").ok()
    assert as_account(cluster, account, "exec", "seen", "--", "true").ok().out == ""


def test_the_documented_roles_suffice_for_tables_and_dns(cluster: Cluster, account: str) -> None:
    """With both files no command lacks a fact."""
    grant(cluster)
    grant(cluster, file="netinspect-tables.yaml", name=TABLES)
    node = cluster.nodes()[0]
    for command in (
        ("conntrack", "list", "--node", node),
        ("conntrack", "top", "--all-nodes"),
        ("conntrack", "stale", "--for", "5s", "--node", node),
        ("conntrack", "limit", "--for", "1s", "--node", node),
        ("conntrack", "limit", "--set", "300000", "--node", node),
        ("conntrack", "watch", "--for", "1s", "--node", node),
        ("dns",),
        ("dns", "--pod", "seen"),
        ("dns", "--servers", "--count", "1", "--type", "A"),
    ):
        assert "gap:" not in as_account(cluster, account, *command).ok().err, command


@pytest.mark.parametrize("right", sorted(LACKS), ids="-".join)
def test_a_list_that_is_refused_is_a_gap(cluster: Cluster, account: str, right: tuple[str, str, str]) -> None:
    """The command goes on with what it has, says what it lacks, and ends with 4."""
    _, resource, verb = right
    grant(cluster)
    grant(cluster, file="netinspect-tables.yaml", name=TABLES, without=right)
    ran = as_account(cluster, account, *LACKS[right], cluster.nodes()[0])
    assert ran.code == 4, ran.err
    assert any(
        line.startswith("gap:") and f'cannot {verb} resource "{resource}"' in line
        for line in ran.err.splitlines()
    )


@pytest.mark.parametrize("right", sorted(NEEDS), ids="-".join)
def test_a_missing_verb_is_named(cluster: Cluster, account: str, right: tuple[str, str, str]) -> None:
    """The error says which verb on which resource is missing; a debug pod that exists by then is deleted."""
    _, resource, verb = right
    grant(cluster, without=right)
    ran = as_account(cluster, account, *NEEDS[right])
    assert (ran.code, ran.out) == (1, "")
    assert f'cannot {verb} resource "{resource}"' in ran.err


def test_without_delete_no_pod_is_ever_created(cluster: Cluster, account: str) -> None:
    """The debug pod is refused before it exists: the API server has seen no create."""
    grant(cluster, without=("Role", "pods", "delete"))
    before = cluster.get("pods", "-n", cluster.namespace)["metadata"]["resourceVersion"]
    as_account(cluster, account, "veth", "seen")
    events = cluster.kubectl(
        "get",
        "--raw",
        f"/api/v1/namespaces/{cluster.namespace}/pods?watch=1&timeoutSeconds=1&resourceVersion={before}",
    ).out
    # Pods of others may come and go: a debug pod bears our label.
    made = [each for each in events.splitlines() if '"type":"ADDED"' in each and "kubectl-netinspect" in each]
    assert made == []


@pytest.mark.parametrize("verb", ["create", "get"])
def test_impersonation_holds_on_exec(cluster: Cluster, account: str, verb: str) -> None:
    """`--as` a user who may do all but exec: the exec is refused in his name, though we ourselves might."""
    grant(cluster, without=("Role", "pods/exec", verb))
    name = f"system:serviceaccount:{cluster.namespace}:{ACCOUNT}"
    flags = ("--as", name, "--debug-namespace", cluster.namespace, "-n", cluster.namespace)
    ran = cluster.netinspect("veth", "seen", *flags)
    assert ran.code == 1
    assert f'User "{name}" cannot {verb} resource "pods/exec"' in ran.err


def test_pod_security_is_explained_with_the_label_that_would_allow_it(cluster: Cluster) -> None:
    """The refusal comes as the API words it, with the command that changes it; nothing is created."""
    label = "pod-security.kubernetes.io/enforce"
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "netinspect-test-baseline", "labels": {label: "baseline"}},
        }
    )
    try:
        flags = ("--debug-namespace", "netinspect-test-baseline", "-n", cluster.namespace)
        ran = cluster.netinspect("veth", "seen", *flags)
        assert ran.code == 1
        assert 'violates PodSecurity "baseline:latest"' in ran.err
        assert f"namespace netinspect-test-baseline {label}=privileged" in ran.err
    finally:
        cluster.kubectl("delete", "namespace", "netinspect-test-baseline", "--wait=false")


def test_a_quota_is_named(cluster: Cluster) -> None:
    """A quota that leaves no room is told as such."""
    name = "netinspect-test-quota"
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "none", "namespace": name},
            "spec": {"hard": {"pods": "0"}},
        },
    )
    try:
        cluster.until(lambda: cluster.get("resourcequota", "none", "-n", name).get("status", {}).get("hard"))
        ran = cluster.netinspect("veth", "seen", "-n", cluster.namespace, "--debug-namespace", name)
        assert ran.code == 1
        assert "exceeded quota" in ran.err
        assert f"raise the quota of namespace {name}" in ran.err
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_kubeconfig_lists_pick_the_context_that_kubectl_picks(cluster: Cluster, tmp_path: Path) -> None:
    """With `KUBECONFIG=a:b` the first file's current-context counts, whichever way round they stand."""
    view = cluster.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json").json
    dead = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dead",
        "clusters": [{"name": "dead", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "dead", "context": {"cluster": "dead", "user": ""}}],
    }
    live, other = tmp_path / "live", tmp_path / "dead"
    live.write_text(json.dumps(view))
    other.write_text(json.dumps(dead))
    good = cluster.netinspect("pods", "-n", cluster.namespace, env={"KUBECONFIG": f"{live}:{other}"})
    assert good.code == 0
    bad = cluster.netinspect("pods", "-n", cluster.namespace, env={"KUBECONFIG": f"{other}:{live}"})
    assert (bad.code, bad.out) == (1, "")
    assert "127.0.0.1:1" in bad.err

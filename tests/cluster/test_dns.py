"""`dns` against witnesses that share no code with it: the API through kubectl, and getaddrinfo in the pods."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.kit import BENCH_IMAGE, Cluster, Ran

pytestmark = pytest.mark.cluster

SERVICE = "kubernetes.default.svc"
GRACE_S = 65
SHELLLESS_IMAGE = "netinspect.test/web:1"


@pytest.fixture(scope="module")
def objects(cluster: Cluster) -> Iterator[None]:
    """Pods with resolvers of each kind, and Services of each kind for them to look up."""
    nodes = cluster.nodes()
    space = cluster.namespace
    nowhere = {"nameservers": ["10.255.255.1"], "searches": ["corp.test"]}
    selected = {"selector": {"app": "plain"}, "ipFamilyPolicy": "PreferDualStack"}
    alias = {"type": "ExternalName", "externalName": f"dual.{space}.svc.{domain(cluster)}"}
    cluster.apply(
        *(dns_pod(cluster, f"plain-{node}", node) for node in nodes),
        dns_pod(cluster, "nowhere", nodes[0], dnsPolicy="None", dnsConfig=nowhere),
        dns_pod(cluster, "host", nodes[0], hostNetwork=True),
        dns_pod(cluster, "host-right", nodes[-1], hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet"),
        dns_pod(cluster, "rewritten", nodes[0], "echo nameserver 192.0.2.53 >/etc/resolv.conf; sleep 3600"),
        dns_pod(cluster, "done", nodes[0], "true", restartPolicy="Never"),
        service(cluster, "dual", selected),
        service(cluster, "headless", {**selected, "clusterIP": "None"}),
        service(cluster, "empty", {"selector": {"app": "nobody"}, "clusterIP": "None"}),
        service(cluster, "alias", alias),
    )
    wait = ("wait", "-n", cluster.namespace, "--timeout=90s")
    cluster.kubectl(*wait, "--for=condition=Ready", "pod", "-l", "kind=dns-test,app!=done")
    cluster.kubectl(*wait, "--for=jsonpath={.status.phase}=Succeeded", "pod/done")
    time.sleep(GRACE_S)  # what has only just changed is not held against the API
    yield
    cluster.kubectl("delete", "pod", "-n", cluster.namespace, "-l", "kind=dns-test", "--now")


def test_the_default_name_is_answered_in_both_families_by_both_protocols_on_each_node(
    cluster: Cluster,
) -> None:
    """At all addresses of the DNS Service, and with what the API says."""
    ips = cluster.get("service", "-n", "kube-system", "kube-dns")["spec"]["clusterIPs"]
    for node in cluster.nodes():
        ran = cluster.netinspect("dns", "--node", node, "-o", "json").ok()
        report = ran.json
        assert f"read with privilege netadmin on {node}" in ran.err
        assert report["origin"]["node"] == node
        (lookup,) = report["items"]
        full = f"{SERVICE}.{domain(cluster)}."
        for ip in ips:
            for protocol in ("udp", "tcp"):
                assert answers(lookup["runs"], full, ip, protocol) == cluster_ips(
                    cluster, "default", "kubernetes"
                )
        assert report.get("findings", []) == []


def test_the_node_is_chosen_and_named_where_none_is(cluster: Cluster) -> None:
    """The same one each time."""
    nodes = {cluster.netinspect("dns", "-o", "json").ok().json["origin"]["node"] for _ in range(2)}
    assert nodes == {min(cluster.nodes())}


@pytest.mark.usefixtures("objects")
@pytest.mark.parametrize(
    "name", ["dual", "dual.{namespace}", "headless", "alias", "kubernetes.default", "nosuch"]
)
def test_a_lookup_ends_as_getaddrinfo_in_the_pod_does(cluster: Cluster, name: str) -> None:
    """On each node: the same addresses, or none."""
    name = name.format(namespace=cluster.namespace)
    for node in cluster.nodes():
        report = ask_from(cluster, f"plain-{node}", name)
        glibc = next(each["result"] for each in report["items"][0]["results"] if each["libc"] == "glibc")
        assert set(glibc.get("addresses", [])) == getaddrinfo(cluster, f"plain-{node}", name), node
        assert "dns-answer-differs-from-api" not in ids(report)


@pytest.mark.usefixtures("objects")
def test_answers_equal_the_api(cluster: Cluster) -> None:
    """ClusterIP, headless with its ready endpoints, and ExternalName: in both families."""
    node = cluster.nodes()[-1]
    report = ask_from(cluster, f"plain-{node}", "dual", "headless", "alias")
    ip = report["origin"]["conf"]["nameservers"][0]
    runs = [run for lookup in report["items"] for run in lookup["runs"]]
    space, end = cluster.namespace, domain(cluster)
    assert answers(runs, f"dual.{space}.svc.{end}.", ip, "udp") == cluster_ips(cluster, space, "dual")
    slices = cluster.get("endpointslices", "-n", space, "-l", "kubernetes.io/service-name=headless")["items"]
    ready = {
        address
        for each in slices
        for endpoint in each["endpoints"]
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    }
    assert len(ready) >= 2
    assert answers(runs, f"headless.{space}.svc.{end}.", ip, "udp") == ready
    target = f"dual.{space}.svc.{end}."
    assert target in answers(runs, f"alias.{space}.svc.{end}.", ip, "udp", type_="CNAME")
    kinds = {
        each["name"].split(".")[0]: each["kind"] for lookup in report["items"] for each in lookup["expected"]
    }
    assert (kinds["dual"], kinds["headless"], kinds["alias"]) == ("cluster-ip", "headless", "external-name")
    assert ids(report) == []


@pytest.mark.usefixtures("objects")
def test_a_pod_in_a_namespace_has_its_search_list(cluster: Cluster) -> None:
    """As its own file says it, with the plan that follows from it."""
    node = cluster.nodes()[0]
    report = ask_from(cluster, f"plain-{node}", "dual")
    text = cluster.kubectl(
        "exec", "-n", cluster.namespace, f"plain-{node}", "--", "cat", "/etc/resolv.conf"
    ).out
    assert report["origin"]["text"].split() == text.split()
    search = next(line.split()[1:] for line in text.splitlines() if line.startswith("search"))
    steps = [step["name"] for step in report["items"][0]["plans"][0]["steps"]]
    assert steps == [*(f"dual.{each}." for each in search), "dual."]


@pytest.mark.usefixtures("objects")
def test_a_resolver_that_points_nowhere_is_told(cluster: Cluster) -> None:
    """As unreachable, with the note that the pod chose it; and the table says so in words."""
    report = ask_from(cluster, "nowhere", "dual")
    assert "dns-server-unreachable" in ids(report)
    finding = next(each for each in report["findings"] if each["id"] == "dns-server-unreachable")
    assert finding["severity"] == "crit"
    assert "10.255.255.1" in finding["message"]
    assert any("dnsPolicy None" in note for note in report["notes"])
    ran = cluster.netinspect("dns", "dual", "--pod", "nowhere", "-n", cluster.namespace, "--fail-on", "crit")
    assert ran.code == 3
    assert "name server 10.255.255.1 gives no answer" in ran.out


@pytest.mark.usefixtures("objects")
def test_a_file_that_was_rewritten_in_the_container_is_the_one_that_counts(cluster: Cluster) -> None:
    """The sandbox still has the kubelet's."""
    report = ask_from(cluster, "rewritten", "dual")
    assert report["origin"]["conf"]["nameservers"] == ["192.0.2.53"]
    assert report["origin"]["container"] == "main"
    assert "dns-wrong-nameserver" in ids(report)


@pytest.mark.usefixtures("objects")
def test_hostnetwork_pods_ask_from_the_nodes_netns(cluster: Cluster) -> None:
    """With ClusterFirst their resolver is the node's, which is a finding; with ClusterFirstWithHostNet all is well."""
    report = ask_from(cluster, "host", "dual")
    assert report["origin"]["hostNetwork"] is True
    assert "dns-hostnetwork-policy" in ids(report)
    right = ask_from(cluster, "host-right", "dual")
    assert ids(right) == []
    assert right["items"][0]["results"][0]["result"]["end"] == "found"


@pytest.mark.usefixtures("objects")
def test_what_is_not_found_is_told_why(cluster: Cluster) -> None:
    """A Service of another namespace; a name with a dot at its end; a headless Service without endpoints."""
    pod = f"plain-{cluster.nodes()[0]}"
    assert "dns-nxdomain-other-namespace" in ids(ask_from(cluster, pod, "kube-dns"))
    assert "dns-nxdomain-search-list" in ids(ask_from(cluster, pod, f"dual.{cluster.namespace}."))
    assert "dns-service-without-address" in ids(ask_from(cluster, pod, "empty"))
    nothing = ask_from(cluster, pod, "no-such-name-anywhere")
    assert ids(nothing) == ["dns-name-not-found"]
    assert {each["result"]["end"] for each in nothing["items"][0]["results"]} == {"not-found"}


@pytest.mark.usefixtures("objects")
@pytest.mark.parametrize(("protocol", "finding"), [("udp", "dns-udp-fails"), ("tcp", "dns-tcp-fails")])
def test_answers_that_come_by_one_protocol_only_are_told(
    cluster: Cluster, protocol: str, finding: str
) -> None:
    """The pod drops what comes back by the other."""
    drop = f"iptables -A INPUT -p {protocol} --sport 53 -j DROP && sleep 3600"
    pod = dns_pod(cluster, f"no-{protocol}", cluster.nodes()[0], drop)
    pod["spec"]["containers"][0]["securityContext"] = {"capabilities": {"add": ["NET_ADMIN"]}}
    start(cluster, pod)
    report = ask_from(cluster, f"no-{protocol}", f"dual.{cluster.namespace}.svc.{domain(cluster)}.")
    assert ids(report) == [finding]


@pytest.mark.usefixtures("objects")
def test_a_dns_service_that_lies_is_held_against_the_api(cluster: Cluster) -> None:
    """A CoreDNS of the pod's own namespace that was told another address."""
    deployment = ("deployment/coredns", "-n", "kube-system")
    if cluster.kubectl("get", *deployment, check=False).code != 0:
        pytest.skip("the cluster's DNS is no Deployment coredns in kube-system, whose image could be used")
    image = cluster.get(*deployment)["spec"]["template"]["spec"]["containers"][0]["image"]
    space, name = cluster.namespace, f"dual.{cluster.namespace}.svc.{domain(cluster)}"
    corefile = f".:53 {{\n hosts {{\n  192.0.2.1 {name}\n }}\n}}\n"
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "liar", "namespace": space}}
    liar = dns_pod(cluster, "liar", cluster.nodes()[0])
    liar["spec"]["containers"] = [
        {
            "name": "coredns",
            "image": image,
            "args": ["-conf", "/etc/coredns/Corefile"],
            "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
        }
    ]
    liar["spec"]["volumes"] = [{"name": "config", "configMap": {"name": "liar"}}]
    ports = [{"name": each.lower(), "port": 53, "protocol": each} for each in ("UDP", "TCP")]
    cluster.apply(
        {**config, "data": {"Corefile": corefile}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "liar", "namespace": space},
            "spec": {"selector": {"app": "liar"}, "ports": ports},
        },
    )
    start(cluster, liar)
    (ip,) = cluster_ips(cluster, space, "liar")
    start(
        cluster,
        dns_pod(cluster, "misled", cluster.nodes()[0], dnsPolicy="None", dnsConfig={"nameservers": [ip]}),
    )
    cluster.until(lambda: getaddrinfo(cluster, "misled", name) == {"192.0.2.1"}, 30)
    report = ask_from(cluster, "misled", name)
    finding = next(each for each in report["findings"] if each["id"] == "dns-answer-differs-from-api")
    assert finding["subject"] == f"service/{space}/dual"
    assert "has beyond that 192.0.2.1" in finding["message"]


@pytest.mark.usefixtures("objects")
def test_a_completed_pod_is_a_clear_error(cluster: Cluster) -> None:
    """Without a debug pod."""
    ran = cluster.netinspect(
        "dns", "--pod", "done", "-n", cluster.namespace, "--image", "netinspect.test/none:0"
    )
    assert (ran.code, ran.out) == (1, "")
    assert "cannot ask from a completed pod; current phase of done is Succeeded" in ran.err


def test_a_pod_without_a_shell_and_without_dig_is_asked_from_on_each_node(cluster: Cluster) -> None:
    """The pod is a single static program."""
    if cluster.image != BENCH_IMAGE:
        pytest.skip("needs the bench's image without a shell")
    for node in cluster.nodes():
        name = f"bare-{node}"
        pod = dns_pod(cluster, name, node)
        pod["spec"]["containers"] = [{"name": "bare", "image": SHELLLESS_IMAGE}]
        start(cluster, pod)
        assert (
            cluster.kubectl("exec", "-n", cluster.namespace, name, "--", "sh", "-c", "true", check=False).code
            != 0
        )
        report = ask_from(cluster, name, SERVICE)
        assert (report["origin"]["container"], report["origin"]["node"]) == ("bare", node)
        result = report["items"][0]["results"][0]["result"]
        assert set(result["addresses"]) == cluster_ips(cluster, "default", "kubernetes")


HOSTILE = ["$(touch /tmp/x)", "-t", "+short", "@192.0.2.1", "a b'; exit 3; '", "m\u00fcller.example"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_asked_as_they_are(cluster: Cluster, name: str) -> None:
    """Nothing of them is taken for an option, a server or a command."""
    report = cluster.netinspect("dns", "-o", "json", "--", name).ok().json
    assert report["items"][0]["name"] == name
    statuses = {run["answer"]["value"]["status"] for run in report["items"][0]["runs"]}
    assert statuses <= {"NXDOMAIN", "SERVFAIL", "REFUSED"}


@pytest.mark.usefixtures("objects")
def test_the_log_transport_serves_as_well(cluster: Cluster) -> None:
    """The two trips for a pod are two debug pods then; the answer is the same."""
    pod = f"plain-{cluster.nodes()[0]}"
    report = ask(cluster, SERVICE, "--pod", pod, "-n", cluster.namespace, "--transport", "logs")
    assert report["origin"]["container"] == "main"
    assert report["items"][0]["results"][0]["result"]["end"] == "found"


def test_without_endpoints_the_service_is_named(cluster: Cluster) -> None:
    """And questions to it are refused by the rules of the node, in both families."""
    deployment = ("deployment/coredns", "-n", "kube-system")
    if cluster.kubectl("get", *deployment, check=False).code != 0:
        pytest.skip("the cluster's DNS is no Deployment coredns in kube-system")
    replicas = cluster.get(*deployment)["spec"]["replicas"]
    try:
        cluster.kubectl("scale", *deployment, "--replicas=0")
        cluster.until(lambda: not ready_endpoints(cluster))
        cluster.until(lambda: "dns-server-unreachable" in ids(ask(cluster)), 30)
        report = ask(cluster)
        ips = cluster.get("service", "-n", "kube-system", "kube-dns")["spec"]["clusterIPs"]
        assert ids(report) == ["dns-no-endpoints", *["dns-server-unreachable"] * len(ips)]
        assert report["findings"][0]["subject"] == "service/kube-system/kube-dns"
    finally:
        cluster.kubectl("scale", *deployment, f"--replicas={replicas}")
        cluster.kubectl("rollout", "status", *deployment, "--timeout=120s")
    cluster.until(lambda: ids(ask(cluster)) == [], 30)


def start(cluster: Cluster, pod: dict[str, Any]) -> None:
    """Make a pod and wait until it is Ready."""
    cluster.apply(pod)
    wait = ("wait", "-n", cluster.namespace, "--for=condition=Ready", "--timeout=60s")
    cluster.kubectl(*wait, f"pod/{pod['metadata']['name']}")


def ask(cluster: Cluster, *arguments: str) -> Any:
    """Return the report; findings leave the exit code 0."""
    return cluster.netinspect("dns", *arguments, "-o", "json").ok().json


def ask_from(cluster: Cluster, pod: str, *names: str) -> Any:
    return ask(cluster, *names, "--pod", pod, "-n", cluster.namespace)


def ids(report: Any) -> list[str]:
    return [each["id"] for each in report.get("findings", [])]


def answers(runs: list[Any], name: str, server: str, protocol: str, type_: str = "") -> set[str]:
    """Return the data of the records that a server gave for a name; CNAMEs only where they are asked for."""
    found = [run for run in runs if (run["name"], run["server"], run["protocol"]) == (name, server, protocol)]
    assert found, (name, server, protocol)
    assert all(run["answer"]["value"]["queryTimeUs"] >= 0 for run in found)
    records = [record for run in found for record in run["answer"]["value"].get("answer", [])]
    return {each["rdata"] for each in records if each["type"] in ((type_,) if type_ else ("A", "AAAA"))}


def getaddrinfo(cluster: Cluster, pod: str, name: str) -> set[str]:
    """Return what glibc in the pod makes of a name, in either family."""
    found: Ran = cluster.kubectl(
        "exec", "-n", cluster.namespace, pod, "--", "getent", "ahosts", name, check=False
    )
    return {line.split()[0] for line in found.out.splitlines()}


def cluster_ips(cluster: Cluster, namespace: str, name: str) -> set[str]:
    return set(cluster.get("service", "-n", namespace, name)["spec"]["clusterIPs"])


def ready_endpoints(cluster: Cluster) -> list[Any]:
    slices = cluster.get("endpointslices", "-n", "kube-system", "-l", "kubernetes.io/service-name=kube-dns")
    endpoints = [endpoint for each in slices["items"] for endpoint in each.get("endpoints") or []]
    return [endpoint for endpoint in endpoints if endpoint["conditions"].get("ready")]


def domain(cluster: Cluster) -> str:
    """Return the cluster domain as a kubelet has it."""
    node = cluster.nodes()[0]
    config = json.loads(cluster.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/configz").out)
    name: str = config["kubeletconfig"]["clusterDomain"]
    return name


def service(cluster: Cluster, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return a Service of the tests' namespace."""
    ports = {} if spec.get("type") == "ExternalName" else {"ports": [{"port": 80}]}
    meta = {"name": name, "namespace": cluster.namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {**spec, **ports}}


def dns_pod(
    cluster: Cluster, name: str, node: str, command: str = "sleep 3600", **spec: Any
) -> dict[str, Any]:
    """Return a pod of the node-tools image; those named plain-NODE are the endpoints of the Services."""
    labels = {"app": name.partition("-")[0], "kind": "dns-test"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": cluster.namespace, "labels": labels},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": cluster.image, "command": ["sh", "-c", command]}],
            **spec,
        },
    }

"""What is never recorded: planted secrets are looked for in what is written."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netinspect.archive.reader import read_recording
from netinspect.archive.scrub import HIDDEN, scrub_bytes, scrub_object, scrub_output, scrub_text
from netinspect.models.command import CommandResult
from netinspect.models.debug_pod import Privilege
from netinspect.models.kubernetes import ConfigMap, Pod, Service
from netinspect.models.recording import (
    RecordedError,
    RecordedRequest,
    RecordedResult,
    RecordedTrip,
    Recording,
)
from netinspect.parse.api import parse_object
from netinspect.parse.lsns import parse_lsns
from tests.unit.archive.kit import write

SECRET = "hunter2-planted"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\nMII{SECRET}\n-----END RSA PRIVATE KEY-----"
TOKEN = f"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.{SECRET}"


def container(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": "web:1",
        "env": [{"name": "PASSWORD", "value": SECRET}, {"name": "OTHER", "valueFrom": {"x": SECRET}}],
        "envFrom": [{"secretRef": {"name": "web"}}],
        "command": ["sh", "-c", SECRET],
        "args": [SECRET],
        "ports": [{"containerPort": 8080, "name": "http"}],
        "lifecycle": {"preStop": {"exec": {"command": [SECRET]}}},
        "livenessProbe": {"exec": {"command": [SECRET]}, "periodSeconds": 3},
        "readinessProbe": {
            "httpGet": {"port": 80, "httpHeaders": [{"name": "Authorization", "value": SECRET}]}
        },
        "volumeMounts": [{"name": SECRET, "mountPath": "/x"}],
        "securityContext": {"privileged": True},
    }


POD_SPEC = {
    "nodeName": "node-a",
    "hostNetwork": True,
    "imagePullSecrets": [{"name": SECRET}],
    "volumes": [{"name": "x", "csi": {"volumeAttributes": {"password": SECRET}}}],
    "containers": [container("web")],
    "initContainers": [container("init")],
    "ephemeralContainers": [container("debug")],
}
METADATA = {
    "name": "web-1",
    "namespace": "demo",
    "uid": "5bd1",
    "labels": {"app": "web"},
    "annotations": {
        "kubectl.kubernetes.io/last-applied-configuration": f'{{"env":"{SECRET}"}}',
        "kubernetes.io/config.hash": "abc",
        "note": f"Authorization: Bearer {SECRET}-and-more",
    },
    "managedFields": [
        {
            "manager": "kubectl",
            "time": "2026-11-27T05:00:00Z",
            "operation": "Update",
            "fieldsV1": {SECRET: {}},
        }
    ],
}
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": METADATA,
    "spec": POD_SPEC,
    "status": {
        "phase": "Running",
        "podIPs": [{"ip": "fd00::7"}, {"ip": "10.0.0.7"}],
        "message": PEM,
        "containerStatuses": [
            {
                "name": "web",
                "containerID": "containerd://c1",
                "state": {
                    "waiting": {"reason": "RunContainerError", "message": f"exec: --password {SECRET}"}
                },
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": SECRET}},
            }
        ],
    },
}
DEPLOYMENT: dict[str, Any] = {
    "kind": "Deployment",
    "metadata": METADATA,
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": METADATA, "spec": POD_SPEC},
    },
}
SECRET_OBJECT = {"kind": "Secret", "metadata": METADATA, "data": {"a": SECRET}, "stringData": {"b": SECRET}}
EVENT = {
    "kind": "Event",
    "metadata": METADATA,
    "reason": "Unhealthy",
    "message": f"probe failed: {SECRET}",
    "note": SECRET,
    "involvedObject": {"kind": "Pod", "name": "web-1"},
}
NODE = {"kind": "Node", "metadata": METADATA, "status": {"nodeInfo": {"machineID": SECRET, "bootID": SECRET}}}
OTHER_CONFIG_MAP = {
    "kind": "ConfigMap",
    "metadata": METADATA,
    "data": {"a": SECRET},
    "binaryData": {"b": SECRET},
}
LSNS = (
    f'{{"namespaces": [{{"ns": 7, "netnsid": "0", "pid": 9, "command": "/usr/bin/redis --requirepass {SECRET}"}},'
    f'{{"ns": 8, "netnsid": "1", "pid": 10, "command": "a\\"b {SECRET}"}}]}}'
)


def test_what_the_program_reads_of_a_pod_stays() -> None:
    before = parse_object(Pod, msgspec.json.encode(POD))
    after = parse_object(Pod, msgspec.json.encode(scrub_object(POD)))
    assert after.spec == before.spec
    assert after.status.pod_ips == before.status.pod_ips
    assert after.container_ids == before.container_ids == ("c1",)
    assert after.status.container_statuses[0].last_state.terminated is not None
    assert after.status.container_statuses[0].last_state.terminated.exit_code == 1
    assert after.metadata.labels == before.metadata.labels
    assert after.metadata.managed_fields == before.metadata.managed_fields
    assert after.node_uid == before.node_uid
    assert after.metadata.annotations == {
        "kubernetes.io/config.hash": "abc",
        "note": f"Authorization: Bearer {HIDDEN}",
    }


def test_of_environment_only_the_names_stay() -> None:
    [kept] = scrub_object(POD)["spec"]["containers"]
    assert kept == {
        "name": "web",
        "image": "web:1",
        "env": [{"name": "PASSWORD"}, {"name": "OTHER"}],
        "envFrom": [{"secretRef": {"name": "web"}}],
        "ports": [{"containerPort": 8080, "name": "http"}],
        "livenessProbe": {"periodSeconds": 3},
        "readinessProbe": {"httpGet": {"port": 80}},
        "securityContext": {"privileged": True},
    }


@pytest.mark.parametrize("name", ["coredns", "kube-proxy", "node-local-dns", "cilium-config"])
def test_config_maps_of_dns_and_of_the_dataplane_stay(name: str) -> None:
    value = {"kind": "ConfigMap", "metadata": {"name": name}, "data": {"Corefile": ".:53 {}"}}
    assert parse_object(ConfigMap, msgspec.json.encode(scrub_object(value))).data == {"Corefile": ".:53 {}"}


def test_a_service_stays_as_it_is() -> None:
    value = {
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"clusterIPs": ["None"], "selector": {"a": "b"}},
    }
    assert scrub_object(value) == value
    assert parse_object(Service, msgspec.json.encode(scrub_object(value))).is_headless


PLANTED = [POD, DEPLOYMENT, SECRET_OBJECT, OTHER_CONFIG_MAP, EVENT, NODE]


def test_events_about_the_network_keep_their_text() -> None:
    value = {**EVENT, "reason": "FailedCreatePodSandBox", "message": "plugin bridge failed", "note": ""}
    assert scrub_object(value)["message"] == "plugin bridge failed"
    assert scrub_object(EVENT)["involvedObject"] == {"kind": "Pod", "name": "web-1"}


@pytest.mark.parametrize("value", PLANTED, ids=lambda value: value["kind"])
def test_no_secret_stays_in_an_object_or_in_a_list_of_it(value: dict[str, Any]) -> None:
    assert SECRET in str(value)
    assert SECRET not in str(scrub_object(value))
    listed = {"kind": f"{value['kind']}List", "items": [value]}
    assert scrub_object(listed)["items"] == [scrub_object(value)]
    assert scrub_object(scrub_object(value)) == scrub_object(value)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (PEM, HIDDEN),
        (f"a {PEM} b {PEM}", f"a {HIDDEN} b {HIDDEN}"),
        (PEM[:50], HIDDEN),
        (msgspec.json.encode(PEM).decode(), f'"{HIDDEN}"'),
        (f"token {TOKEN}, next", f"token {HIDDEN}, next"),
        (f"Bearer {SECRET}", f"Bearer {HIDDEN}"),
        ("a ring bearer wins", "a ring bearer wins"),
        ("-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"),
        ("eyJ is no token", "eyJ is no token"),
    ],
)
def test_what_has_the_shape_of_a_secret_goes_wherever_it_stands(text: str, kept: str) -> None:
    assert scrub_text(text) == kept
    assert scrub_output("kernel-log", text.encode()) == kept.encode()


def test_of_processes_only_the_programs_stay() -> None:
    scrubbed = scrub_output("namespaces", LSNS.encode())
    assert SECRET not in scrubbed.decode()
    assert parse_lsns(scrubbed) == parse_lsns(LSNS.encode())
    assert [row.command for row in parse_lsns(scrubbed)] == ["redis", 'a"b']
    assert scrub_output("namespaces-2", LSNS.encode()) == scrubbed
    cut = LSNS[: LSNS.index(SECRET) + 6]
    assert "hunter" not in scrub_output("namespaces", cut.encode()).decode()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "kind",
                    "items",
                    "metadata",
                    "annotations",
                    "managedFields",
                    "containers",
                    "env",
                    "livenessProbe",
                ]
            )
            | st.text(max_size=4),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(["kind", "items", "spec", "metadata", "containers"]), json_values))
def test_any_shape_is_scrubbed_and_scrubbing_again_changes_nothing(value: dict[str, Any]) -> None:
    once = scrub_object(value)
    assert scrub_object(once) == once


@given(st.binary())
def test_bytes_without_the_words_of_a_secret_are_the_same_object(data: bytes) -> None:
    if not any(word in data for word in (b"PRIVATE KEY", b"eyJ", b"earer")):
        assert scrub_bytes(data) is data


def test_no_planted_secret_is_in_the_file_whoever_hands_it_in(tmp_path: Path) -> None:
    """The writer scrubs by itself: what is handed in here was not scrubbed before."""
    outcome = CommandResult("node", 1, "node", "namespaces", 0, LSNS.encode(), f"Bearer {SECRET}".encode())
    recording = Recording(
        made_at="",
        made_by="",
        command=f"pods --x 'Bearer {SECRET}'",
        requests=(
            *(RecordedRequest(path="/x", body=msgspec.json.encode(each)) for each in PLANTED),
            RecordedRequest(
                path="/x", is_list=True, body=msgspec.json.encode({"kind": "List", "items": PLANTED})
            ),
            RecordedRequest(path="/x", error=RecordedError(kind="ClusterError", message=PEM, hint=TOKEN)),
        ),
        trips=(
            RecordedTrip(
                node="node-a",
                privilege=Privilege.SYSADMIN,
                results=(RecordedResult(argv=("lsns",), outcome=outcome),),
                error=RecordedError(kind="CommandError", message=f"Bearer {SECRET}"),
            ),
        ),
        log=(f"Bearer {SECRET}",),
    )
    path = write(recording, tmp_path / "it")
    assert SECRET.encode() not in gzip.decompress(path.read_bytes())
    assert len(read_recording(path).requests) == len(PLANTED) + 2

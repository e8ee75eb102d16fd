"""Fixtures: `pki`, `fake_api`, `kubeconfig` (its path) and `client`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from netinspect.cluster.client import ClusterClient, connect
from netinspect.cluster.deadline import Deadline
from netinspect.cluster.options import ConnectionOptions
from tests.fake.api import FakeApi
from tests.fake.messages import Object
from tests.fake.pki import Pki, make_pki


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def fake_api(pki: Pki) -> Iterator[FakeApi]:
    api = FakeApi(pki)
    yield api
    api.stop()
    assert api.errors == []


@pytest.fixture
def kubeconfig(fake_api: FakeApi, tmp_path: Path) -> Path:
    """Write a kubeconfig for user alice of the fake server, with her key inside."""
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig_of(fake_api)))
    return path


@pytest.fixture
def client(kubeconfig: Path) -> Iterator[ClusterClient]:
    """Give a client for the fake server that gives up after 20 s."""
    client = connect(ConnectionOptions(kubeconfig=str(kubeconfig)), Deadline.after(20))
    yield client
    client.close()


def kubeconfig_of(api: FakeApi, user: Object | None = None, cluster: Object | None = None) -> Object:
    """Return a kubeconfig for a fake server: alice with her certificate unless another user entry is given."""
    pki = api.pki
    entry: Object = {"server": api.url}
    if pki is not None:
        entry["certificate-authority-data"] = pki.data(pki.ca)
        alice = {
            "client-certificate-data": pki.data(pki.client_cert),
            "client-key-data": pki.data(pki.client_key),
        }
        user = alice if user is None else user
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {**entry, **(cluster or {})}}],
        "users": [{"name": "alice", "user": user or {}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "alice", "namespace": "demo"}}],
    }


def pod(name: str, namespace: str = "demo", **labels: str) -> Object:
    """Return a small pod."""
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": "node-a", "containers": [{"name": "main", "image": "tools"}]},
        "status": {"phase": "Running"},
    }

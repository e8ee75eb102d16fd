"""Credentials: where they come from, when they are loaded again, and that no key stays on disk."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from netinspect.cluster.client import ClusterClient, connect
from netinspect.cluster.deadline import Deadline
from netinspect.cluster.options import ConnectionOptions
from netinspect.errors import ClusterError
from tests.fake import faults
from tests.fake.api import FakeApi
from tests.fake.messages import Object
from tests.fake.plugin import kubeconfig_of, pod

PODS = "/api/v1/namespaces/demo/pods"


def client_for(api: FakeApi, folder: Path, user: Object, **options: object) -> ClusterClient:
    path = folder / "config"
    path.write_text(yaml.safe_dump(kubeconfig_of(api, user)))
    return connect(ConnectionOptions(kubeconfig=str(path), **options), Deadline.after(20))  # type: ignore[arg-type]


def plugin(folder: Path, *statuses: Object, command: str = "plugin", **extra: object) -> Object:
    """Write an exec plugin that answers with one status after another, and return the user entry for it."""
    answers = [json.dumps(_credential(status)) for status in statuses]
    script = folder / command
    script.write_text(
        textwrap.dedent(f"""\
        #!{sys.executable}
        import pathlib
        count = pathlib.Path({str(folder / "count")!r})
        number = int(count.read_text()) if count.exists() else 0
        count.write_text(str(number + 1))
        answers = {answers!r}
        print(answers[min(number, len(answers) - 1)])
        """)
    )
    script.chmod(0o755)
    api_version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": api_version, "command": str(script), "interactiveMode": "Never", **extra}}


def _credential(status: Object) -> Object:
    return {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}


def runs(folder: Path) -> int:
    count = folder / "count"
    return int(count.read_text()) if count.exists() else 0


def stamp(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def authorizations(api: FakeApi) -> list[list[str]]:
    return [request.header("authorization") for request in api.requests]


def test_a_certificate_in_the_kubeconfig(client: ClusterClient, fake_api: FakeApi) -> None:
    """client-certificate-data and client-key-data log alice in."""
    client.request("GET", PODS)
    assert fake_api.requests[0].user == "alice"


def test_a_certificate_in_files(fake_api: FakeApi, tmp_path: Path) -> None:
    """client-certificate and client-key; relative paths belong to the kubeconfig's folder."""
    assert fake_api.pki
    user = {
        "client-certificate": os.path.relpath(fake_api.pki.client_cert, tmp_path),
        "client-key": os.path.relpath(fake_api.pki.client_key, tmp_path),
    }
    client_for(fake_api, tmp_path, user).request("GET", PODS)
    assert fake_api.requests[0].user == "alice"


def test_a_token(fake_api: FakeApi, tmp_path: Path) -> None:
    """token: sent as Bearer, on REST and on exec."""
    fake_api.store.add("pods", pod("web"))
    client = client_for(fake_api, tmp_path, {"token": "good-token"})
    client.request("GET", PODS)
    for _ in client.exec("demo", "web", "main", ["true"]):
        pass
    assert authorizations(fake_api) == [["Bearer good-token"]] * 2


def test_a_token_file_is_read_again_after_a_refusal(fake_api: FakeApi, tmp_path: Path) -> None:
    """The kubelet replaces a service account's token while we run."""
    token = tmp_path / "token"
    token.write_text("good-token\n")
    client = client_for(fake_api, tmp_path, {"tokenFile": "token"})
    client.request("GET", PODS)
    fake_api.tokens = {"next-token": "alice"}
    token.write_text("next-token\n")
    client.request("GET", PODS)
    assert authorizations(fake_api) == [["Bearer good-token"], ["Bearer good-token"], ["Bearer next-token"]]


def test_the_token_flag_wins(fake_api: FakeApi, tmp_path: Path) -> None:
    """--token is used, and the kubeconfig's plugin is not even run."""
    user = plugin(tmp_path, {"token": "plugin-token"})
    client_for(fake_api, tmp_path, user, token="good-token").request("GET", PODS)
    assert authorizations(fake_api) == [["Bearer good-token"]]
    assert runs(tmp_path) == 0


def test_a_plugins_token_is_asked_for_once(fake_api: FakeApi, tmp_path: Path) -> None:
    """The plugin runs for the first request, and not again while its token is good."""
    client = client_for(fake_api, tmp_path, plugin(tmp_path, {"token": "good-token"}))
    assert runs(tmp_path) == 0
    client.request("GET", PODS)
    client.request("GET", PODS)
    assert runs(tmp_path) == 1


def test_a_plugins_token_that_has_expired_is_replaced(fake_api: FakeApi, tmp_path: Path) -> None:
    """The library's refresh hook is honoured before each request."""
    fake_api.tokens["second"] = "alice"
    statuses: list[Object] = [
        {"token": "good-token", "expirationTimestamp": stamp(-60)},
        {"token": "second", "expirationTimestamp": stamp(3600)},
    ]
    client = client_for(fake_api, tmp_path, plugin(tmp_path, *statuses))
    client.request("GET", PODS)
    client.request("GET", PODS)
    assert authorizations(fake_api)[-1] == ["Bearer second"]


def test_a_refused_login_runs_the_plugin_again_once(fake_api: FakeApi, tmp_path: Path) -> None:
    """401 in the middle: the plugin is run again and the request repeated, a create as well."""
    fake_api.tokens["second"] = "alice"
    client = client_for(fake_api, tmp_path, plugin(tmp_path, {"token": "good-token"}, {"token": "second"}))
    client.request("GET", PODS)
    del fake_api.tokens["good-token"]
    client.create(PODS, json.dumps(pod("new")).encode())
    assert (runs(tmp_path), len(fake_api.seen("POST"))) == (2, 2)
    fake_api.tokens.clear()
    with pytest.raises(ClusterError, match="You must be logged in to the server"):
        client.request("GET", PODS)
    assert runs(tmp_path) == 3


def test_a_plugins_certificate_is_used_and_replaced(fake_api: FakeApi, tmp_path: Path) -> None:
    """A plugin that gives a key pair: it is loaded, and asked for again when it has expired."""
    assert fake_api.pki
    pair = {
        "clientCertificateData": fake_api.pki.client_cert.read_text(),
        "clientKeyData": fake_api.pki.client_key.read_text(),
    }
    user = plugin(
        tmp_path, {**pair, "expirationTimestamp": stamp(5)}, {**pair, "expirationTimestamp": stamp(3600)}
    )
    client = client_for(fake_api, tmp_path, user)
    for _ in range(3):
        client.request("GET", PODS)
    assert [request.user for request in fake_api.requests] == ["alice"] * 3
    assert runs(tmp_path) == 2


def test_a_plugin_that_is_missing_is_named(fake_api: FakeApi, tmp_path: Path) -> None:
    """The error names the program and gives the kubeconfig's own hint for installing it."""
    user = plugin(tmp_path, {}, installHint="install it from example.com")
    user["exec"]["command"] = "/nowhere/aws"
    with pytest.raises(ClusterError, match=r"getting credentials: .*'/nowhere/aws'") as caught:
        client_for(fake_api, tmp_path, user).request("GET", PODS)
    assert caught.value.hint == "install it from example.com"
    assert fake_api.requests == []


def test_a_plugin_that_fails_is_quoted(
    fake_api: FakeApi, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its complaint is in the error, and nothing is printed behind the command's back."""
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh"}}
    user["exec"]["args"] = ["-c", "echo please run: aws sso login >&2; exit 1"]  # type: ignore[assignment]
    with pytest.raises(ClusterError, match=r"getting credentials: .*please run: aws sso login"):
        client_for(fake_api, tmp_path, user).request("GET", PODS)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ({"client-certificate-data": "!", "client-key-data": "!"}, "credentials of alice cannot be used"),
        (
            {"client-certificate-data": "Zm9v", "client-key-data": "YmFy"},
            "credentials of alice cannot be used: tls: ",
        ),
        ({"client-certificate-data": "Zm9v"}, "client-key-data or client-key must be specified for alice"),
        (
            {"client-certificate": "nope.pem", "client-key": "nope.key"},
            "unable to read client-cert .*nope.pem",
        ),
    ],
)
def test_bad_credentials_are_explained(fake_api: FakeApi, tmp_path: Path, user: Object, message: str) -> None:
    """The error names the user entry, never the data."""
    with pytest.raises(ClusterError, match=message):
        client_for(fake_api, tmp_path, user).request("GET", PODS)


def test_no_key_file_is_there_while_requests_run(
    client: ClusterClient, fake_api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first request no file holds a key, in this process's own temporary folder."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    client.request("GET", PODS)
    assert list(folder.rglob("*")) == []


def test_the_librarys_files_are_private_and_forgotten(
    fake_api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that the library writes (an exec plugin's) is in a folder of mode 0700 that is gone, also after errors."""
    from netinspect.cluster.credentials import _private_folder
    from netinspect.cluster.library import load_library

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    library = load_library()
    folder = ""

    def fail() -> None:
        nonlocal folder
        with _private_folder(library) as folder:
            assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
            library.kube_config._create_temp_file_with_content(b"PRIVATE KEY", folder)
            assert len(os.listdir(folder)) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not os.path.exists(folder)
    assert not any(path.startswith(folder) for path in library.kube_config._temp_files.values())


_VICTIM = """\
import sys
from netinspect.cluster.client import connect
from netinspect.cluster.options import ConnectionOptions
client = connect(ConnectionOptions(kubeconfig=sys.argv[1]))
print("start", flush=True)
while True:
    client.request("GET", "/api/v1/pods")
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_leaves_no_key_behind(
    kubeconfig: Path, fake_api: FakeApi, tmp_path: Path, signum: int
) -> None:
    """A process that is killed at any time, also while it loads its credentials, leaves no private key on disk."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    environment = {**os.environ, "TMPDIR": str(folder)}
    dice = random.Random(signum)
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", _VICTIM, str(kubeconfig)], stdout=subprocess.PIPE, env=environment
        )
        assert process.stdout
        process.stdout.readline()
        time.sleep(dice.uniform(0, 0.8))
        process.send_signal(signum)
        process.wait(10)
        process.stdout.close()
        assert not [
            path for path in folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()
        ]


def test_secrets_are_not_in_any_repr(kubeconfig: Path, fake_api: FakeApi) -> None:
    """Neither the context nor the options show a token or a key."""
    options = ConnectionOptions(kubeconfig=str(kubeconfig), token="s3cret")
    client = connect(options)
    shown = repr(client.context) + repr(options) + str(client.context)
    assert "s3cret" not in shown
    assert str(client.context.user["client-key-data"]) not in shown


def test_a_401_with_nothing_to_renew_stands(client: ClusterClient, fake_api: FakeApi) -> None:
    """A login that is refused twice is kubectl's error."""
    fake_api.faults.add(faults.answer(401, "Unauthorized", "Unauthorized"), times=2)
    with pytest.raises(ClusterError) as caught:
        client.request("GET", PODS)
    assert caught.value.message == "error: You must be logged in to the server (Unauthorized)"

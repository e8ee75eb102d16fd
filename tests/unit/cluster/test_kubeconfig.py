"""The context, resolved as kubectl does; where a kubectl is at hand, compared with what it says."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netinspect.cluster.kubeconfig import (
    Impersonation,
    ResolvedContext,
    describe_user,
    resolve_context,
)
from netinspect.cluster.options import ConnectionOptions
from netinspect.errors import ClusterError

Entry = dict[str, Any]

A: Entry = {
    "current-context": "ca",
    "clusters": [
        {"name": "c1", "cluster": {"server": "https://one:6443/"}},
        {
            "name": "c2",
            "cluster": {"server": "https://two:6443", "proxy-url": "socks5://p:1", "tls-server-name": "t"},
        },
    ],
    "users": [
        {"name": "u1", "user": {"token": "one"}},
        {"name": "u2", "user": {"token": "two", "as": "boss"}},
    ],
    "contexts": [
        {"name": "ca", "context": {"cluster": "c1", "user": "u1"}},
        {"name": "cb", "context": {"cluster": "c2", "user": "u2", "namespace": "ns-b"}},
        {"name": "no-cluster", "context": {"cluster": "zz", "user": "u1"}},
        {"name": "no-user", "context": {"cluster": "c1", "user": "zz"}},
    ],
}
B: Entry = {
    "current-context": "cb",
    "clusters": [{"name": "c1", "cluster": {"server": "https://other:6443", "tls-server-name": "x"}}],
    "users": [{"name": "u1", "user": {"token": "other", "as": "someone"}}],
    "contexts": [{"name": "only-b", "context": {"cluster": "c1", "user": "u1", "namespace": "b"}}],
}


def write(folder: Path, name: str, config: Entry | str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    return str(path)


def resolve(folder: Path, *files: str, **options: Any) -> ResolvedContext:
    environ = {"HOME": str(folder), "KUBECONFIG": os.pathsep.join(files)}
    return resolve_context(ConnectionOptions(**options), environ, str(folder / "service-account"))


def message_of(folder: Path, *files: str, **options: Any) -> str:
    with pytest.raises(ClusterError) as caught:
        resolve(folder, *files, **options)
    return caught.value.message


def test_the_current_context(tmp_path: Path) -> None:
    """Server without its trailing slash, the user entry's name, namespace default."""
    context = resolve(tmp_path, write(tmp_path, "a", A))
    assert (context.name, context.cluster_name, context.user_name) == ("ca", "c1", "u1")
    assert (context.server, context.namespace, context.user) == (
        "https://one:6443",
        "default",
        {"token": "one"},
    )
    assert describe_user(context) == "u1"


def test_a_context_by_name(tmp_path: Path) -> None:
    """--context; the context's namespace, the user's `as`, the cluster's proxy."""
    context = resolve(tmp_path, write(tmp_path, "a", A), context="cb")
    assert (context.server, context.namespace) == ("https://two:6443", "ns-b")
    assert context.impersonation == Impersonation("boss")
    assert context.cluster["proxy-url"] == "socks5://p:1"
    assert describe_user(context) == "boss (impersonated by u2)"


def test_the_first_file_wins(tmp_path: Path) -> None:
    """current-context and each entry come from the first file that has them; entries are never mixed."""
    a, b = write(tmp_path, "a", A), write(tmp_path, "b", B)
    first = resolve(tmp_path, a, str(tmp_path / "missing"), "", b)
    assert (first.name, first.server, first.user["token"]) == ("ca", "https://one:6443", "one")
    other = resolve(tmp_path, b, a, context="only-b")
    assert (other.server, other.namespace, other.impersonation.user) == ("https://other:6443", "b", "someone")
    assert resolve(tmp_path, a, b, context="only-b").server == "https://one:6443"


def test_the_home_folder_is_the_default(tmp_path: Path) -> None:
    """Without KUBECONFIG, ~/.kube/config."""
    write(tmp_path, ".kube/config", A)
    assert resolve(tmp_path).name == "ca"


def test_the_flag_is_read_alone(tmp_path: Path) -> None:
    """--kubeconfig hides KUBECONFIG, and must exist."""
    a, b = write(tmp_path, "a", A), write(tmp_path, "b", {**B, "current-context": "only-b"})
    assert resolve(tmp_path, a, kubeconfig=b).name == "only-b"
    assert (
        message_of(tmp_path, a, kubeconfig="nope.yaml") == "error: stat nope.yaml: no such file or directory"
    )


def test_relative_paths_belong_to_their_file(tmp_path: Path) -> None:
    """Each file's paths start at its own folder; a plugin by bare name is left for PATH."""
    for name in ("x/ca.pem", "y/client.pem", "y/client.key"):
        write(tmp_path, name, "pem")
    config: Entry = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://h", "certificate-authority": "ca.pem"}}],
    }
    certificate = {"client-certificate": "client.pem", "client-key": "./client.key", "tokenFile": "token"}
    user = {**certificate, "exec": {"command": "bin/plugin"}}
    first = write(tmp_path, "x/config", config)
    second = write(tmp_path, "y/config", {"users": [{"name": "u", "user": user}]})
    context = resolve(tmp_path, first, second)
    assert context.cluster["certificate-authority"] == f"{tmp_path}/x/ca.pem"
    assert context.user["client-certificate"] == f"{tmp_path}/y/client.pem"
    assert context.user["tokenFile"] == f"{tmp_path}/y/token"
    assert context.user["exec"]["command"] == f"{tmp_path}/y/bin/plugin"
    user["exec"] = {"command": "plugin"}
    write(tmp_path, "y/config", {"users": [{"name": "u", "user": user}]})
    assert resolve(tmp_path, first, second).user["exec"]["command"] == "plugin"


def test_every_override(tmp_path: Path) -> None:
    """Each flag replaces what the files say."""
    pem = write(tmp_path, "pem", "x")
    context = resolve(
        tmp_path,
        write(tmp_path, "a", A),
        cluster="c2",
        user="u2",
        namespace="flag",
        server="https://flag",
        tls_server_name="name",
        certificate_authority=pem,
        client_certificate=pem,
        client_key=pem,
        as_="me",
        as_uid="7",
        as_group=("g", "h"),
        as_user_extra=("k=1", "k=2", "l=a=b"),
    )
    assert (context.name, context.cluster_name, context.user_name, context.namespace) == (
        "ca",
        "c2",
        "u2",
        "flag",
    )
    assert context.cluster == {
        "server": "https://flag",
        "tls-server-name": "name",
        "certificate-authority": pem,
        "insecure-skip-tls-verify": False,
        "proxy-url": "socks5://p:1",
    }
    assert context.user["client-key"] == pem
    assert context.impersonation == Impersonation("me", "7", ("g", "h"), (("k", ("1", "2")), ("l", ("a=b",))))


def test_impersonation_of_the_kubeconfig(tmp_path: Path) -> None:
    """as-uid, as-groups and as-user-extra are read, which the Python client does not do."""
    user = {"as": "a", "as-uid": "1", "as-groups": ["g"], "as-user-extra": {"k": ["v", "w"]}}
    config = {**A, "users": [{"name": "u1", "user": user}]}
    context = resolve(tmp_path, write(tmp_path, "a", config))
    assert context.impersonation == Impersonation("a", "1", ("g",), (("k", ("v", "w")),))


def test_the_server_flag_clears_the_files_tls_name(tmp_path: Path) -> None:
    """client-go: a name that belongs to another server must not be used."""
    context = resolve(tmp_path, write(tmp_path, "a", A), context="cb", server="https://flag")
    assert "tls-server-name" not in context.cluster


def test_a_flags_certificate_replaces_the_files_data(tmp_path: Path) -> None:
    """Embedded data has precedence over paths, so it must go."""
    pem = write(tmp_path, "pem", "x")
    user = {"client-certificate-data": "eA==", "client-key-data": "eA=="}
    config = {**A, "users": [{"name": "u1", "user": user}]}
    context = resolve(tmp_path, write(tmp_path, "a", config), client_certificate=pem, client_key=pem)
    assert context.user == {"client-certificate": pem, "client-key": pem}


def test_the_server_flag_needs_no_file(tmp_path: Path) -> None:
    """--server alone is a configuration."""
    context = resolve(tmp_path, server="http://127.0.0.1:8001")
    assert (context.server, context.namespace, context.user) == ("http://127.0.0.1:8001", "default", {})


def test_the_service_account_of_a_pod(tmp_path: Path) -> None:
    """In a pod without any kubeconfig: address, token, authority and namespace of the pod; flags still count."""
    for name, text in (("token", "t"), ("ca.crt", "pem"), ("namespace", "mine\n")):
        write(tmp_path, f"service-account/{name}", text)
    environ = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    options = ConnectionOptions(as_="other")
    context = resolve_context(options, environ, str(tmp_path / "service-account"))
    assert (context.server, context.namespace) == ("https://[fd00::1]:443", "mine")
    assert context.user == {"tokenFile": f"{tmp_path}/service-account/token"}
    assert context.impersonation.user == "other"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": "nope"}, "Error in configuration: context was not found for specified context: nope"),
        ({"user": "zz"}, 'error: auth info "zz" does not exist'),
        ({"cluster": "zz"}, 'error: no server found for cluster "zz"'),
        ({"context": "no-cluster"}, 'error: no server found for cluster "zz"'),
        ({"context": "no-user"}, 'error: auth info "zz" does not exist'),
        (
            {"certificate_authority": "nope.pem"},
            "error: unable to read certificate-authority nope.pem for c1 "
            "due to open nope.pem: no such file or directory",
        ),
        (
            {"client_certificate": "nope.pem"},
            "Error in configuration: \n"
            "* client-key-data or client-key must be specified for u1 to use the clientCert authentication method.\n"
            "* unable to read client-cert nope.pem for u1 due to open nope.pem: no such file or directory",
        ),
        (
            {"as_group": ("g",)},
            "error: requesting uid, groups or user-extra for u1 without impersonating a user",
        ),
        ({"as_user_extra": ("k",)}, 'error: --as-user-extra must be key=value, not "k"'),
    ],
)
def test_errors_read_as_in_kubectl(tmp_path: Path, options: Entry, message: str) -> None:
    """Wording captured from kubectl 1.36 (a context whose user or cluster is missing is refused here)."""
    assert message_of(tmp_path, write(tmp_path, "a", A), **options) == message


def test_no_configuration_at_all(tmp_path: Path) -> None:
    """kubectl's own advice."""
    assert "Via the KUBECONFIG environment variable" in message_of(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("users: [{name: u, user: {token: s3cret}}\nfoo: [", "yaml: line 2"),
        ("[]", "it is not a kubeconfig"),
        ("clusters: [{cluster: {}}, x]", "an entry of clusters has no name"),
        ("clusters: [{name: c, cluster: {}}, {name: c, cluster: {}}]", 'duplicate name "c" in list clusters'),
        ("\x00", "yaml: "),
    ],
)
def test_a_broken_file_is_named_and_not_quoted(tmp_path: Path, text: str, message: str) -> None:
    """The path and the line are in the error; the text around it, which may be a token, is not."""
    path = write(tmp_path, "bad", text)
    shown = message_of(tmp_path, path)
    assert shown.startswith(f'error: error loading config file "{path}": ')
    assert message in shown
    assert "s3cret" not in shown


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A folder in KUBECONFIG is an error, as in kubectl, and not skipped."""
    assert "is a directory" in message_of(tmp_path, str(tmp_path))


def find_kubectl() -> str:
    kubectl = os.environ.get("NETINSPECT_KUBECTL") or shutil.which("kubectl")
    if not kubectl:
        pytest.skip("no kubectl: set NETINSPECT_KUBECTL")
    return kubectl


def ask_kubectl(folder: Path, files: list[str], *flags: str) -> Entry | None:
    """Return the one-context configuration that kubectl would use; None where it has no such context."""
    environ = {"HOME": str(folder), "KUBECONFIG": os.pathsep.join(files), "PATH": os.environ["PATH"]}
    argv = [find_kubectl(), *flags, "config", "view", "--minify", "--flatten", "--raw", "-o", "json"]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


_NAMES = st.sampled_from(["c", "d", "e"])
_SERVERS = st.sampled_from(["https://one", "https://two", "https://three:1/path"])
_CLUSTERS = st.dictionaries(
    _NAMES, st.fixed_dictionaries({"server": _SERVERS}, optional={"tls-server-name": _NAMES})
)
_USERS = st.dictionaries(_NAMES, st.fixed_dictionaries({"token": _NAMES}, optional={"as": _NAMES}))
_CONTEXTS = st.dictionaries(
    _NAMES, st.fixed_dictionaries({"cluster": _NAMES, "user": _NAMES}, optional={"namespace": _NAMES})
)


def _file(clusters: Entry, users: Entry, contexts: Entry, current: str) -> Entry:
    config: Entry = {"apiVersion": "v1", "kind": "Config", "current-context": current}
    lists = {"cluster": clusters, "user": users, "context": contexts}
    for word, entries in lists.items():
        config[f"{word}s"] = [{"name": name, word: entry} for name, entry in entries.items()]
    return config


_FILES = st.lists(
    st.builds(_file, _CLUSTERS, _USERS, _CONTEXTS, st.one_of(st.just(""), _NAMES)), min_size=1, max_size=3
)


@given(configs=_FILES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_merging_agrees_with_kubectl(tmp_path: Path, configs: list[Entry]) -> None:
    """Whatever the files hold: kubectl and we mean the same context, cluster, user and namespace."""
    files = [write(tmp_path, f"file{index}", config) for index, config in enumerate(configs)]
    theirs = ask_kubectl(tmp_path, files)
    try:
        ours = resolve(tmp_path, *files)
    except ClusterError:
        # We refuse what kubectl goes on with as nobody: an entry that the context names and no file has.
        assert theirs is None or not theirs.get("clusters") or not theirs.get("users")
        return
    assert theirs is not None
    assert ours.name == theirs["current-context"]
    assert dict(ours.cluster) == theirs["clusters"][0]["cluster"]
    assert dict(ours.user) == theirs["users"][0]["user"]
    assert ours.namespace == theirs["contexts"][0]["context"].get("namespace", "default")


def test_paths_agree_with_kubectl(tmp_path: Path) -> None:
    """kubectl finds the same files from the same relative paths."""
    write(tmp_path, "x/ca.pem", "authority")
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://h", "certificate-authority": "ca.pem"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path = write(tmp_path, "x/config", config)
    theirs = ask_kubectl(tmp_path, [path])
    assert theirs
    data = base64.b64decode(theirs["clusters"][0]["cluster"]["certificate-authority-data"])
    assert data == Path(resolve(tmp_path, path).cluster["certificate-authority"]).read_bytes()


@pytest.mark.parametrize(
    "flags",
    [
        ["--context", "nope"],
        ["--user", "zz"],
        ["--as-group", "g"],
        ["--certificate-authority", "nope.pem"],
        ["--client-certificate", "nope.pem"],
        ["--kubeconfig", "nope.yaml"],
    ],
)
def test_errors_agree_with_kubectl(tmp_path: Path, flags: list[str]) -> None:
    """The very words of the kubectl at hand."""
    path = write(tmp_path, "a", A)
    environ = {"HOME": str(tmp_path), "KUBECONFIG": path, "PATH": os.environ["PATH"]}
    argv = [find_kubectl(), *flags, "--request-timeout", "1s", "get", "pods"]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    name = flags[0].removeprefix("--").replace("-", "_")
    value: Any = (flags[1],) if name == "as_group" else flags[1]
    assert message_of(tmp_path, path, **{name: value}).strip() == done.stderr.strip()

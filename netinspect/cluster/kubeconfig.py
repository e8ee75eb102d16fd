"""Which cluster, as whom, in which namespace: resolved as kubectl does, before any library is asked.

The Python client merges `KUBECONFIG` lists the other way round and reads no `as` fields, so it could act on
another cluster, or as another user, than the kubectl beside it. Source of the rules: client-go
tools/clientcmd/client_config.go (`getContext`, `getCluster`, `getAuthInfo`, `ConfirmUsable`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netinspect.cluster.kubeconfig_files import Entry, KubeconfigFile, load_files
from netinspect.cluster.options import ConnectionOptions
from netinspect.errors import ClusterError

SERVICE_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"

_NO_CONFIGURATION = """\
error: Missing or incomplete configuration info.  Please point to an existing, complete config file:

  1. Via the command-line flag --kubeconfig
  2. Via the KUBECONFIG environment variable
  3. In your home directory as ~/.kube/config

To view or setup config directly use the 'config' command."""


@dataclass(frozen=True)
class Impersonation:
    """Whom to act as; `user` "" means nobody else."""

    user: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, repr=False)
class ResolvedContext:
    """Where the API server is and what to show it. `repr` tells names only: `cluster` and `user` hold secrets.

    Attributes:
        name: the context's name; "" where the command line or the pod's service account made one up.
        cluster: the cluster entry of the kubeconfig, overrides applied, paths absolute.
        user: the user entry, likewise.
        namespace: that of `--namespace`, or else of the context; "default" where nothing is said.
        own_namespace: the context's, whatever `--namespace` says.
    """

    name: str
    cluster_name: str
    user_name: str
    namespace: str
    cluster: Mapping[str, Any] = field(default_factory=dict)
    user: Mapping[str, Any] = field(default_factory=dict)
    impersonation: Impersonation = Impersonation()
    own_namespace: str = "default"

    def __repr__(self) -> str:
        return (
            f"ResolvedContext(name={self.name!r}, cluster={self.cluster_name!r}, "
            f"user={self.user_name!r}, namespace={self.namespace!r})"
        )

    @property
    def server(self) -> str:
        """The API server's URL, without a trailing slash; it may have a path of its own."""
        return str(self.cluster.get("server", "")).rstrip("/")


def describe_user(context: ResolvedContext) -> str:
    """Name whom requests are made as, from what is known here: the impersonated user, else the user entry."""
    if context.impersonation.user:
        return f"{context.impersonation.user} (impersonated by {context.user_name or 'an unnamed user'})"
    return context.user_name or "an unnamed user"


def resolve_context(
    options: ConnectionOptions,
    environ: Mapping[str, str] = os.environ,
    service_account_dir: str = SERVICE_ACCOUNT_DIR,
) -> ResolvedContext:
    """Resolve the command line, the kubeconfig files and the pod's service account to one context.

    Raises:
        ClusterError: in kubectl's wording, when there is no usable configuration.
    """
    config = load_files(options.kubeconfig, environ)
    context = _resolve(config, options, environ)
    if not context.server and config.is_empty:
        context = _in_cluster(options, environ, service_account_dir)
    elif not context.server:
        raise ClusterError(f'error: no server found for cluster "{context.cluster_name}"')
    _confirm_usable(context)
    return context


def _resolve(
    config: KubeconfigFile, options: ConnectionOptions, environ: Mapping[str, str]
) -> ResolvedContext:
    name = options.context or config.current_context
    if name and name not in config.contexts:
        raise ClusterError(f"Error in configuration: context was not found for specified context: {name}")
    entry = config.contexts.get(name, {})
    cluster_name = options.cluster or str(entry.get("cluster") or "")
    user_name = options.user or str(entry.get("user") or "")
    cluster = _pick(config.clusters, cluster_name, f'no server found for cluster "{cluster_name}"')
    user = _pick(config.users, user_name, f'auth info "{user_name}" does not exist')
    cluster = _override_cluster(cluster, options)
    if not cluster.get("server") and not name and environ.get("KUBERNETES_MASTER"):
        cluster = {**cluster, "server": environ["KUBERNETES_MASTER"]}
    own_namespace = str(entry.get("namespace") or "") or "default"
    return ResolvedContext(
        name=name,
        cluster_name=cluster_name,
        user_name=user_name,
        namespace=options.namespace or own_namespace,
        own_namespace=own_namespace,
        cluster=cluster,
        user=_override_user(user, options),
        impersonation=_impersonation(user, options),
    )


def _pick(entries: Mapping[str, Entry], name: str, otherwise: str) -> Entry:
    """Find an entry. A name that leads nowhere is an error: kubectl goes on as nobody, or asks for a password."""
    if not name:
        return {}
    if name not in entries:
        raise ClusterError(f"error: {otherwise}")
    return entries[name]


def _override_cluster(entry: Entry, options: ConnectionOptions) -> Entry:
    """`--server` also clears the file's tls-server-name; a CA or skip flag clears the file's idea of both."""
    cluster = dict(entry)
    if options.server:
        cluster["server"] = options.server
    if options.insecure_skip_tls_verify or options.certificate_authority:
        cluster.pop("certificate-authority-data", None)
        cluster["certificate-authority"] = options.certificate_authority
        cluster["insecure-skip-tls-verify"] = options.insecure_skip_tls_verify
    if options.tls_server_name or options.server:
        cluster["tls-server-name"] = options.tls_server_name
    return {key: value for key, value in cluster.items() if value not in ("", None)}


def _override_user(entry: Entry, options: ConnectionOptions) -> Entry:
    user = dict(entry)
    if options.client_certificate:
        user.pop("client-certificate-data", None)
        user["client-certificate"] = options.client_certificate
    if options.client_key:
        user.pop("client-key-data", None)
        user["client-key"] = options.client_key
    if options.token:
        # The token given by hand must win, and the Python client asks the other sources first.
        for key in ("tokenFile", "exec", "auth-provider", "username", "password"):
            user.pop(key, None)
        user["token"] = options.token
    return {key: value for key, value in user.items() if value not in ("", None)}


def _impersonation(user: Entry, options: ConnectionOptions) -> Impersonation:
    """Flag by flag over the user entry's own `as`, `as-uid`, `as-groups`, `as-user-extra`."""
    listed = {key: tuple(map(str, values)) for key, values in (user.get("as-user-extra") or {}).items()}
    return Impersonation(
        user=options.as_ or str(user.get("as") or ""),
        uid=options.as_uid or str(user.get("as-uid") or ""),
        groups=options.as_group or tuple(map(str, user.get("as-groups") or ())),
        extra=tuple((_parse_extra(options.as_user_extra) or listed).items()),
    )


def _parse_extra(pairs: Iterable[str]) -> dict[str, tuple[str, ...]]:
    extra: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise ClusterError(f'error: --as-user-extra must be key=value, not "{pair}"')
        extra[key] = (*extra.get(key, ()), value)
    return extra


def _in_cluster(options: ConnectionOptions, environ: Mapping[str, str], directory: str) -> ResolvedContext:
    """Build the context of a pod's service account; the flags still count."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "")
    token_path = os.path.join(directory, "token")
    if not (host and port and os.path.isfile(token_path)):
        raise ClusterError(_NO_CONFIGURATION)
    address = f"[{host}]" if ":" in host else host
    cluster = {
        "server": f"https://{address}:{port}",
        "certificate-authority": os.path.join(directory, "ca.crt"),
    }
    own_namespace = _pod_namespace(environ, directory)
    return ResolvedContext(
        name="",
        cluster_name="in-cluster",
        user_name="service account",
        namespace=options.namespace or own_namespace,
        own_namespace=own_namespace,
        cluster=_override_cluster(cluster, options),
        user=_override_user({"tokenFile": token_path}, options),
        impersonation=_impersonation({}, options),
    )


def _pod_namespace(environ: Mapping[str, str], directory: str) -> str:
    if environ.get("POD_NAMESPACE"):
        return environ["POD_NAMESPACE"]
    try:
        return Path(directory, "namespace").read_text("utf-8").strip() or "default"
    except OSError:
        return "default"


def _confirm_usable(context: ResolvedContext) -> None:
    """Refuse what kubectl's `ConfirmUsable` refuses, all faults in one message."""
    faults = [*_cluster_faults(context), *_user_faults(context)]
    if len(faults) == 1:
        raise ClusterError(f"error: {faults[0]}")
    if faults:
        raise ClusterError("Error in configuration: \n" + "\n".join(f"* {fault}" for fault in faults))


def _cluster_faults(context: ResolvedContext) -> list[str]:
    cluster = context.cluster
    faults = _unreadable(cluster, "certificate-authority", "certificate-authority", context.cluster_name)
    has_ca = bool(cluster.get("certificate-authority") or cluster.get("certificate-authority-data"))
    if has_ca and cluster.get("insecure-skip-tls-verify"):
        faults.append(
            f"certificate-authority-data and certificate-authority may not be used with "
            f'insecure-skip-tls-verify for cluster "{context.cluster_name}"'
        )
    return faults


def _user_faults(context: ResolvedContext) -> list[str]:
    user, name = context.user, context.user_name
    faults: list[str] = []
    has_certificate = bool(user.get("client-certificate") or user.get("client-certificate-data"))
    has_key = bool(user.get("client-key") or user.get("client-key-data"))
    if has_certificate and not has_key:
        faults.append(
            "client-key-data or client-key must be specified for "
            f"{name} to use the clientCert authentication method."
        )
    faults += _unreadable(user, "client-certificate", "client-cert", name)
    faults += _unreadable(user, "client-key", "client-key", name)
    who = context.impersonation
    if not who.user and (who.uid or who.groups or who.extra):
        faults.append(f"requesting uid, groups or user-extra for {name} without impersonating a user")
    return faults


def _unreadable(entry: Mapping[str, Any], key: str, label: str, owner: str) -> list[str]:
    """Name a file that cannot be opened; embedded data has the precedence, so then the file does not matter."""
    path = str(entry.get(key) or "")
    if not path or entry.get(f"{key}-data"):
        return []
    try:
        with open(path, "rb"):
            return []
    except OSError as error:
        return [
            f"unable to read {label} {path} for {owner} due to open {path}: {(error.strerror or '').lower()}"
        ]

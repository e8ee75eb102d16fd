"""The cluster's keys: one authority, a certificate per component, and the key that signs service-account tokens.

What each certificate must say: Kubernetes' "PKI certificates and requirements", and the Node authorizer's rule that a
kubelet is the user `system:node:<name>` of the group `system:nodes`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.bench import paths
from tests.cluster.bench.shell import run
from tests.cluster.bench.topology import (
    API_SERVICE_V4,
    API_SERVICE_V6,
    CLUSTER_DOMAIN,
    CONTROL_PLANE_V4,
    CONTROL_PLANE_V6,
    NODES,
    Node,
)

AUTHORITY = "ca"
DAYS = "3650"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")


@dataclass(frozen=True)
class Certificate:
    """A certificate to make: the file's name, who its holder is, and where its holder serves."""

    file: str
    user: str
    group: str = ""
    serves_at: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        organization = f"/O={self.group}" if self.group else ""
        return f"{organization}/CN={self.user}"

    def extensions(self) -> str:
        """The x509 extensions in OpenSSL's configuration format; a holder that serves may be a client as well."""
        usage = "serverAuth,clientAuth" if self.serves_at else "clientAuth"
        lines = [
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature",
            f"extendedKeyUsage={usage}",
        ]
        if self.serves_at:
            lines.append(f"subjectAltName={','.join(self.serves_at)}")
        return "\n".join(lines)


API_SERVER = Certificate(
    "apiserver",
    "kube-apiserver",
    serves_at=(
        "DNS:localhost",
        "DNS:kubernetes",
        "DNS:kubernetes.default",
        "DNS:kubernetes.default.svc",
        f"DNS:kubernetes.default.svc.{CLUSTER_DOMAIN}",
        "IP:127.0.0.1",
        "IP:::1",
        f"IP:{CONTROL_PLANE_V4}",
        f"IP:{CONTROL_PLANE_V6}",
        f"IP:{API_SERVICE_V4}",
        f"IP:{API_SERVICE_V6}",
    ),
)
ADMIN = Certificate("admin", "kubernetes-admin", "system:masters")
API_SERVER_TO_KUBELET = Certificate("apiserver-kubelet-client", "kube-apiserver", "system:masters")
CONTROLLER_MANAGER = Certificate("kube-controller-manager", "system:kube-controller-manager")
SCHEDULER = Certificate("kube-scheduler", "system:kube-scheduler")
PROXY = Certificate("kube-proxy", "system:kube-proxy")


def kubelet(node: Node) -> Certificate:
    """A kubelet's certificate for both directions; the API server reaches it by its node's address."""
    serves_at = (f"DNS:{node.name}", f"IP:{node.v4}", f"IP:{node.v6}")
    return Certificate(f"kubelet-{node.name}", f"system:node:{node.name}", "system:nodes", serves_at)


def make_all() -> None:
    """Make every key and certificate of the cluster."""
    paths.pki().mkdir(parents=True, mode=0o700)
    _make_authority()
    run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", service_account_key()])
    wanted = [API_SERVER, ADMIN, API_SERVER_TO_KUBELET, CONTROLLER_MANAGER, SCHEDULER, PROXY]
    with ThreadPoolExecutor() as pool:
        list(pool.map(_make, wanted + [kubelet(node) for node in NODES]))


def certificate_file(name: str) -> Path:
    return paths.pki() / f"{name}.crt"


def key_file(name: str) -> Path:
    return paths.pki() / f"{name}.key"


def service_account_key() -> Path:
    """Signs service-account tokens and, as it holds the public half too, verifies them."""
    return paths.pki() / "service-account.key"


def _make_authority() -> None:
    extensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,digitalSignature"
    _request(AUTHORITY, "/CN=netinspect-bench", extensions, [])


def _make(wanted: Certificate) -> None:
    signer = ["-CA", str(certificate_file(AUTHORITY)), "-CAkey", str(key_file(AUTHORITY))]
    _request(wanted.file, wanted.subject, wanted.extensions(), signer)


def _request(name: str, subject: str, extensions: str, signer: list[str]) -> None:
    """Make a key and its certificate in one go."""
    # A configuration of our own: the machine's openssl.cnf would add extensions of its own choice.
    config = paths.pki() / f"{name}.cnf"
    config.write_text(f"[req]\ndistinguished_name=name\nx509_extensions=ext\n[name]\n[ext]\n{extensions}\n")
    files = ["-keyout", str(key_file(name)), "-out", str(certificate_file(name))]
    said = ["-config", str(config), "-subj", subject, "-days", DAYS]
    run(["openssl", "req", "-x509", *said, *NEW_KEY, *signer, *files])

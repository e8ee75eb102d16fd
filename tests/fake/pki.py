"""A certificate authority and what it signs, made by the `openssl` command when a test session starts."""

from __future__ import annotations

import base64
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SERVER_EXTENSIONS = "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost,DNS:fake.example\n"


@dataclass(frozen=True)
class Pki:
    """Paths of PEM files. The client certificates are those of users `alice` and `mallory` (of an unknown CA)."""

    ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path
    other_ca: Path

    def data(self, path: Path) -> str:
        """Return a file as a kubeconfig's `*-data` field has it."""
        return base64.b64encode(path.read_bytes()).decode()


def make_pki(folder: Path) -> Pki:
    _make_ca(folder, "ca")
    _make_ca(folder, "other-ca")
    _sign(folder, "server", "/CN=fake-api", _SERVER_EXTENSIONS)
    _sign(folder, "client", "/O=devs/CN=alice", "extendedKeyUsage=clientAuth\n")
    return Pki(
        ca=folder / "ca.crt",
        server_cert=folder / "server.crt",
        server_key=folder / "server.key",
        client_cert=folder / "client.crt",
        client_key=folder / "client.key",
        other_ca=folder / "other-ca.crt",
    )


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _make_ca(folder: Path, name: str) -> None:
    _openssl(
        folder, "req", "-x509", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "2",
        "-subj", f"/CN={name}",
    )  # fmt: skip


def _sign(folder: Path, name: str, subject: str, extensions: str) -> None:
    (folder / f"{name}.ext").write_text(extensions)
    _openssl(folder, "req", "-new", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
    _openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt",
    )  # fmt: skip


def _openssl(folder: Path, *argv: str) -> None:
    subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True)

"""kubectl's connection flags as one value.

Source: k8s.io/cli-runtime pkg/genericclioptions/config_flags.go. `--username` and `--password` are left out:
no supported API server takes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ConnectionOptions:
    """What the command line says of how to reach the API server; "" and () mean "not given".

    Attributes:
        as_: `--as`, the user to impersonate.
        as_user_extra: `key=value` strings, as on the command line.
        token: never shown by `repr`.
        request_timeout_s: for each request in all, body included; None means kubectl's 0 (no limit of the user's).
    """

    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    user: str = ""
    namespace: str = ""
    server: str = ""
    token: str = field(default="", repr=False)
    as_: str = ""
    as_uid: str = ""
    as_group: tuple[str, ...] = ()
    as_user_extra: tuple[str, ...] = ()
    client_certificate: str = ""
    client_key: str = ""
    certificate_authority: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    disable_compression: bool = False
    request_timeout_s: float | None = None

"""The control plane's sandbox: etcd, the API server, the controllers, the scheduler, and the relay."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import NoReturn

from tests.cluster.bench import golang, kubeconfig, paths, pki, relay
from tests.cluster.bench.mounts import leave_machine, mount
from tests.cluster.bench.sandbox import Gate
from tests.cluster.bench.supervisor import Service, Supervisor
from tests.cluster.bench.topology import (
    API_PORT,
    CLUSTER_DOMAIN,
    CONTROL_PLANE,
    CONTROL_PLANE_V4,
    SERVICE_CIDRS,
)

ETCD_CLIENTS = "http://127.0.0.1:2379"
ETCD_PEERS = "http://127.0.0.1:2380"


def write_files() -> None:
    """Write the kubeconfigs of the clients that run beside the API server."""
    for holder in (pki.CONTROLLER_MANAGER, pki.SCHEDULER):
        kubeconfig.write(_kubeconfig(holder), f"https://127.0.0.1:{API_PORT}", holder)


def logs() -> Path:
    """The folder of the daemons' logs."""
    return paths.sandbox(CONTROL_PLANE) / "log"


def run_init(gate: Gate, listener: int) -> NoReturn:
    """The sandbox's init: start the API, and its clients once it answers."""
    socket.sethostname(CONTROL_PLANE)
    _mount()
    supervisor = Supervisor(logs())
    supervisor.start(_etcd(), _api_server(), _relay(listener))
    gate.wait()
    supervisor.start(_controller_manager(), _scheduler())
    supervisor.run()


def _mount() -> None:
    leave_machine()
    # etcd waits for the disk at every write; in memory it does not, and its data end with the namespace.
    _etcd_data().mkdir()
    mount("-t", "tmpfs", "-o", "mode=700", "tmpfs", _etcd_data())


def _etcd() -> Service:
    return Service(
        "etcd",
        [
            "etcd",
            f"--data-dir={_etcd_data()}",
            f"--listen-client-urls={ETCD_CLIENTS}",
            f"--advertise-client-urls={ETCD_CLIENTS}",
            f"--listen-peer-urls={ETCD_PEERS}",
            f"--initial-advertise-peer-urls={ETCD_PEERS}",
            f"--initial-cluster=default={ETCD_PEERS}",
        ],
    )


def _api_server() -> Service:
    own, to_kubelet = pki.API_SERVER.file, pki.API_SERVER_TO_KUBELET.file
    return _kubernetes(
        "kube-apiserver",
        f"--etcd-servers={ETCD_CLIENTS}",
        f"--secure-port={API_PORT}",
        f"--advertise-address={CONTROL_PLANE_V4}",
        f"--service-cluster-ip-range={SERVICE_CIDRS}",
        f"--client-ca-file={pki.certificate_file(pki.AUTHORITY)}",
        f"--tls-cert-file={pki.certificate_file(own)}",
        f"--tls-private-key-file={pki.key_file(own)}",
        f"--kubelet-certificate-authority={pki.certificate_file(pki.AUTHORITY)}",
        f"--kubelet-client-certificate={pki.certificate_file(to_kubelet)}",
        f"--kubelet-client-key={pki.key_file(to_kubelet)}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer=https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
        f"--service-account-key-file={pki.service_account_key()}",
        f"--service-account-signing-key-file={pki.service_account_key()}",
        # Trust nobody's word about who else is asking, but have the settings: the controllers look for them.
        f"--requestheader-client-ca-file={pki.certificate_file(pki.AUTHORITY)}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        # It asks etcd for progress reports, which etcd 3.4.23 (Debian 12) cannot give: a time-out every second.
        "--feature-gates=SizeBasedListCostEstimate=false",
    )


def _controller_manager() -> Service:
    return _kubernetes(
        "kube-controller-manager",
        *_client_of_api(pki.CONTROLLER_MANAGER),
        f"--service-account-private-key-file={pki.service_account_key()}",
        f"--root-ca-file={pki.certificate_file(pki.AUTHORITY)}",
        f"--cluster-signing-cert-file={pki.certificate_file(pki.AUTHORITY)}",
        f"--cluster-signing-key-file={pki.key_file(pki.AUTHORITY)}",
        f"--service-cluster-ip-range={SERVICE_CIDRS}",
        "--use-service-account-credentials=true",
    )


def _scheduler() -> Service:
    return _kubernetes("kube-scheduler", *_client_of_api(pki.SCHEDULER))


def _client_of_api(holder: pki.Certificate) -> tuple[str, ...]:
    config = _kubeconfig(holder)
    return (
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        # There is one of each: an election would only hold the start back.
        "--leader-elect=false",
    )


def _relay(listener: int) -> Service:
    argv = [sys.executable, relay.__file__, str(listener), "127.0.0.1", str(API_PORT)]
    return Service("relay", argv, pass_fds=(listener,))


def _kubernetes(program: str, *flags: str) -> Service:
    return Service(program, [golang.kubernetes_bin() / program, *flags])


def _kubeconfig(holder: pki.Certificate) -> Path:
    return paths.sandbox(CONTROL_PLANE) / f"{holder.file}.kubeconfig"


def _etcd_data() -> Path:
    return paths.sandbox(CONTROL_PLANE) / "etcd"

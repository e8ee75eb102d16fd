"""The kubelet's command line."""

from __future__ import annotations

import pytest

from netinspect.models.address import parse_address
from netinspect.models.local_host import KubeletFlags
from netinspect.parse.kubelet_flags import parse_kubelet_flags

V4, V6 = parse_address("10.99.0.11"), parse_address("fd00:10:99::11")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (
            ["/usr/bin/kubelet", "--hostname-override=Node-A", f"--node-ip={V4},{V6}"],
            KubeletFlags("node-a", (V4, V6)),
        ),
        (
            ["kubelet", "--hostname-override", "node-a", "--node-ip", f"{V6}", ""],
            KubeletFlags("node-a", (V6,)),
        ),
        (["kubelet", "-hostname-override=node-a"], KubeletFlags("node-a")),
        (["kubelet", "--hostname-override=a", "--hostname-override=b"], KubeletFlags("b")),
        (["kubelet", "--config=/etc/kubernetes/kubelet.yaml", ""], KubeletFlags()),
        (["kubelet", "--node-ip=::"], KubeletFlags()),
        (["kubelet", "--node-ip=here"], KubeletFlags()),
        (["kubelet", "--hostname-override"], KubeletFlags()),
        ([""], KubeletFlags()),
    ],
)
def test_flags(argv: list[str], expected: KubeletFlags) -> None:
    """With `=` and without; what a flag does not say is left to the kubelet."""
    assert parse_kubelet_flags(argv) == expected

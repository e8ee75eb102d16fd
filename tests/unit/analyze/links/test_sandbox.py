"""Which pods run on another kernel or network stack."""

from __future__ import annotations

import pytest

from netinspect.analyze.links.sandbox import describe_sandbox, find_sandbox_runtime
from netinspect.models.netns import PodProcess
from netinspect.models.veth import SandboxRuntime
from tests.unit.analyze.build import pod


@pytest.mark.parametrize("runtime_class", ["", "runc", "nvidia", "crun-fast"])
def test_an_ordinary_runtime_is_none(runtime_class: str) -> None:
    """A runtime class by itself says nothing."""
    assert find_sandbox_runtime(pod(runtime_class=runtime_class), []) is None


def test_a_virtual_machine_in_a_container_is_a_workload() -> None:
    """KubeVirt runs qemu in a container that the API names: the pod itself is an ordinary one."""
    process = PodProcess(10, "compute", 501, "qemu-system-x86")
    assert find_sandbox_runtime(pod(containers=["compute"]), [process]) is None
    assert find_sandbox_runtime(pod(containers=["app"]), [process]) is SandboxRuntime.KATA


@pytest.mark.parametrize("runtime", SandboxRuntime)
def test_every_runtime_is_described(runtime: SandboxRuntime) -> None:
    """No runtime is named without what it means for the answer."""
    assert "links" in describe_sandbox(runtime)

"""Pods whose workload runs on another kernel, or another network stack, than the one that netinspect reads."""

from __future__ import annotations

from collections.abc import Sequence

from netinspect.models.kubernetes import Pod
from netinspect.models.netns import PodProcess
from netinspect.models.veth import SandboxRuntime

# Parts of runtimeClassName; the names are the administrator's, these are the ones in common use.
_CLASS_WORDS = {
    "kata": SandboxRuntime.KATA,
    "gvisor": SandboxRuntime.GVISOR,
    "runsc": SandboxRuntime.GVISOR,
}
# Beginnings of process names, as the kernel cuts them (15 bytes).
_COMMS = {
    "qemu-system-": SandboxRuntime.KATA,
    "cloud-hyperviso": SandboxRuntime.KATA,
    "firecracker": SandboxRuntime.KATA,
    "runsc-sandbox": SandboxRuntime.GVISOR,
}
_WHAT_STAYS_TRUE = {
    SandboxRuntime.KATA: (
        "the pod runs in a virtual machine (Kata): the links of its netns and their node ends are as shown; sockets, "
        "conntrack, rules and sysctls inside the guest cannot be seen from the node"
    ),
    SandboxRuntime.GVISOR: (
        "the pod runs under gVisor: the links of its netns and their node ends are as shown; gVisor's own network "
        "stack holds the addresses, so the links may bear none, and sockets, conntrack and sysctls of this netns say "
        "nothing about the workload"
    ),
}


def find_sandbox_runtime(pod: Pod, processes: Sequence[PodProcess]) -> SandboxRuntime | None:
    """Tell whether a pod runs under Kata or gVisor, by its runtime class or by its processes' names."""
    class_name = pod.spec.runtime_class_name.lower()
    for word, runtime in _CLASS_WORDS.items():
        if word in class_name:
            return runtime
    api_ids = frozenset(pod.container_ids)
    # A hypervisor in a container that the API names is a workload (KubeVirt), not the pod's runtime.
    comms = [process.comm for process in processes if process.container_id not in api_ids]
    for start, runtime in _COMMS.items():
        if any(comm.startswith(start) for comm in comms):
            return runtime
    return None


def describe_sandbox(runtime: SandboxRuntime) -> str:
    """Say in a sentence what of the answer holds for such a pod, and what does not."""
    return _WHAT_STAYS_TRUE[runtime]

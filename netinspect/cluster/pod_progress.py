"""From a debug pod's status, or from the refusal to create it, to a sentence. Pure.

Sources: kubelet `pkg/kubelet/images/types.go` and `kuberuntime_container.go` (waiting reasons),
`pkg/kubelet/lifecycle/predicate.go` (reasons of a refused pod), `pod-security-admission` (the text of a violation).
"""

from __future__ import annotations

import re

import msgspec

from netinspect.cluster.debug_pod import CONTAINER, is_running
from netinspect.errors import ClusterError, DebugPodError, NetinspectError, TargetError
from netinspect.models.kubernetes import ContainerStateTerminated, ContainerStateWaiting, Node, Pod

_IMAGE_HINT = (
    "name an image that this node can pull with --image, "
    "and the Secret for its registry with --image-pull-secret"
)
_RESOURCE_HINT = "free the resource on the node, or use a pod that runs there already: --via NAMESPACE/POD"

# Reasons for which the kubelet will not, or not soon, start the container: what they mean, and what helps.
_FATAL_WAITING = {
    "ErrImageNeverPull": (
        "the image is not on the node, and --image-pull-policy Never forbids pulling it",
        "load the image onto the node, or choose another --image-pull-policy",
    ),
    "ImagePullBackOff": ("the node cannot pull the image", _IMAGE_HINT),
    "InvalidImageName": ("the image's name is not valid", "correct --image"),
    "ImageInspectError": ("the image on the node is damaged", "use another --image"),
    "RegistryUnavailable": ("the image's registry does not answer", _IMAGE_HINT),
    "CreateContainerConfigError": (
        "the kubelet cannot prepare the container",
        "the message names what is missing on the node or in the namespace",
    ),
    "CreateContainerError": (
        "the container runtime refuses to create the container",
        "see the runtime's log on the node",
    ),
    "RunContainerError": (
        "the container runtime cannot start the container",
        "use an --image that holds `sleep` and `sh`",
    ),
    "CrashLoopBackOff": (
        "the container ends as soon as it starts",
        "use an --image that holds `sleep` and `sh`",
    ),
}

# Reasons for which the kubelet refuses a pod that is bound to its node (its own admission).
_REFUSED_BY_KUBELET = {
    "OutOfcpu": "the node has no CPU left to reserve",
    "OutOfmemory": "the node has no memory left to reserve",
    "OutOfpods": "the node runs as many pods as it may",
    "OutOfephemeral-storage": "the node has no ephemeral storage left to reserve",
    "NodeAffinity": "the node does not match the pod's node selector or affinity",
    "NodeName": "the node goes by another name",
    "TaintToleration": "a taint of the node is not tolerated",
    "PodOSNotSupported": "the node runs another operating system",
    "NodeShutdown": "the node is shutting down",
    "Terminated": "the node is shutting down",
    "UnexpectedAdmissionError": "the kubelet failed to admit the pod",
    "Evicted": "the node is short of a resource and evicted the pod",
    "Preempting": "the pod had to make room for a more important one",
    "DeadlineExceeded": "the pod reached its own deadline",
}

_NODE_HINT = "kubectl get nodes shows which nodes are Ready"


class Progress(msgspec.Struct, frozen=True):
    """How far a debug pod has come.

    Attributes:
        is_ready: whether our container runs.
        waiting_for: what it still waits for, as the end of "waiting for ..."; "" when ready.
    """

    is_ready: bool
    waiting_for: str = ""


def check_node(node: Node) -> None:
    """Make sure that a debug pod can start on the node, before one is created.

    Raises:
        TargetError: the node runs no Linux, or no kubelet that starts privileged pods.
        DebugPodError: its kubelet is not Ready: the pod would wait until its deadline.
    """
    name = node.metadata.name
    system = node.status.node_info.operating_system or node.metadata.labels.get("kubernetes.io/os", "")
    if system not in ("", "linux"):
        raise TargetError(f"node {name} runs {system}: netinspect reads Linux nodes only")
    kind = _virtual_kind(node)
    if kind:
        raise TargetError(
            f"node {name} is {kind}: it has no kernel of its own to look at and starts no privileged pods"
        )
    condition = node.ready_condition
    if not node.is_ready:
        why = f" ({condition.reason}: {condition.message})" if condition else " (its kubelet never reported)"
        raise DebugPodError(f"node {name} is not Ready{why}: no pod can be started there", _NODE_HINT)


def judge_pod(pod: Pod, *, is_command: bool = False) -> Progress:
    """Say how far a debug pod has come.

    Args:
        pod: the debug pod as the API shows it now.
        is_command: whether the pod runs its plan as its own command: it is then ready when it has ended well.

    Raises:
        DebugPodError: it will not come up.
    """
    name, node = pod.metadata.name, pod.spec.node_name
    if pod.metadata.deletion_timestamp:
        raise DebugPodError(f"debug pod {name} is being deleted by somebody else")
    if is_command and pod.status.phase == "Succeeded":
        return Progress(True)
    if pod.is_completed:
        raise _ended_error(pod)
    if is_running(pod):
        return Progress(not is_command, f"the probes on node {node} to end" if is_command else "")
    status = next((each for each in pod.status.container_statuses if each.name == CONTAINER), None)
    if status is None:
        return Progress(False, f"the kubelet of node {node} to take the pod")
    if status.state.terminated and not is_command:
        raise DebugPodError(_terminated_text(name, node, status.state.terminated), _IMAGE_HINT)
    return Progress(False, _judge_waiting(pod, status.state.waiting or ContainerStateWaiting()))


def explain_refusal(error: ClusterError, namespace: str) -> NetinspectError:
    """Turn the API server's refusal to create a debug pod into an error that says what to do."""
    text = error.message
    for pattern, hint in _REFUSALS:
        if re.search(pattern, text):
            return DebugPodError(text, hint.format(namespace=namespace))
    return error


# What the text of a refusal shows, and what helps. The first that fits counts.
_REFUSALS = (
    (
        r"violates PodSecurity",
        "a namespace must allow privileged pods for this:\n"
        "  kubectl label --overwrite namespace {namespace} pod-security.kubernetes.io/enforce=privileged\n"
        "or name one that does with --debug-namespace",
    ),
    (
        r"autogke-|GKE Warden",
        "GKE Autopilot admits no pod with the node's network or privileges: only the commands that read "
        "the API (pods, services) work there",
    ),
    (
        r"security context constraint",
        "OpenShift needs an SCC for this: oc adm policy add-scc-to-user privileged -z default -n {namespace}",
    ),
    (
        r"(exceeded|failed) quota",
        "raise the quota of namespace {namespace}, or name another with --debug-namespace",
    ),
    (
        r"(minimum|maximum) (cpu|memory) usage|LimitRange",
        "the LimitRange of namespace {namespace} forbids it; name another with --debug-namespace",
    ),
    (r"cannot create resource \"pods\"", "docs/rbac/ holds the roles that netinspect needs"),
    (r"namespaces \"[^\"]*\" not found", "name an existing namespace with --debug-namespace"),
    (r"because it is being terminated", "name another namespace with --debug-namespace"),
    (
        r"admission webhook|ValidatingAdmissionPolicy",
        "a policy of the cluster refuses the pod; --debug-namespace may name a namespace that it exempts, and "
        "--dry-run prints the pod",
    ),
    (r"is invalid:", "check the value that the message names; --dry-run prints the pod"),
)


def _judge_waiting(pod: Pod, waiting: ContainerStateWaiting) -> str:
    image = next((each.image for each in pod.spec.containers if each.name == CONTAINER), "")
    if waiting.reason in _FATAL_WAITING:
        meaning, hint = _FATAL_WAITING[waiting.reason]
        where = f"debug pod {pod.metadata.name} on node {pod.spec.node_name}"
        what = f"{where}: {meaning} ({waiting.reason}, image {image})"
        raise DebugPodError(f"{what}: {waiting.message}" if waiting.message else what, hint)
    if waiting.reason == "ErrImagePull":
        return f"another try to pull image {image}: {waiting.message}"
    if waiting.reason in ("", "ContainerCreating", "PodInitializing"):
        return f"node {pod.spec.node_name} to start the container (image {image}, pulled if it is not there)"
    return f"the container ({waiting.reason}: {waiting.message})"


def _ended_error(pod: Pod) -> DebugPodError:
    name, node, status = pod.metadata.name, pod.spec.node_name, pod.status
    if status.reason in _REFUSED_BY_KUBELET:
        meaning = _REFUSED_BY_KUBELET[status.reason]
        return DebugPodError(
            f"debug pod {name} was refused by node {node}: {meaning} ({status.reason}: {status.message})",
            _RESOURCE_HINT,
        )
    for each in status.container_statuses:
        if each.name == CONTAINER and each.state.terminated:
            return DebugPodError(_terminated_text(name, node, each.state.terminated), _IMAGE_HINT)
    detail = ": ".join(part for part in (status.reason, status.message) if part)
    return DebugPodError(
        f"debug pod {name} on node {node} ended ({status.phase}{', ' + detail if detail else ''})"
    )


def _terminated_text(name: str, node: str, state: ContainerStateTerminated) -> str:
    detail = f": {state.message}" if state.message else ""
    return f"debug pod {name} on node {node} ended with exit code {state.exit_code} ({state.reason}){detail}"


def _virtual_kind(node: Node) -> str:
    labels = node.metadata.labels
    if labels.get("eks.amazonaws.com/compute-type") == "fargate":
        return "a Fargate node"
    return "a virtual kubelet" if labels.get("type") == "virtual-kubelet" else ""

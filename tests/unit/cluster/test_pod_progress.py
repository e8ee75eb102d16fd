"""What a debug pod's status, a refusal and a node's state come to in words."""

from __future__ import annotations

import pytest

from netinspect.cluster.pod_progress import (
    _FATAL_WAITING,
    _REFUSALS,
    _REFUSED_BY_KUBELET,
    Progress,
    check_node,
    explain_refusal,
    judge_pod,
)
from netinspect.errors import ClusterError, DebugPodError, TargetError
from netinspect.models.kubernetes import (
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    Node,
    NodeStatus,
    NodeSystemInfo,
    ObjectMeta,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
)

IMAGE = "registry.example/tools:1"
WAITING_FOR_START = Progress(
    False, f"node node-a to start the container (image {IMAGE}, pulled if it is not there)"
)
RUNNING = ContainerState(running=ContainerStateRunning(started_at="2026-07-01T12:00:00Z"))


def waiting(reason: str, message: str = "") -> ContainerState:
    return ContainerState(waiting=ContainerStateWaiting(reason, message))


def ended(exit_code: int, reason: str = "Error", message: str = "") -> ContainerState:
    return ContainerState(
        terminated=ContainerStateTerminated(exit_code=exit_code, reason=reason, message=message)
    )


def pod(
    *states: ContainerState,
    phase: str = "Pending",
    reason: str = "",
    message: str = "",
    deleted: str | None = None,
    name: str = "netinspect",
) -> Pod:
    """The debug pod, with a status of our container for each state given."""
    return Pod(
        metadata=ObjectMeta(name="netinspect-x", deletion_timestamp=deleted),
        spec=PodSpec(node_name="node-a", containers=(Container(name="netinspect", image=IMAGE),)),
        status=PodStatus(
            phase=phase,
            reason=reason,
            message=message,
            container_statuses=tuple(ContainerStatus(name=name, state=state) for state in states),
        ),
    )


def failure(of: Pod, *, is_command: bool = False) -> DebugPodError:
    with pytest.raises(DebugPodError) as caught:
        judge_pod(of, is_command=is_command)
    return caught.value


@pytest.mark.parametrize(
    ("given_pod", "expected"),
    [
        (pod(), Progress(False, "the kubelet of node node-a to take the pod")),
        (pod(RUNNING, name="istio-proxy"), Progress(False, "the kubelet of node node-a to take the pod")),
        (pod(ContainerState()), WAITING_FOR_START),
        (pod(waiting("ContainerCreating")), WAITING_FOR_START),
        (pod(waiting("PodInitializing")), WAITING_FOR_START),
        (
            pod(waiting("ErrImagePull", "toomanyrequests")),
            Progress(False, f"another try to pull image {IMAGE}: toomanyrequests"),
        ),
        (
            pod(waiting("NewReason", "of a later release")),
            Progress(False, "the container (NewReason: of a later release)"),
        ),
        (pod(RUNNING, phase="Running"), Progress(True)),
    ],
)
def test_how_far_a_pod_has_come(given_pod: Pod, expected: Progress) -> None:
    """What is still waited for; a reason that we do not know is waited for, too, and shown."""
    assert judge_pod(given_pod) == expected


def test_a_pod_that_runs_its_plan_as_its_command_is_ready_when_it_has_ended_well() -> None:
    """Then its log is whole; while it runs it is waited for."""
    running = judge_pod(pod(RUNNING, phase="Running"), is_command=True)
    assert running == Progress(False, "the probes on node node-a to end")
    assert judge_pod(pod(ended(0, "Completed"), phase="Succeeded"), is_command=True) == Progress(True)
    assert judge_pod(pod(ended(0, "Completed"), phase="Running"), is_command=True) == WAITING_FOR_START
    error = failure(pod(ended(1, "Error"), phase="Failed"), is_command=True)
    assert error.message == "debug pod netinspect-x on node node-a ended with exit code 1 (Error)"


@pytest.mark.parametrize("reason", sorted(_FATAL_WAITING))
def test_what_will_not_start_is_not_waited_for(reason: str) -> None:
    """Every such reason of the kubelet: its meaning, the kubelet's own words, and what helps."""
    meaning, hint = _FATAL_WAITING[reason]
    error = failure(pod(waiting(reason, "the kubelet's words")))
    assert error.message == (
        f"debug pod netinspect-x on node node-a: {meaning} ({reason}, image {IMAGE}): the kubelet's words"
    )
    assert error.hint == hint
    assert meaning
    assert hint


def test_a_reason_without_words_ends_without_a_colon() -> None:
    """CreateContainerError comes without a message now and then."""
    assert failure(pod(waiting("CreateContainerError"))).message.endswith(f"image {IMAGE})")


@pytest.mark.parametrize("reason", sorted(_REFUSED_BY_KUBELET))
def test_what_the_kubelet_refuses_is_told_as_its_refusal(reason: str) -> None:
    """A pod that is bound to its node can still fail there, before any container is there."""
    error = failure(pod(phase="Failed", reason=reason, message="the kubelet's words"))
    meaning = _REFUSED_BY_KUBELET[reason]
    assert f"{meaning} ({reason}: the kubelet's words)" in error.message
    assert "debug pod netinspect-x" in error.message
    assert "node node-a" in error.message
    assert error.hint


def test_a_pod_that_ended_by_itself_says_how() -> None:
    """By the container's exit code where there is one, by the pod's own words otherwise, by the phase at least."""
    killed = failure(pod(ended(137, "OOMKilled"), phase="Failed"))
    assert killed.message == "debug pod netinspect-x on node node-a ended with exit code 137 (OOMKilled)"
    said = failure(pod(ended(1, "Error", "no such file"), phase="Failed"))
    assert said.message.endswith("exit code 1 (Error): no such file")
    still_shown_as_running = failure(pod(ended(127, "StartError", "exec: sleep: not found"), phase="Running"))
    assert "exit code 127 (StartError): exec: sleep: not found" in still_shown_as_running.message
    unknown = failure(pod(phase="Failed", reason="NewReason", message="of a later release"))
    assert (
        unknown.message
        == "debug pod netinspect-x on node node-a ended (Failed, NewReason: of a later release)"
    )
    assert failure(pod(phase="Failed")).message == "debug pod netinspect-x on node node-a ended (Failed)"


def test_a_pod_that_somebody_deletes_is_not_waited_for() -> None:
    """Even if it still runs."""
    error = failure(pod(RUNNING, phase="Running", deleted="2026-07-01T12:00:00Z"))
    assert error.message == "debug pod netinspect-x is being deleted by somebody else"


# The words of API servers, kubelets and admission plugins; names are examples.
REFUSALS = [
    (
        'pods "x" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true, '
        'hostPID=true), privileged (container "netinspect" must not set securityContext.privileged=true)',
        "kubectl label --overwrite namespace debug pod-security.kubernetes.io/enforce=privileged",
    ),
    (
        'admission webhook "warden-validating.common-webhooks.networking.gke.io" denied the request: GKE Warden '
        "rejected the request because it violates one or more constraints.",
        "GKE Autopilot",
    ),
    (
        "admission webhook denied the request: Violations details: "
        '{"[denied by autogke-disallow-hostnamespaces]":["enabling hostPID is not allowed in Autopilot."]}',
        "GKE Autopilot",
    ),
    (
        'pods "x" is forbidden: unable to validate against any security context constraint: '
        '[provider "anyuid": Forbidden: not usable by user or serviceaccount]',
        "oc adm policy add-scc-to-user privileged -z default -n debug",
    ),
    (
        'pods "x" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=10, limited: pods=10',
        "raise the quota of namespace debug",
    ),
    (
        'pods "x" is forbidden: failed quota: compute: must specify limits.cpu for: netinspect',
        "raise the quota of namespace debug",
    ),
    (
        'pods "x" is forbidden: minimum cpu usage per Container is 100m, but request is 10m',
        "the LimitRange of namespace debug",
    ),
    (
        'pods "x" is forbidden: maximum memory usage per Pod is 128Mi, but limit is 268435456',
        "the LimitRange of namespace debug",
    ),
    (
        'pods is forbidden: User "jane" cannot create resource "pods" in API group "" in the namespace "debug"',
        "docs/rbac/",
    ),
    ('namespaces "debug" not found', "name an existing namespace"),
    (
        'pods "x" is forbidden: unable to create new content in namespace debug because it is being terminated',
        "name another namespace",
    ),
    (
        'admission webhook "validate.kyverno.svc-fail" denied the request: policy Pod/debug/x for resource violation',
        "a policy of the cluster refuses the pod",
    ),
    (
        "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'no-host' with binding 'no-host' denied request: "
        "failed expression: !object.spec.hostNetwork",
        "a policy of the cluster refuses the pod",
    ),
    (
        'The Pod "x" is invalid: spec.containers[0].image: Invalid value: " ": must not have leading or trailing '
        "whitespace",
        "--dry-run prints the pod",
    ),
]


@pytest.mark.parametrize(("text", "hint"), REFUSALS)
def test_a_refusal_is_told_as_it_came_with_what_helps(text: str, hint: str) -> None:
    """The server's own words stay; what to do about them is added."""
    explained = explain_refusal(ClusterError(f"Error from server (Forbidden): {text}", status=403), "debug")
    assert isinstance(explained, DebugPodError)
    assert explained.message == f"Error from server (Forbidden): {text}"
    assert hint in explained.hint
    assert "{" not in explained.hint


def test_every_refusal_that_is_known_has_a_text_here() -> None:
    """A pattern that no real text reaches would be dead."""
    reached = {explain_refusal(ClusterError(text), "debug").hint for text, _ in REFUSALS}
    assert reached == {hint.format(namespace="debug") for _, hint in _REFUSALS}


def test_a_refusal_that_is_not_known_stays_as_it_is() -> None:
    """With its status and reason."""
    error = ClusterError("Error from server (Forbidden): for a new reason", status=403)
    assert explain_refusal(error, "debug") is error


def node(*conditions: PodCondition, system: str = "linux") -> Node:
    return Node(
        metadata=ObjectMeta(name="node-a"),
        status=NodeStatus(conditions=conditions, node_info=NodeSystemInfo(operating_system=system)),
    )


READY = PodCondition(type="Ready", status="True")


def test_a_ready_linux_node_is_one_to_start_a_pod_on() -> None:
    """Also one whose kubelet has not told its system: the pod itself will show."""
    check_node(node(READY))
    check_node(node(READY, system=""))
    check_node(
        Node(
            metadata=ObjectMeta(name="n", labels={"kubernetes.io/os": "linux"}),
            status=node(READY, system="").status,
        )
    )


def test_a_windows_node_is_refused_by_what_its_kubelet_says_or_by_its_label() -> None:
    """There is no nsenter there."""
    labelled = Node(
        metadata=ObjectMeta(name="node-a", labels={"kubernetes.io/os": "windows"}),
        status=NodeStatus(conditions=(READY,)),
    )
    for each in (node(READY, system="windows"), labelled):
        with pytest.raises(TargetError, match="node node-a runs windows: netinspect reads Linux nodes only"):
            check_node(each)


@pytest.mark.parametrize(
    ("label", "value", "kind"),
    [
        ("eks.amazonaws.com/compute-type", "fargate", "a Fargate node"),
        ("type", "virtual-kubelet", "a virtual kubelet"),
    ],
)
def test_a_node_that_is_none_is_refused(label: str, value: str, kind: str) -> None:
    """It has no kernel to look at, and would leave the pod waiting."""
    virtual = Node(metadata=ObjectMeta(name="node-a", labels={label: value}), status=node(READY).status)
    with pytest.raises(TargetError, match=f"node node-a is {kind}"):
        check_node(virtual)
    other = Node(metadata=ObjectMeta(name="node-a", labels={label: "other"}), status=node(READY).status)
    check_node(other)


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ((), "(its kubelet never reported)"),
        (
            (
                PodCondition(
                    type="Ready",
                    status="Unknown",
                    reason="NodeStatusUnknown",
                    message="Kubelet stopped posting",
                ),
            ),
            "(NodeStatusUnknown: Kubelet stopped posting)",
        ),
        (
            (
                PodCondition(
                    type="Ready",
                    status="False",
                    reason="KubeletNotReady",
                    message="cni plugin not initialized",
                ),
            ),
            "(KubeletNotReady: cni plugin not initialized)",
        ),
        ((PodCondition(type="MemoryPressure", status="True"),), "(its kubelet never reported)"),
    ],
)
def test_no_pod_is_created_for_a_node_that_would_not_start_it(
    conditions: tuple[PodCondition, ...], why: str
) -> None:
    """It would wait until its deadline; the node's own reason is shown."""
    with pytest.raises(DebugPodError) as caught:
        check_node(node(*conditions))
    assert caught.value.message == f"node node-a is not Ready {why}: no pod can be started there"
    assert caught.value.hint == "kubectl get nodes shows which nodes are Ready"

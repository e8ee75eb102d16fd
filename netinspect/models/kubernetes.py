"""The API objects that netinspect reads, with only the fields that it judges.

The names are the API's own, in snake case. Lists that the API leaves out or sends as null are empty tuples here
(`status.podIPs` of a pending pod, `endpoints: null` of an EndpointSlice without endpoints).
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import field

from netinspect.models.address import Address

T = TypeVar("T")

MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
CONFIG_HASH_ANNOTATION = "kubernetes.io/config.hash"


class _ApiStruct(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """A part of an API object: camelCase in JSON, unknown fields ignored."""


class OwnerReference(_ApiStruct, frozen=True):
    """Who made the object."""

    kind: str
    name: str
    controller: bool = False


class ManagedFields(_ApiStruct, frozen=True):
    """When one manager last changed the object (RFC 3339), by the API server's clock."""

    time: str | None = None


class ObjectMeta(_ApiStruct, frozen=True):
    """metadata of any object."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()
    managed_fields: tuple[ManagedFields, ...] = ()


class ContainerStateWaiting(_ApiStruct, frozen=True):
    """Why a container does not run yet: ImagePullBackOff, CrashLoopBackOff, ..."""

    reason: str = ""
    message: str = ""


class ContainerStateRunning(_ApiStruct, frozen=True):
    """The container runs."""

    started_at: str = ""


class ContainerStateTerminated(_ApiStruct, frozen=True):
    """The container has ended: by which signal, where a signal ended it, and when (RFC 3339)."""

    exit_code: int = 0
    signal: int = 0
    finished_at: str = ""
    reason: str = ""
    message: str = ""
    container_id: str = field(name="containerID", default="")


class ContainerState(_ApiStruct, frozen=True):
    """Exactly one of the three is set; none means waiting without a reason."""

    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStatus(_ApiStruct, frozen=True):
    """status.containerStatuses[]: `container_id` is `containerd://<64 hex>`, empty before the first start.

    `started` says that the startup probe has passed.
    """

    name: str
    ready: bool = False
    started: bool = False
    restart_count: int = 0
    container_id: str = field(name="containerID", default="")
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class ContainerPort(_ApiStruct, frozen=True):
    """A port that a container declares (a service's named targetPort refers to it)."""

    container_port: int
    name: str = ""
    protocol: str = "TCP"
    host_port: int = 0


class SecurityContext(_ApiStruct, frozen=True):
    """The part of a container's securityContext that says whether it can look at its node."""

    privileged: bool = False


class Container(_ApiStruct, frozen=True):
    """A container of a pod's spec."""

    name: str
    image: str = ""
    ports: tuple[ContainerPort, ...] = ()
    security_context: SecurityContext = SecurityContext()


class InitContainer(Container, frozen=True):
    """An init container. With the restart policy Always it is a sidecar, which runs as long as the pod."""

    restart_policy: str = ""

    @property
    def is_sidecar(self) -> bool:
        """Whether the container counts as one of the pod's own (API: "restartable init container")."""
        return self.restart_policy == "Always"


class PodDnsConfig(_ApiStruct, frozen=True):
    """spec.dnsConfig of a pod: merged on top of what its dnsPolicy gives."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()


class PodSpec(_ApiStruct, frozen=True):
    """What a pod asked for."""

    node_name: str = ""
    host_network: bool = False
    dns_policy: str = ""
    dns_config: PodDnsConfig | None = None
    host_pid: bool = field(name="hostPID", default=False)
    runtime_class_name: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[InitContainer, ...] = ()


class PodIP(_ApiStruct, frozen=True):
    """One address of a pod (at most one a family)."""

    ip: Address


class PodCondition(_ApiStruct, frozen=True):
    """A condition of a pod, or of a node."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class PodStatus(_ApiStruct, frozen=True):
    """What the kubelet says of a pod."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    pod_ips: tuple[PodIP, ...] = field(name="podIPs", default=())
    host_ip: str = field(name="hostIP", default="")
    conditions: tuple[PodCondition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    ephemeral_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(_ApiStruct, frozen=True):
    """A pod."""

    metadata: ObjectMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def node_uid(self) -> str:
        """The UID under which the node knows the pod: a static pod's is the hash in an annotation.

        Source: kubelet, pkg/kubelet/config/common.go applyDefaults.
        """
        annotations = self.metadata.annotations
        if MIRROR_ANNOTATION in annotations:
            return annotations.get(CONFIG_HASH_ANNOTATION, self.metadata.uid)
        return self.metadata.uid

    @property
    def addresses(self) -> tuple[Address, ...]:
        """status.podIPs, in the API's order (the first is the primary family's)."""
        return tuple(entry.ip for entry in self.status.pod_ips)

    @property
    def is_completed(self) -> bool:
        """Whether all containers have ended for good: the netns is gone, and the address may serve another pod."""
        return self.status.phase in ("Succeeded", "Failed")

    @property
    def container_ids(self) -> tuple[str, ...]:
        """The runtime's ids of all containers that were started, without the `runtime://` prefix."""
        status = self.status
        entries = (
            *status.container_statuses,
            *status.init_container_statuses,
            *status.ephemeral_container_statuses,
        )
        ids = (entry.container_id.partition("://")[2] for entry in entries)
        return tuple(id_ for id_ in ids if id_)


class NodeSystemInfo(_ApiStruct, frozen=True):
    """status.nodeInfo of a node."""

    operating_system: str = ""
    architecture: str = ""
    kernel_version: str = ""
    os_image: str = ""
    container_runtime_version: str = ""
    kubelet_version: str = ""


class NodeAddress(_ApiStruct, frozen=True):
    """One address of a node; `address` can be a host name (type Hostname)."""

    type: str
    address: str


class Taint(_ApiStruct, frozen=True):
    """A taint of a node."""

    key: str
    effect: str
    value: str = ""


class NodeSpec(_ApiStruct, frozen=True):
    """What is asked of a node."""

    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()
    pod_cidrs: tuple[str, ...] = field(name="podCIDRs", default=())


class NodeStatus(_ApiStruct, frozen=True):
    """What the kubelet says of its node."""

    conditions: tuple[PodCondition, ...] = ()
    addresses: tuple[NodeAddress, ...] = ()
    node_info: NodeSystemInfo = NodeSystemInfo()


class Node(_ApiStruct, frozen=True):
    """A node."""

    metadata: ObjectMeta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def ready_condition(self) -> PodCondition | None:
        """The condition of type Ready, or None where the kubelet never reported."""
        return next((each for each in self.status.conditions if each.type == "Ready"), None)

    @property
    def is_ready(self) -> bool:
        """Whether the kubelet reports Ready."""
        condition = self.ready_condition
        return condition is not None and condition.status == "True"


class ServicePort(_ApiStruct, frozen=True):
    """A port of a Service. `target_port` is a number or the name of a container port."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    target_port: int | str = 0
    node_port: int = 0
    app_protocol: str | None = None


class ClientIPConfig(_ApiStruct, frozen=True):
    """For how many seconds a client stays with its endpoint. The API server fills in 10800."""

    timeout_seconds: int | None = None


class SessionAffinityConfig(_ApiStruct, frozen=True):
    """spec.sessionAffinityConfig of a Service."""

    client_ip: ClientIPConfig = field(name="clientIP", default=ClientIPConfig())


class ServiceSpec(_ApiStruct, frozen=True):
    """What a Service asks for."""

    type: str = "ClusterIP"
    cluster_ips: tuple[str, ...] = field(name="clusterIPs", default=())
    external_ips: tuple[str, ...] = field(name="externalIPs", default=())
    external_name: str = ""
    ports: tuple[ServicePort, ...] = ()
    selector: dict[str, str] = {}
    ip_families: tuple[str, ...] = ()
    session_affinity: str = "None"
    session_affinity_config: SessionAffinityConfig | None = None
    load_balancer_source_ranges: tuple[str, ...] = ()
    traffic_distribution: str = ""
    internal_traffic_policy: str = ""
    external_traffic_policy: str = ""
    health_check_node_port: int = 0
    publish_not_ready_addresses: bool = False


class LoadBalancerIngress(_ApiStruct, frozen=True):
    """One way in that a load balancer offers.

    `ip_mode` None is VIP: packets come with this address; `Proxy` says that they come with a node's.
    """

    ip: str = ""
    hostname: str = ""
    ip_mode: str | None = None


class LoadBalancerStatus(_ApiStruct, frozen=True):
    """status.loadBalancer of a Service."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(_ApiStruct, frozen=True):
    """What a controller says of a Service."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Service(_ApiStruct, frozen=True):
    """A Service."""

    metadata: ObjectMeta
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()

    @property
    def is_headless(self) -> bool:
        """Whether the Service has no virtual address by its own wish (`clusterIP: None`)."""
        return "None" in self.spec.cluster_ips


class EndpointConditions(_ApiStruct, frozen=True):
    """An endpoint's conditions; None is "unknown", which consumers read as the default.

    Source: discovery/v1 types.go: ready None = true, serving None = true, terminating None = false.
    """

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ObjectReference(_ApiStruct, frozen=True):
    """A reference to another object."""

    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""


class EndpointHint(_ApiStruct, frozen=True):
    """The zone or the node that should use an endpoint."""

    name: str = ""


class EndpointHints(_ApiStruct, frozen=True):
    """Who should use an endpoint: topology-aware routing, trafficDistribution."""

    for_zones: tuple[EndpointHint, ...] = ()
    for_nodes: tuple[EndpointHint, ...] = ()


class Endpoint(_ApiStruct, frozen=True):
    """One endpoint of a slice. `addresses` are strings: FQDN slices hold names."""

    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    node_name: str = ""
    zone: str = ""
    hostname: str = ""
    hints: EndpointHints | None = None
    target_ref: ObjectReference | None = None

    @property
    def ready(self) -> bool:
        """Whether the endpoint takes new traffic (None reads as true)."""
        return self.conditions.ready is not False

    @property
    def serving(self) -> bool:
        """Whether the endpoint still answers, terminating or not (None reads as true)."""
        return self.conditions.serving is not False

    @property
    def terminating(self) -> bool:
        """Whether the endpoint is going away (None reads as false)."""
        return self.conditions.terminating is True


class EndpointPort(_ApiStruct, frozen=True):
    """A port of a slice; `port` None means all ports."""

    name: str = ""
    protocol: str = "TCP"
    port: int | None = None


class EndpointSlice(_ApiStruct, frozen=True):
    """A slice of a Service's endpoints, of one address type."""

    metadata: ObjectMeta
    address_type: str = "IPv4"
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()

    @property
    def service_name(self) -> str:
        """The Service that the slice belongs to, by its label."""
        return self.metadata.labels.get("kubernetes.io/service-name", "")


class ConfigMap(_ApiStruct, frozen=True):
    """A ConfigMap."""

    metadata: ObjectMeta
    data: dict[str, str] = {}


class LabelSelector(_ApiStruct, frozen=True):
    """spec.selector of a workload."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


class LabelSelectorRequirement(_ApiStruct, frozen=True):
    """One set-based requirement of a label selector."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class WorkloadSpec(_ApiStruct, frozen=True):
    """The part of Deployment, ReplicaSet, StatefulSet, DaemonSet and Job that names their pods."""

    selector: LabelSelector | None = None


class Workload(_ApiStruct, frozen=True):
    """An object that owns pods through a label selector."""

    metadata: ObjectMeta
    spec: WorkloadSpec = WorkloadSpec()


class ListMeta(_ApiStruct, frozen=True):
    """metadata of a list."""

    resource_version: str = ""
    continue_: str = field(name="continue", default="")
    remaining_item_count: int | None = None


class Status(_ApiStruct, frozen=True):
    """The API's answer to a request that failed (meta/v1 Status)."""

    message: str = ""
    reason: str = ""
    code: Annotated[int, msgspec.Meta(ge=0)] = 0
    details: dict[str, Any] | None = None

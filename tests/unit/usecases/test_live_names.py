"""Names that stay right while the cluster goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from msgspec.structs import replace

from netinspect.errors import ClusterError
from netinspect.models.address import parse_address
from netinspect.models.address_owner import OwnerKind
from netinspect.models.cluster_state import ClusterState
from netinspect.models.conntrack import Flow
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.kubernetes import Node, NodeSpec, ObjectMeta, Pod, PodIP, PodSpec, PodStatus
from netinspect.parse.conntrack import parse_flow
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.usecases.live_names import AGAIN_S, MOMENT_S, OLD_S, LiveNames

NODE = Node(
    metadata=ObjectMeta(name="node-a"),
    spec=NodeSpec(pod_cidrs=("10.244.1.0/24", "fd00:1::/64")),
)


def pod(name: str, *addresses: str) -> Pod:
    return Pod(
        metadata=ObjectMeta(name=name, namespace="demo", uid=name),
        spec=PodSpec(node_name="node-a"),
        status=PodStatus(phase="Running", pod_ips=tuple(PodIP(ip=parse_address(each)) for each in addresses)),
    )


def state(*pods: Pod, nodes: tuple[Node, ...] = (NODE,)) -> ClusterState:
    return ClusterState(pods=Known(pods), services=Known(()), slices=Known(()), nodes=Known(nodes))


def flow(src: str) -> Flow:
    dst = "fd00:9::9" if ":" in src else "192.0.2.9"
    return parse_flow(f"udp 17 30 src={src} dst={dst} sport=1 dport=2 src={dst} dst={src} sport=2 dport=1")


class Api:
    """What the API says, how often it was asked, and a clock."""

    def __init__(self, first: ClusterState) -> None:
        self.says: Callable[[], ClusterState] = lambda: first
        self.asked = 0
        self.now = 0.0
        self.names = LiveNames(first, self.read, clock=lambda: self.now)

    def read(self) -> ClusterState:
        self.asked += 1
        return self.says()

    def name(self, src: str) -> tuple[OwnerKind, str]:
        owner = self.names.name("node-a", flow(src)).source
        return owner.kind, owner.name


def test_a_pod_that_came_later_is_named_with_its_first_event() -> None:
    """An address of a pod range that no pod has: the API is asked again, in both families."""
    for address in ("10.244.1.7", "fd00:1::7"):
        api = Api(state())

        def late(address: str = address) -> ClusterState:
            time.sleep(0.1)
            return state(pod("late", address))

        api.says = late
        api.now = AGAIN_S
        assert api.name(address) == (OwnerKind.POD, "late")
        assert api.asked == 1


def test_the_api_is_not_asked_for_every_stranger() -> None:
    """However many events of a pod that is gone come: once in a while."""
    api = Api(state())
    for tenth in range(1000):
        api.now = tenth / 10
        assert api.name("fd00:1::7") == (OwnerKind.GONE, "")
    assert 8 <= api.asked <= 100 / AGAIN_S


def test_an_external_address_is_none_that_the_api_has_to_know() -> None:
    """Where pod ranges are known, it is not asked; where they are not, any address may be a new pod's."""
    api = Api(state())
    api.now = AGAIN_S
    assert api.name("203.0.113.9") == (OwnerKind.EXTERNAL, "")
    assert api.asked == 0
    api = Api(state(nodes=()))
    api.says = lambda: state(pod("late", "203.0.113.9"), nodes=())
    api.now = AGAIN_S
    assert api.name("203.0.113.9") == (OwnerKind.POD, "late")


def test_an_address_that_is_another_pods_by_now_is_named_for_that() -> None:
    """Names grow old though nobody is a stranger."""
    api = Api(state(pod("old", "10.244.1.7")))
    api.says = lambda: state(pod("new", "10.244.1.7"))
    api.now = OLD_S - 1
    assert api.name("10.244.1.7") == (OwnerKind.POD, "old")
    api.now = OLD_S
    assert api.name("10.244.1.7") == (OwnerKind.POD, "new")


def test_a_pod_that_is_gone_keeps_its_name_until_another_has_its_address() -> None:
    """Its flows outlive it: it is marked, and the API is asked now and then who has the address."""
    api = Api(state(pod("old", "fd00:1::7")))
    api.says = lambda: state()
    api.now = OLD_S
    for again in range(1, 5):
        owner = api.names.name("node-a", flow("fd00:1::7")).source
        assert (owner.kind, owner.name, owner.detail) == (OwnerKind.POD, "old", "gone")
        assert api.asked == again
        api.now += AGAIN_S
    api.says = lambda: state(pod("new", "fd00:1::7"))
    owner = api.names.name("node-a", flow("fd00:1::7")).source
    assert (owner.name, owner.detail) == ("new", "")


def test_an_event_waits_no_longer_than_a_moment() -> None:
    """An API that does not answer holds nothing up; its answer is taken when it comes."""
    answer = threading.Event()
    api = Api(state())

    def slow() -> ClusterState:
        assert answer.wait(20)
        return state(pod("late", "10.244.1.7"))

    api.says = slow
    api.now = AGAIN_S
    begin = time.monotonic()
    assert api.name("10.244.1.7") == (OwnerKind.GONE, "")
    assert time.monotonic() - begin < MOMENT_S + 1
    answer.set()
    end = time.monotonic() + 5
    while api.name("10.244.1.7") != (OwnerKind.POD, "late"):
        assert time.monotonic() < end
    assert api.asked == 1


def test_while_it_is_asked_no_other_event_waits_again() -> None:
    """The moment is one moment, not one an event."""
    answer = threading.Event()
    api = Api(state())

    def slow() -> ClusterState:
        assert answer.wait(20)
        return state()

    api.says = slow
    api.now = AGAIN_S
    begin = time.monotonic()
    for _ in range(5):
        api.name("10.244.1.7")
    answer.set()
    assert time.monotonic() - begin < 2 * MOMENT_S


def test_a_list_that_fails_leaves_the_names_as_they_are() -> None:
    """Refused or unreachable: what was known stays known."""
    api = Api(state(pod("old", "10.244.1.7")))

    def fails() -> ClusterState:
        raise ClusterError("no route")

    api.says = fails
    api.now = AGAIN_S
    assert api.name("10.244.1.8") == (OwnerKind.GONE, "")
    assert api.name("10.244.1.7") == (OwnerKind.POD, "old")
    refused = Unavailable(Reason.PERMISSION_DENIED, "no")
    api.says = lambda: replace(state(), pods=refused)
    api.now = 2 * AGAIN_S
    assert api.name("10.244.1.8") == (OwnerKind.GONE, "")
    assert api.name("10.244.1.7") == (OwnerKind.POD, "old")
    assert api.asked == 2


def test_links_of_nodes_stay_known() -> None:
    """What is read again is the API; a bridge's address stays the node's."""
    links = parse_ip_addr(
        b'[{"ifindex":3,"ifname":"cni0","flags":["UP"],"mtu":1500,"operstate":"UP","link_type":"ether",'
        b'"address":"aa:bb:cc:dd:ee:ff","addr_info":[{"family":"inet6","local":"fd00:1::1","prefixlen":64}]}]'
    )
    api = Api(state())
    api.names.add_links("node-a", links)
    assert api.name("fd00:1::1") == (OwnerKind.NODE, "node-a")
    api.now = AGAIN_S
    api.name("fd00:1::2")
    assert api.asked == 1
    assert api.name("fd00:1::1") == (OwnerKind.NODE, "node-a")

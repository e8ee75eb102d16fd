"""A node from which names are asked, with servers that say what a table tells, and a cluster whose API knows them.

The node side's answer is written in the forms of `probes/dns.sh`, `probes/resolv_conf.sh` and dig 9.18; that these are
read rightly is proven elsewhere, by captures of the real things.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.models.dns_query import DnsQuery
from netinspect.models.kubernetes import Pod
from netinspect.parse.api import parse_object
from netinspect.parse.frames import Sinks
from netinspect.probes.plan import Plan, Probe
from tests.fake.api import FakeApi
from tests.fake.messages import Object
from tests.unit.usecases.fake_node import LO, answer, listings, result

DNS4, DNS6 = "10.96.0.10", "fd00:10:96::a"
WEB4, WEB6 = "10.96.1.1", "fd00:10:96::1:1"
LONG_AGO = "2026-01-01T00:00:00Z"
COREFILE = ".:53 {\n  kubernetes cluster.local in-addr.arpa ip6.arpa\n  forward . /etc/resolv.conf\n}\n"
NODE_LOCAL_LINK = (
    b'[{"ifindex":9,"ifname":"nodelocaldns","flags":["UP"],"mtu":1500,"operstate":"DOWN","link_type":"ether",'
    b'"address":"00:00:00:00:00:01","addr_info":['
    b'{"family":"inet","local":"169.254.20.10","prefixlen":32,"scope":"global"},'
    b'{"family":"inet","local":"10.96.0.10","prefixlen":32,"scope":"global"}]}]'
)

Said = str | Sequence[str]
"""What a server says: `NXDOMAIN`, `timeout`, `refused` ..., or records as "TYPE DATA" (none: NOERROR without any)."""

_SOA = "cluster.local. 30 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30"
_NO_ANSWER = {
    "timeout": (
        "timed out",
        ";; communications error to {server}#53: timed out\n;; no servers could be reached\n",
    ),
    "closed": (
        "refused",
        ";; communications error to {server}#53: connection refused\n;; no servers could be reached\n",
    ),
}


@dataclass
class DnsNode:
    """A node source.

    Attributes:
        says: by (name, type), (name, type, "udp") or (name, type, "udp", server), what is answered; the longest counts.
        default: what is answered to all else, by protocol and server, or for all.
        files: by PID, the resolv.conf of processes.
        processes: of the pod: PID, cgroup, netns.
        links: what `ip -j -d addr show` prints.
        changes: for the second time of asking, what is answered otherwise.
        is_without_dig: the image lacks it.
        asked: every question put, in order.
    """

    says: Mapping[tuple[str, ...], Said] = field(default_factory=dict)
    default: Mapping[str, Said] = field(default_factory=lambda: {"*": "NXDOMAIN"})
    files: Mapping[int, str] = field(default_factory=dict)
    processes: Sequence[tuple[int, str, int]] = ()
    links: bytes = LO
    changes: Mapping[tuple[str, ...], Said] = field(default_factory=dict)
    is_without_dig: bool = False
    node: str = "node-a"
    privilege: Privilege = Privilege.SYSADMIN
    plans: list[Plan] = field(default_factory=list)
    asked: list[DnsQuery] = field(default_factory=list)
    most: int = 10_000

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        """Answer a plan."""
        self.plans.append(plan)
        made = [self._run(probe) for probe in plan.node_probes]
        return answer(*(listings(*self.processes) if plan.pods else ()), *made)

    def _run(self, probe: Probe) -> CommandResult:
        if probe.name == "links":
            return result("links", self.links)
        if probe.name == "resolv-confs":
            return result(probe.name, self._files())
        if self.is_without_dig:
            return result(probe.name, code=127, stderr=b"dig: not found\n")
        return result(probe.name, self._series(probe))

    def _files(self) -> bytes:
        parts = [f"file {pid} {len(text.encode())}\n{text}\n" for pid, text in self.files.items()]
        return "".join((*parts, f"done {len(parts)}\n")).encode()

    def _series(self, probe: Probe) -> bytes:
        queries = queries_of(probe)[: self.most]
        self.asked += queries
        parts = [self._answer(place, query, probe.name) for place, query in enumerate(queries, 1)]
        return "".join((*parts, f"done {len(parts)}\n")).encode()

    def _answer(self, place: int, query: DnsQuery, probe: str) -> str:
        said = self._said(query, probe)
        code = 9 if isinstance(said, str) and said in _NO_ANSWER else 0
        printed = write_dig(query, said).rstrip("\n")
        server, protocol = str(query.server), query.protocol.value
        head = f"run {place} 100.00 {code} {server} {query.port} {protocol} {query.type}"
        return f"{head} {len(query.name.encode())} {len(printed.encode())}\n{query.name}\n{printed}\n"

    def _said(self, query: DnsQuery, probe: str) -> Said:
        server, protocol = str(query.server), query.protocol.value
        key = (query.name, query.type, protocol, server)
        tables = (self.changes, self.says) if probe == "dns-again" else (self.says,)
        for table in tables:
            for length in (4, 3, 2):
                if key[:length] in table:
                    return table[key[:length]]
        for each in (f"{protocol} {server}", server, protocol, "*"):
            if each in self.default:
                return self.default[each]
        return "NXDOMAIN"


def queries_of(probe: Probe) -> list[DnsQuery]:
    """Read the questions out of a probe's arguments."""
    from netinspect.models.address import parse_address
    from netinspect.models.dns import DnsProtocol

    words = probe.argv[len(probe.argv) - probe.argv[::-1].index("netinspect") :][3:]
    fives = [words[start : start + 5] for start in range(0, len(words), 5)]
    return [
        DnsQuery(parse_address(server), name, type_, DnsProtocol(protocol), int(port))
        for server, port, protocol, type_, name in fives
    ]


def write_dig(query: DnsQuery, said: Said) -> str:
    """Write what dig -u prints of an answer."""
    server = str(query.server)
    if isinstance(said, str) and said in _NO_ANSWER:
        return _NO_ANSWER[said][1].format(server=server)
    status = said if isinstance(said, str) else "NOERROR"
    records = (
        [] if isinstance(said, str) else [f"{query.name} 30 IN {each.replace(' ', ' ', 1)}" for each in said]
    )
    authority = [] if records or status not in ("NOERROR", "NXDOMAIN") else [_SOA]
    lines = [
        ";; Got answer:",
        f";; ->>HEADER<<- opcode: QUERY, status: {status}, id: 4711",
        f";; flags: qr aa rd; QUERY: 1, ANSWER: {len(records)}, AUTHORITY: {len(authority)}, ADDITIONAL: 0",
        "",
        ";; QUESTION SECTION:",
        f";{query.name} IN {query.type}",
        "",
        *([";; ANSWER SECTION:", *records, ""] if records else []),
        *([";; AUTHORITY SECTION:", *authority, ""] if authority else []),
        ";; Query time: 512 usec",
        f";; SERVER: {server}#{query.port}({server}) ({query.protocol.value.upper()})",
        ";; WHEN: Wed Nov 25 17:18:20 UTC 2026",
        ";; MSG SIZE  rcvd: 120",
    ]
    return "\n".join(lines)


def healthy() -> dict[tuple[str, ...], Said]:
    """What a right server says of the Services of `fill_cluster`."""
    return {
        ("kubernetes.default.svc.cluster.local.", "A"): ["A 10.96.0.1"],
        ("kubernetes.default.svc.cluster.local.", "AAAA"): [],
        ("web.demo.svc.cluster.local.", "A"): [f"A {WEB4}"],
        ("web.demo.svc.cluster.local.", "AAAA"): [f"AAAA {WEB6}"],
        ("db.demo.svc.cluster.local.", "A"): ["A 10.244.1.4", "A 10.244.2.4"],
        ("db.demo.svc.cluster.local.", "AAAA"): ["AAAA fd00:10:244:1::4"],
        ("outside.demo.svc.cluster.local.", "A"): ["CNAME example.com.", "A 192.0.2.7"],
        ("outside.demo.svc.cluster.local.", "AAAA"): ["CNAME example.com."],
    }


def fill_cluster(api: FakeApi, *, corefile: str = COREFILE, ready: bool = True) -> None:
    """Put a dual-stack DNS Service with two endpoints, and Services of each kind, into the API."""
    api.store.add("nodes", node("node-a"))
    service(api, "kube-dns", [DNS4, DNS6], namespace="kube-system", port=53)
    for family, addresses in (("IPv4", ("10.244.1.2", "10.244.2.2")), ("IPv6", ("fd00:10:244:1::2",))):
        endpoints(api, "kube-dns", family, addresses, namespace="kube-system", ready=ready)
    if corefile:
        api.store.add(
            "configmaps", {"metadata": meta("coredns", "kube-system"), "data": {"Corefile": corefile}}
        )
    service(api, "kubernetes", ["10.96.0.1"], namespace="default")
    service(api, "web", [WEB4, WEB6])
    service(api, "db", ["None"])
    endpoints(api, "db", "IPv4", ("10.244.1.4", "10.244.2.4"))
    endpoints(api, "db", "IPv6", ("fd00:10:244:1::4",))
    spec = {"type": "ExternalName", "externalName": "example.com"}
    api.store.add("services", {"metadata": meta("outside", "demo"), "spec": spec})


def meta(name: str, namespace: str = "", changed: str = LONG_AGO) -> Object:
    """Return metadata of an object that was made long ago."""
    return {
        "name": name,
        "namespace": namespace,
        "creationTimestamp": LONG_AGO,
        "managedFields": [{"manager": "test", "time": changed}],
    }


def node(name: str, *, ready: str = "True", system: str = "linux") -> Object:
    """Return a node."""
    status = {"conditions": [{"type": "Ready", "status": ready}], "nodeInfo": {"operatingSystem": system}}
    return {"metadata": {"name": name}, "status": status}


def service(
    api: FakeApi,
    name: str,
    ips: Sequence[str],
    *,
    namespace: str = "demo",
    port: int = 80,
    changed: str = LONG_AGO,
) -> None:
    """Put a Service into the API."""
    ports = [{"name": each.lower(), "port": port, "protocol": each} for each in ("UDP", "TCP")]
    spec: Object = {"type": "ClusterIP", "clusterIPs": list(ips), "ports": ports}
    api.store.add("services", {"metadata": meta(name, namespace, changed), "spec": spec})


def endpoints(
    api: FakeApi,
    service_name: str,
    family: str,
    addresses: Sequence[str],
    *,
    namespace: str = "demo",
    ready: bool = True,
    changed: str = LONG_AGO,
) -> None:
    """Put an EndpointSlice into the API."""
    metadata = meta(f"{service_name}-{family.lower()}", namespace, changed)
    metadata["labels"] = {"kubernetes.io/service-name": service_name}
    made = [{"addresses": [each], "conditions": {"ready": ready}, "nodeName": "node-a"} for each in addresses]
    ports = [{"name": each.lower(), "port": 53, "protocol": each} for each in ("UDP", "TCP")]
    api.store.add(
        "endpointslices", {"metadata": metadata, "addressType": family, "endpoints": made, "ports": ports}
    )


def dns_pod(name: str = "app", **spec: Any) -> Pod:
    """Return a pod of namespace demo with one container that runs as process 20 in netns 7; 10 is its sandbox."""
    status = {
        "phase": "Running",
        "podIPs": [{"ip": "10.244.1.9"}],
        "containerStatuses": [{"name": "main", "containerID": f"containerd://{CONTAINER}"}],
    }
    made = {
        "metadata": {"name": name, "namespace": "demo", "uid": UID},
        "spec": {"nodeName": "node-a", "dnsPolicy": "ClusterFirst", "containers": [{"name": "main"}], **spec},
        "status": status,
    }
    return parse_object(Pod, json.dumps(made).encode())


UID = "0f1e2d3c-f486-45b6-b7ab-1bcf1bd63978"
CONTAINER, SANDBOX = "ab" * 32, "cd" * 32
RESOLV_CONF = (
    f"search demo.svc.cluster.local svc.cluster.local cluster.local\nnameserver {DNS4}\noptions ndots:5"
)


def processes(netns: int = 7) -> list[tuple[int, str, int]]:
    """The pod's processes: the sandbox's first, as its PID is the lower."""
    return [(10, f"/kubepods/pod{UID}/{SANDBOX}", netns), (20, f"/kubepods/pod{UID}/{CONTAINER}", netns)]

"""Virtual servers as a table."""

from __future__ import annotations

from msgspec.structs import replace

from netinspect.models.address import parse_address
from netinspect.models.address_owner import AddressOwner, OwnerKind
from netinspect.models.ipvs import Forwarding, ServiceAddress, Traffic
from netinspect.models.ipvs_listing import ListedRealServer, ListedVirtualServer
from netinspect.models.service_rules import Role
from netinspect.render.ipvs_listing import columns, name_of, rows_of
from netinspect.render.table import render_table

TRAFFIC = Traffic(connections=1, in_packets=2, out_packets=3, in_bytes=4, out_bytes=5)
REAL = ListedRealServer(
    address=parse_address("fd00:244:1::5"),
    port=8080,
    forwarding=Forwarding.MASQ,
    weight=1,
    active_connections=0,
    owner=AddressOwner(kind=OwnerKind.POD, namespace="demo", name="web-1", node="node-a"),
)
WEB = ListedVirtualServer(
    node="node-a",
    namespace="demo",
    service="web",
    port_name="http",
    role=Role.CLUSTER_IP,
    address=ServiceAddress(family=6, protocol="tcp", address=parse_address("fd00:96::20"), port=80),
    scheduler="rr",
    persistence_s=60,
    is_bound=False,
    real_servers=(REAL,),
)
MARK = ListedVirtualServer(node="node-a", address=ServiceAddress(family=4, fwmark=5), scheduler="wrr")
WEB_CELLS = "node-a demo/web:http [fd00:96::20]:80/tcp rr 60s"
REAL_CELLS = "[fd00:244:1::5]:8080 pod demo/web-1 on node-a masq 1"


def rows(*servers: ListedVirtualServer, is_wide: bool = False, **options: bool) -> list[str]:
    items = [row for server in servers for row in rows_of(server)]
    text = render_table(columns(**options), items, is_wide=is_wide)
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_real_server_is_a_row_and_a_virtual_server_without_any_is_one_too() -> None:
    assert rows(WEB, MARK) == [
        "NODE SERVICE VIRTUAL-SERVER SCHEDULER PERSISTENCE REAL-SERVER OWNER FORWARDING WEIGHT ACTIVE INACTIVE",
        f"{WEB_CELLS} {REAL_CELLS} 0 <none>",
        "node-a <none> fwmark 5 (IPv4) wrr" + " <none>" * 7,
    ]


def test_traffic_is_that_of_the_virtual_server_and_of_each_real_one() -> None:
    other = replace(TRAFFIC, connections=9)
    web = replace(WEB, traffic=other, real_servers=(replace(REAL, traffic=TRAFFIC), REAL))
    header, *lines = rows(web, stats=True)
    assert header.endswith("WEIGHT CONNS INPKTS OUTPKTS INBYTES OUTBYTES")
    assert lines == [
        f"{WEB_CELLS} <none> <none> <none> <none> 9 2 3 4 5",
        f"{WEB_CELLS} {REAL_CELLS} 1 2 3 4 5",
        f"{WEB_CELLS} {REAL_CELLS} <none> <none> <none> <none> <none>",
    ]
    assert rows(web, rate=True)[0].endswith("WEIGHT CPS INPPS OUTPPS INBPS OUTBPS")


def test_wide_says_whether_the_address_is_bound() -> None:
    assert rows(WEB, MARK, is_wide=True)[1:] == [
        f"node-a demo/web:http ClusterIP [fd00:96::20]:80/tcp rr 60s no {REAL_CELLS} 0 <none>",
        "node-a <none> unknown fwmark 5 (IPv4) wrr <none> unknown" + " <none>" * 6,
    ]
    assert " yes [fd00" in rows(replace(WEB, is_bound=True), is_wide=True)[1]


def test_a_virtual_server_is_named_by_its_address() -> None:
    assert name_of(WEB) == "virtual-server/[fd00:96::20]:80/tcp"

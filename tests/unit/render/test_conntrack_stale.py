"""A row of `conntrack stale`."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from netinspect.analyze.conntrack.stale_flows import judge_samples
from netinspect.models.stale_flow import StaleFlow, StaleStatus
from netinspect.render.conntrack_stale import COLUMNS, Row, choose_shown, fold, name_of, remarks
from netinspect.render.table import render_table
from tests.unit.analyze.stale_build import CLIENT, HEIR, SLICES, flow, pod, samples, slice_, view


def item(backend: str = "fd00:244:2::7", **wishes: object) -> StaleFlow:
    seen = view(**wishes)
    one = flow(backend)
    ((found, _),) = judge_samples(samples([one], [one]), seen, seen, lambda flow: f"delete {flow.id}")
    return found


def cells(row: StaleFlow) -> dict[str, str]:
    return {column.header: column.cell(Row((row,))) for column in COLUMNS}


def test_a_row_names_client_service_and_dead_end() -> None:
    """And what the Service has in its place."""
    shown = cells(item())
    assert shown["CLIENT"] == "pod shop/client"
    assert shown["SERVICE"] == "shop/dns:53/udp"
    assert shown["LEADS TO"] == "[fd00:244:2::7]:5353 (no pod)"
    assert (shown["STATUS"], shown["IDLE"]) == ("sends", "1s")
    assert shown["ENDPOINTS NOW"] == "[fd00:244:2::9]:5353"
    assert shown["DELETE (NOT RUN)"] == "delete 77"
    assert shown["ORIGINAL"] == "[fd00:244:1::5]:4242 -> [fd00:96::a]:53"
    assert "timer was set anew" in shown["WHY"]


@pytest.mark.parametrize(
    ("backend", "pods", "client", "target"),
    [
        ("10.244.2.7", (HEIR,), "10.244.1.5:4242", "10.244.2.7:5353 (no pod)"),
        (
            "10.244.2.7",
            (CLIENT, pod("db-0", "10.244.2.7")),
            "pod shop/client",
            "10.244.2.7:5353 (pod shop/db-0)",
        ),
        ("192.0.2.2", (CLIENT,), "pod shop/client", "192.0.2.2:5353 (node node-b)"),
    ],
)
def test_what_has_no_name_is_shown_by_its_address(
    backend: str, pods: object, client: str, target: str
) -> None:
    """And who has the address by now, where somebody has."""
    shown = cells(item(backend, pods=pods))
    assert (shown["CLIENT"], shown["LEADS TO"]) == (client, target)


def test_many_endpoints_are_counted() -> None:
    """A row is to fit a terminal."""
    slices = (*SLICES, slice_(*(f"10.244.2.{number}" for number in range(10, 15)), name="dns-2"))
    shown = cells(item("10.244.2.7", slices=slices))["ENDPOINTS NOW"]
    assert shown == "10.244.2.9:5353,10.244.2.10:5353,10.244.2.11:5353,+3"


def test_what_is_not_known_is_empty() -> None:
    """A table shows it as such; `-o name` has the entry's id."""
    row = replace(item(), service="", idle_s=None)
    assert render_table(COLUMNS, fold([row]), has_headers=False).count("<none>") == 2
    assert name_of(row) == "flow/node-a/77"


def test_flows_that_are_alike_are_one_row() -> None:
    """With their count and the range of their idle times; what differs in any of the columns is another row."""
    one = item()
    rows = fold(
        [one, replace(one, idle_s=40), item("10.244.2.7"), replace(one, status=StaleStatus.CLOSING), one]
    )
    assert [len(row.flows) for row in rows] == [3, 1, 1]
    (flows, idle) = (
        next(column for column in COLUMNS if column.header == name) for name in ("FLOWS", "IDLE")
    )
    assert (flows.cell(rows[0]), idle.cell(rows[0])) == ("3", "1s-40s")


def test_a_folded_row_of_a_client_without_a_name_has_no_port() -> None:
    """They have many."""
    one = item("10.244.2.7", pods=(HEIR,))
    client = next(column for column in COLUMNS if column.header == "CLIENT")
    assert client.cell(fold([one, one])[0]) == "10.244.1.5"


def test_statuses_are_explained_once_each() -> None:
    """But for the one that findings explain."""
    one = item()
    items = [
        one,
        *(replace(one, status=status) for status in StaleStatus),
        replace(one, status=StaleStatus.YOUNG),
    ]
    told = [text.partition(":")[0].removeprefix("1 more are ") for text in remarks(items)]
    assert told == [status.value for status in StaleStatus if status is not StaleStatus.SENDS]
    assert list(remarks([one])) == []


def test_closed_connections_are_counted_and_not_shown() -> None:
    """Every rollout leaves hundreds of them."""
    one = item()
    closed = replace(one, status=StaleStatus.CLOSING)
    assert choose_shown([closed, one, closed]) == (one,)
    assert any(text.startswith("2 more are closing: ") for text in remarks([closed, one, closed]))

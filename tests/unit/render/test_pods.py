"""The table of pods."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from netinspect.models.listing import Owner, PodEntry
from netinspect.render.pods import columns, format_age, format_duration, name_of

NOW = datetime(2026, 1, 2, 0, 0, 0, tzinfo=UTC)
POD = PodEntry(
    namespace="demo",
    name="web-1",
    node="node-a",
    phase="Running",
    status="Running",
    ready_containers=1,
    total_containers=2,
    restarts=0,
    last_restart="",
    pod_ips=(ipaddress.ip_address("fd00::7"), ipaddress.ip_address("10.0.0.7")),
    host_network=False,
    host_ip="fd00::1",
    owner=Owner(kind="ReplicaSet", name="web"),
    creation_timestamp="2026-01-01T00:00:00Z",
)
PENDING = replace(POD, node="", pod_ips=(), host_ip="", owner=None)


def row(pod: PodEntry, *, with_namespace: bool = False) -> dict[str, str]:
    return {column.header: column.cell(pod) for column in columns(NOW, with_namespace=with_namespace)}


def test_a_row_says_what_kubectl_says_and_the_addresses_of_both_families() -> None:
    """The API's order of addresses is kept: IPv6 first where it is primary."""
    assert row(POD) == {
        "NAME": "web-1",
        "READY": "1/2",
        "STATUS": "Running",
        "RESTARTS": "0",
        "AGE": "24h",
        "POD-IPS": "fd00::7,10.0.0.7",
        "NODE": "node-a",
        "HOST-NETWORK": "false",
        "HOST-IP": "fd00::1",
        "OWNER": "ReplicaSet/web",
    }


def test_what_a_pod_does_not_have_is_empty() -> None:
    """The table shows `<none>` for it."""
    shown = row(PENDING)
    assert [shown[header] for header in ("POD-IPS", "NODE", "HOST-IP", "OWNER")] == [""] * 4


def test_the_namespace_is_the_first_column_where_several_are_listed() -> None:
    """And is left out where there is only one, as kubectl does."""
    assert next(iter(row(POD, with_namespace=True))) == "NAMESPACE"
    assert "NAMESPACE" not in row(POD)


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({"restarts": 3, "last_restart": "2026-01-01T23:58:30Z"}, "3 (90s ago)"),
        ({"restarts": 3, "last_restart": ""}, "3"),
        ({"restarts": 0, "last_restart": "2026-01-01T23:58:30Z"}, "0"),
    ],
)
def test_restarts_say_how_long_ago_the_last_was(wishes: dict[str, Any], expected: str) -> None:
    """Where there was one, and the API still knows when."""
    assert row(replace(POD, **wishes))["RESTARTS"] == expected


def test_the_name_is_kubectls() -> None:
    """So that it can be piped into kubectl."""
    assert name_of(POD) == "pod/web-1"


MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (121, "2m1s"),
        (10 * MINUTE - 1, "9m59s"),
        (10 * MINUTE + 30, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (8 * HOUR - 1, "7h59m"),
        (8 * HOUR, "8h"),
        (48 * HOUR - 1, "47h"),
        (2 * DAY, "2d"),
        (8 * DAY - 1, "7d23h"),
        (8 * DAY, "8d"),
        (2 * 365 * DAY - 1, "729d"),
        (2 * 365 * DAY, "2y"),
        (3 * 365 * DAY + DAY, "3y1d"),
        (9 * 365 * DAY + DAY, "9y"),
    ],
)
def test_durations_are_kubectls(seconds: int, expected: str) -> None:
    """Each edge of HumanDuration (apimachinery, pkg/util/duration)."""
    assert format_duration(seconds) == expected


@given(st.integers(0, 100 * 365 * DAY))
def test_a_duration_never_claims_more_than_passed_and_misses_less_than_its_last_unit(seconds: int) -> None:
    """Read back, it is at most one year, day, hour, minute or second short: the unit that it ends with."""
    units = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY, "y": 365 * DAY}
    text, read, number, unit = format_duration(seconds), 0, "", "s"
    for each in text:
        if each.isdigit():
            number += each
            continue
        read, number, unit = read + int(number) * units[each], "", each
    # "2h" may stand for "2h0m": what it leaves out is then less than the smaller unit, or the unit itself.
    assert 0 <= seconds - read < units[unit]


def test_a_time_that_is_missing_is_unknown() -> None:
    """An object that was made by hand in a test, or by another API server."""
    assert format_age("", NOW) == "<unknown>"
    assert format_age("yesterday", NOW) == "<unknown>"
    assert format_age((NOW - timedelta(minutes=5)).isoformat(), NOW) == "5m"

"""The way through rules on one line: hooks are alternatives, and a table is named once."""

from __future__ import annotations

import pytest

from netinspect.models.service_map import Hook, RuleRef
from netinspect.render.rule_way import show_way

PRE, OUT = (Hook.PREROUTING,), (Hook.OUTPUT,)


def rule(where: str, hooks: tuple[Hook, ...] = (), packets: int | None = None) -> RuleRef:
    return RuleRef(where=where, text="", hooks=hooks, packets=packets)


@pytest.mark.parametrize(
    ("rules", "shown"),
    [
        (
            [rule("nat PREROUTING", PRE, 7), rule("nat OUTPUT", OUT), rule("nat KUBE-SERVICES", packets=1)],
            "nat PREROUTING (7 packets) or nat OUTPUT > KUBE-SERVICES (1 packet)",
        ),
        (
            [rule("filter FORWARD", PRE), rule("filter OUTPUT", OUT), rule("nat X")],
            "filter FORWARD or filter OUTPUT > nat X",
        ),
        (
            [rule("mangle X", PRE), rule("nat X", OUT), rule("nat Y")],
            "mangle X or nat X > nat Y",
        ),
        (
            [
                rule("raw PREROUTING", PRE),
                rule("nat PREROUTING", PRE),
                rule("nat OUTPUT", OUT),
                rule("nat X"),
            ],
            "(raw PREROUTING > nat PREROUTING) or (nat OUTPUT) > X",
        ),
        ([rule("raw PREROUTING", PRE), rule("nat X")], "at prerouting raw PREROUTING > nat X"),
        (
            [
                rule("kube-proxy nat-prerouting", PRE),
                rule("kube-proxy nat-output", OUT),
                rule("kube-proxy services"),
                rule("map service-ips"),
                rule("kube-proxy service-X"),
            ],
            "kube-proxy nat-prerouting or kube-proxy nat-output > services > map service-ips > service-X",
        ),
        ([rule("nat X"), rule("ipset KUBE-IP"), rule("ipvs")], "nat X > ipset KUBE-IP > ipvs"),
        ([rule("filter X"), rule("nat X"), rule("nat Y")], "filter X > nat X > Y"),
    ],
)
def test_way(rules: list[RuleRef], shown: str) -> None:
    assert show_way(rules) == shown

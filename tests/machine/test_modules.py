"""On a kernel whose connection tracking is made of modules: reading loads none of them."""

from __future__ import annotations

import shlex

import pytest

from netinspect.models.command import CommandResult
from netinspect.probes.conntrack import STATISTICS, build_flow_plan
from netinspect.probes.conntrack_watch import build_watch_probe
from netinspect.probes.plan import Plan
from netinspect.probes.watch import build_watch_argv
from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

NETLINK = "nf_conntrack_netlink"


def list_modules(machine: Machine) -> set[str]:
    """Return the names of the modules that are loaded."""
    return {line.split()[0] for line in machine.check("cat /proc/modules").decode().splitlines()}


def ask(machine: Machine, plan: Plan) -> dict[str, CommandResult]:
    return {each.name: each for each in machine.run(plan).results}


def test_asking_for_flows_loads_no_module(machine: Machine) -> None:
    """The listing, the statistics and the events are refused with the reason; the bare tool would load it."""
    machine.check(f"modprobe nf_conntrack; modprobe -r {NETLINK}")
    before = list_modules(machine)
    assert "nf_conntrack" in before
    assert NETLINK not in before
    results = ask(machine, Plan((*build_flow_plan().node_probes, STATISTICS)))
    for name in ("flows-ipv4", "flows-ipv6", STATISTICS.name):
        assert results[name].exit_code == 1
        assert f"{NETLINK} is not loaded, and asking would load it" in results[name].stderr.decode()
    watched = machine.shell(f"sleep 9 | {shlex.join(build_watch_argv(build_watch_probe(5)))}", 30)
    assert watched.exit_code == 1
    assert list_modules(machine) == before
    machine.check("conntrack -S")
    assert NETLINK in list_modules(machine)
    assert {each.exit_code for each in ask(machine, build_flow_plan()).values()} == {0}


def test_without_connection_tracking_there_is_no_table(machine: Machine) -> None:
    """It says so, and does not make one."""
    machine.check(
        "conntrack -F >/dev/null 2>&1; rmmod nf_conntrack_netlink; modprobe -r nf_conntrack || true"
    )
    loaded = list_modules(machine)
    if "nf_conntrack" in loaded:  # another test's rules hold it
        machine.check(
            "iptables -F; ip6tables -F; nft flush ruleset; modprobe -r xt_conntrack nft_ct nf_conntrack"
        )
    results = ask(machine, build_flow_plan())
    assert results["flows-ipv4"].exit_code == 1
    assert b"the kernel module nf_conntrack is not loaded" in results["flows-ipv4"].stderr
    assert "nf_conntrack" not in list_modules(machine)

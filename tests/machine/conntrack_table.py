"""Fill the conntrack table of the machine, with real packets, until the kernel drops some and says so."""

from __future__ import annotations

import re

from tests.machine.initramfs import GUEST
from tests.machine.machine import Machine, MachineError

TABLE_FULL = "nf_conntrack: nf_conntrack: table full, dropping packet"
"""What the kernel logs then (nf_conntrack_core.c, __nf_conntrack_alloc: pr_fmt puts the module's name before it)."""

LIMIT = "net.netfilter.nf_conntrack_max"
TIMEOUTS = ("net.netfilter.nf_conntrack_udp_timeout", "net.netfilter.nf_conntrack_udp_timeout_stream")
_SAVED = "/run/conntrack-table"
_TOOLS = ("iptables", "ip6tables")
_RULE = "OUTPUT -m conntrack --ctstate NEW -j ACCEPT"
# The kernel logs at most ten lines in five seconds (net.core.message_burst, message_cost); these are a few more.
_OVERFLOW = "8 8"


def fill_table(machine: Machine, limit: int = 64) -> None:
    """Lower the limit and fill the table of the machine's own netns with `limit` flows, half of them of each family.

    At most 9000: each flow has two of the ports from 20000 to 39999.
    The flows are ASSURED, so that none makes room for another early, and stay for an hour. Then more flows are tried,
    which the kernel drops and logs. `empty_table` puts everything back; call it before filling again.

    Raises:
        MachineError: the table did not become full, or the kernel did not say so.
    """
    lines = machine.check(_preparation(limit) + _traffic(limit) + "conntrack -C\ndmesg").decode().splitlines()
    before, refused, count = map(int, lines[:3])
    if before or not refused or count != limit or not any(line.endswith(TABLE_FULL) for line in lines[3:]):
        log = "\n".join(lines[-20:])
        raise MachineError(
            f"the table holds {count} flows, not {limit}; {before} packets were refused before it was full, "
            f"{refused} afterwards; the end of the log:\n{log}"
        )


def empty_table(machine: Machine) -> None:
    """Undo `fill_table`: the limit and the timeouts as they were, no flow, no rule, and the kernel log cleared."""
    rules = [f"{tool} -D {_RULE}" for tool in _TOOLS]
    machine.check("\n".join((f"sysctl -q -p {_SAVED}", *rules, "conntrack -F", "dmesg -C")))


def read_drops(machine: Machine) -> int:
    """Return how many packets conntrack dropped since boot, in the machine's own netns (`conntrack -S`, all CPUs)."""
    return sum(map(int, re.findall(rb"\bdrop=(\d+)", machine.check("conntrack -S"))))


def _preparation(limit: int) -> str:
    lines = (
        "modprobe -a nf_conntrack nf_conntrack_netlink",
        f"sysctl {LIMIT} {' '.join(TIMEOUTS)} >{_SAVED}",
        # A netns tracks only where a rule asks for it.
        *(f"{tool} -I {_RULE}" for tool in _TOOLS),
        "conntrack -F",
        f"sysctl -q -w {LIMIT}={limit} {' '.join(f'{each}=3600' for each in TIMEOUTS)}",
    )
    return "\n".join((*lines, ""))


def _traffic(limit: int) -> str:
    """Two runs of flows.pl, each of which prints how many packets were refused."""
    program = (GUEST / "flows.pl").read_text()
    return (
        f"cat >/run/flows.pl <<'END-OF-PROGRAM'\n{program}END-OF-PROGRAM\n"
        "ulimit -n 65536\n"
        f"perl /run/flows.pl 20000 2 {limit - limit // 2} {limit // 2}\n"
        f"perl /run/flows.pl 40000 1 {_OVERFLOW}\n"
    )

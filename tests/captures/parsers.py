"""Which parser reads which tool's captures: one line a folder of `tests/captures/tools`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from netinspect.parse.cgroup import parse_cgroup_grep, parse_proc_cgroup
from netinspect.parse.conntrack import parse_event, parse_flows, whole_lines
from netinspect.parse.conntrack_limit import (
    find_table_full,
    parse_kernel_log,
    parse_statistics,
    parse_sysctls,
)
from netinspect.parse.corefile import parse_corefile
from netinspect.parse.dig import parse_dig
from netinspect.parse.dig_runs import parse_dig_runs
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.ipset_save import parse_ipsets
from netinspect.parse.iptables_save import parse_iptables_save
from netinspect.parse.ipvsadm import parse_listed, parse_saved
from netinspect.parse.ipvsadm_traffic import parse_rates
from netinspect.parse.ipvsadm_traffic import parse_statistics as parse_ipvs_statistics
from netinspect.parse.kube_proxy_config import parse_configz
from netinspect.parse.lsns import parse_lsns
from netinspect.parse.mountinfo import parse_pinned_netns
from netinspect.parse.nft_json import parse_nft_json
from netinspect.parse.node_facts import parse_flow_bytes, parse_node_facts
from netinspect.parse.proc import parse_comm_grep, parse_netns_listing
from netinspect.parse.resolv_conf import parse_resolv_conf

TOOLS = Path(__file__).parent / "tools"

# The PID that stands in the expected results of captures of one process's file.
ANY_PID = 42

PARSERS: dict[str, Callable[[bytes], object]] = {
    "cgroup-grep": parse_cgroup_grep,
    "comm-grep": parse_comm_grep,
    "conntrack-event": lambda stdout: tuple(map(parse_event, whole_lines(stdout, "conntrack -E"))),
    "conntrack-list": parse_flows,
    "conntrack-stat": parse_statistics,
    "conntrack-sysctl": parse_sysctls,
    "corefile": lambda stdout: parse_corefile(stdout.decode()),
    "dig": lambda stdout: parse_dig(*split_exit_code(stdout)),
    "dig-runs": parse_dig_runs,
    "dmesg": lambda stdout: (log := parse_kernel_log(stdout), find_table_full(log)),
    "flow-slab": parse_flow_bytes,
    "ip-addr": parse_ip_addr,
    "ip6tables-save": lambda stdout: parse_iptables_save(stdout.decode()),
    "ipset-save": parse_ipsets,
    "ipvsadm-list": parse_listed,
    "ipvsadm-rate": parse_rates,
    "ipvsadm-save": parse_saved,
    "ipvsadm-stats": parse_ipvs_statistics,
    "iptables-save": lambda stdout: parse_iptables_save(stdout.decode()),
    "kube-proxy-configz": parse_configz,
    "lsns": parse_lsns,
    "mountinfo": parse_pinned_netns,
    "netns-listing": parse_netns_listing,
    "nft-json": parse_nft_json,
    "node-facts": parse_node_facts,
    "proc-cgroup": lambda stdout: parse_proc_cgroup(ANY_PID, stdout.decode()),
    "resolv-conf": parse_resolv_conf,
}


def split_exit_code(stdout: bytes) -> tuple[bytes, int]:
    """Cut off what `echo "exit $?"` printed behind a tool's own output."""
    printed, mark, code = stdout.rpartition(b"exit ")
    assert mark
    return printed, int(code)


def list_cases(tool: str) -> list[Path]:
    """Return the captured outputs of one tool."""
    return sorted((TOOLS / tool).glob("*.out"))

"""Which parser reads which tool's captures: one line a folder of `tests/captures/tools`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from netinspect.parse.cgroup import parse_cgroup_grep, parse_proc_cgroup
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.lsns import parse_lsns
from netinspect.parse.mountinfo import parse_pinned_netns
from netinspect.parse.proc import parse_comm_grep, parse_netns_listing

TOOLS = Path(__file__).parent / "tools"

# The PID that stands in the expected results of captures of one process's file.
ANY_PID = 42

PARSERS: dict[str, Callable[[bytes], object]] = {
    "cgroup-grep": parse_cgroup_grep,
    "comm-grep": parse_comm_grep,
    "ip-addr": parse_ip_addr,
    "lsns": parse_lsns,
    "mountinfo": parse_pinned_netns,
    "netns-listing": parse_netns_listing,
    "proc-cgroup": lambda stdout: parse_proc_cgroup(ANY_PID, stdout.decode()),
}


def list_cases(tool: str) -> list[Path]:
    """Return the captured outputs of one tool."""
    return sorted((TOOLS / tool).glob("*.out"))

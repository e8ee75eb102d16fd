"""How a command gets into a pod's netns: one constant script, the rest as arguments that nobody evaluates."""

from __future__ import annotations

from netinspect.models.netns import PodNetns
from netinspect.probes.plan import read_script

_PAUSE = "pause"


def build_enter_argv(netns: PodNetns, command: tuple[str, ...], *, is_tied: bool) -> tuple[str, ...]:
    """Return the argv that runs `command` in the netns with the pod's own resolv.conf and hosts.

    Args:
        netns: where to; its inode is checked again on the node.
        command: the program and its arguments.
        is_tied: end the command when standard input ends: a lost client then leaves nothing running.
    """
    # The sandbox's own process has a resolv.conf but no hosts: it comes last.
    processes = sorted(netns.processes, key=lambda process: process.comm == _PAUSE)
    pids = " ".join(str(process.pid) for process in processes)
    tied = "1" if is_tied else ""
    script = read_script("enter.sh")
    return ("sh", "-c", script, "netinspect", str(netns.inode), pids, netns.path or "", tied, *command)

"""The probe plan: what to ask one node, as a value, and its form on the wire.

A plan is made by pure functions, compared whole in tests, and sent on the standard input of one constant script.
"""

from __future__ import annotations

import re
from importlib import resources

import msgspec

from netinspect.models.kubernetes import Pod

NODE = "node"
"""The key of the node's own netns."""

_MAX_ARGUMENT = 120_000
_NEEDLE = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{7,127}\Z")
_KEY = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*\Z")


class Probe(msgspec.Struct, frozen=True):
    """One question to a node.

    Attributes:
        name: the probe's name; with its scope it finds the result again.
        argv: the command, run without a shell.
        timeout_s: whole seconds after which the node ends it.
        is_conntrack: it speaks to the kernel's conntrack over netlink, for which the kernel would load
            `nf_conntrack_netlink` where that is a module: it is run only where nothing has to be loaded.
    """

    name: str
    argv: tuple[str, ...]
    timeout_s: int = 10
    is_conntrack: bool = False


class PodScope(msgspec.Struct, frozen=True):
    """A pod whose netns the node side is to find.

    Attributes:
        key: names the pod in the results (its UID in the API).
        needles: words by which its processes' cgroup paths are known: the UID as the node knows it, with
            dashes and with underscores (systemd driver), and the container ids.
        probes: what to ask in its netns.
    """

    key: str
    needles: tuple[str, ...]
    probes: tuple[Probe, ...] = ()


class Plan(msgspec.Struct, frozen=True):
    """All that one trip to one node asks."""

    node_probes: tuple[Probe, ...] = ()
    pods: tuple[PodScope, ...] = ()


def build_pod_scope(pod: Pod, probes: tuple[Probe, ...] = ()) -> PodScope:
    """Return the scope that finds `pod` on its node."""
    uid = pod.node_uid
    needles = dict.fromkeys((uid, uid.replace("-", "_"), *pod.container_ids))
    return PodScope(pod.metadata.uid, tuple(each for each in needles if each and _NEEDLE.match(each)), probes)


def encode_plan(plan: Plan) -> bytes:
    """Write the plan as the node side reads it: one value a line, every argument behind its count of lines.

    Raises:
        ValueError: a value cannot be sent (a NUL in an argument, a key or needle that is not one word).
    """
    lines: list[str] = []
    for pod in plan.pods:
        if not _KEY.match(pod.key) or not all(_NEEDLE.match(each) for each in pod.needles):
            raise ValueError(f"not a word: {pod.key!r} {pod.needles!r}")
        lines += [f"{pod.key} {needle}" for needle in pod.needles]
    lines.append(".")
    lines += _encode_probes(plan.node_probes)
    lines.append(str(len(plan.pods)))
    for pod in plan.pods:
        lines.append(pod.key)
        lines += _encode_probes(pod.probes)
    return "\n".join((*lines, "")).encode("utf-8", "surrogateescape")


def guard_argv(probe: Probe) -> tuple[str, ...]:
    """Return the argv with what keeps it from loading a kernel module. It takes a shell."""
    if not probe.is_conntrack:
        return probe.argv
    return ("sh", "-c", read_script("conntrack_loaded.sh"), "netinspect", *probe.argv)


def node_script() -> str:
    """Return the script of the node side, as small as it can travel."""
    return read_script("node.sh")


def read_script(name: str) -> str:
    """Return a script of this package, as small as it can travel."""
    return compact_script(resources.files("netinspect.probes").joinpath(name).read_text("utf-8"))


def build_log_command(plan: Plan) -> tuple[str, ...]:
    """Return a container's command that runs the plan and writes the answer to its log, as base64.

    Raises:
        ValueError: the plan is too long for an argument (Linux, MAX_ARG_STRLEN: 128 KiB).
    """
    sent = encode_plan(plan)
    if len(sent) > _MAX_ARGUMENT:
        raise ValueError("too many pods for one log: use --transport exec, or name fewer")
    pipe = 'printf %s "$1" | sh -c "$2" 2>/dev/null | base64'
    return ("sh", "-c", pipe, "netinspect", sent.decode("utf-8"), node_script())


def compact_script(source: str) -> str:
    """Drop comment lines, trailing comments of function heads, blank lines and indentation."""
    kept = []
    for line in source.splitlines():
        line = re.sub(r"^(\w+\(\) \{) #.*", r"\1", line.strip())
        if line and not line.startswith("#"):
            kept.append(line)
    return "\n".join(kept)


def _encode_probes(probes: tuple[Probe, ...]) -> list[str]:
    lines = [str(len(probes))]
    for probe in probes:
        if not _KEY.match(probe.name) or any("\0" in each for each in probe.argv):
            raise ValueError(f"a probe that cannot be sent: {probe!r}")
        argv = guard_argv(probe)
        lines.append(f"{probe.name} {probe.timeout_s} {len(argv)}")
        for argument in argv:
            lines += [str(argument.count("\n") + 1), argument]
    return lines

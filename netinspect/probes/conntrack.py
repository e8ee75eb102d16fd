"""What to ask a node about connection tracking.

`conntrack -L`, `-S`, `-C` and `-E` change nothing; `-z`, `-D`, `-F`, `-U` and `-I` do and are never sent. The table is
read through netlink: /proc/net/nf_conntrack is missing from many kernels. Both families are asked for by name, as older
versions of the tool list IPv4 only where none is given. Netlink is served by the module nf_conntrack_netlink, which the
kernel would load for the asking: conntrack_loaded.sh stands before every such probe.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from netinspect.models.address import Address
from netinspect.probes.catalog import LINKS
from netinspect.probes.plan import Plan, Probe, read_script

_LIST_S = 60
"""A table of a million flows takes the tool some seconds to print."""

FLOWS_IPV4 = Probe(
    "flows-ipv4", ("conntrack", "-L", "-f", "ipv4", "-o", "extended,id"), _LIST_S, is_conntrack=True
)
FLOWS_IPV6 = Probe(
    "flows-ipv6", ("conntrack", "-L", "-f", "ipv6", "-o", "extended,id"), _LIST_S, is_conntrack=True
)
FLOWS = (FLOWS_IPV4, FLOWS_IPV6)
"""The whole table, a family each."""


def build_flow_probes(addresses: Iterable[Address] = (), suffix: str = "") -> tuple[Probe, ...]:
    """List the flows that have one of these addresses in any place, by a filter that may let others pass.

    Args:
        addresses: the addresses; none means every flow. An address that may be spelled in two ways is not looked for by
            its letters: then every flow comes, too.
        suffix: of the probes' names, where one plan lists the table more than once.
    """
    chosen = tuple(addresses)
    words = _words(chosen) if all(_is_spelled_one_way(each) for each in chosen) else ()
    return tuple(_named(_narrowed(probe, words), suffix) for probe in FLOWS)


def build_flow_plan(addresses: Iterable[Address] = ()) -> Plan:
    """List flows once, with the node's links: they bear addresses that the API does not know."""
    return Plan((LINKS, *build_flow_probes(addresses)))


def build_sample_plan(between_s: int, addresses: Iterable[Address] = ()) -> Plan:
    """List flows twice in one trip, `between_s` whole seconds apart; the second listing's names end in -again."""
    words = tuple(addresses)
    pause = Probe("pause", ("sleep", str(between_s)), between_s + 5)
    return Plan((LINKS, *build_flow_probes(words), pause, *build_flow_probes(words, "-again")))


def _words(addresses: Iterable[Address]) -> tuple[str, ...]:
    # `src=10.244.1.5 dst=`: a blank follows every address (libnetfilter_conntrack, snprintf_default.c).
    return tuple(f"={address} " for address in addresses)


def _is_spelled_one_way(address: Address) -> bool:
    """Whether inet_ntop of every C library writes the address as `ipaddress` does.

    They differ in addresses that embed an IPv4 one (`::ffff:10.0.0.1`), and where one of two runs of zeros comes first.
    """
    return address.version == 4 or int(address) >> 112 != 0


def _narrowed(probe: Probe, words: tuple[str, ...]) -> Probe:
    if not words:
        return probe
    argv = ("sh", "-c", read_script("narrow.sh"), "netinspect", "\n".join(words), *probe.argv)
    return replace(probe, argv=argv)


def widen_argv(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command whose listing a narrowed one passes on in part; () where it is none such."""
    return argv[5:] if argv[:3] == ("sh", "-c", read_script("narrow.sh")) else ()


def _named(probe: Probe, suffix: str) -> Probe:
    return replace(probe, name=f"{probe.name}{suffix}")


# Each grep may miss a file (exit code 2): what is not there is not listed.
_LIMITS = (
    "grep -Hs '' /proc/sys/net/netfilter/nf_conntrack_* /sys/module/nf_conntrack/parameters/hashsize; "
    "[ $? -le 2 ]"
)
_FACTS = (
    "grep -Hs -E '^(btime |MemTotal:|[0-9])' /proc/stat /proc/meminfo /proc/sys/kernel/osrelease "
    "/sys/devices/system/cpu/online /proc/sys/net/nf_conntrack_max; [ $? -le 2 ]"
)
# kube-proxy's default place for its metrics, in a cluster of either family (kubernetes, options.go).
_CONFIGZ = "curl -gsSf -m 3 http://127.0.0.1:10249/configz || curl -gsSf -m 3 http://[::1]:10249/configz"

LIMITS = Probe("conntrack-limits", ("sh", "-c", _LIMITS))
"""The sysctls of the node's netns: a glob, which takes a shell."""

STATISTICS = Probe("conntrack-statistics", ("conntrack", "-S"), is_conntrack=True)
LIMITS_AGAIN = Probe("conntrack-limits-again", LIMITS.argv)
STATISTICS_AGAIN = replace(STATISTICS, name="conntrack-statistics-again")

NODE_FACTS = Probe("node-facts", ("sh", "-c", _FACTS))
"""Clock, memory, CPUs, kernel, and whether the netns is the machine's first."""

KERNEL_LOG = Probe("kernel-log", ("dmesg", "--json", "-x"))
"""util-linux 2.38 and later; without -c and -C it leaves the log as it is."""

FLOW_SLAB = Probe("flow-slab", ("grep", "-s", "^nf_conntrack ", "/proc/slabinfo"))
"""How much memory one entry takes."""

KUBE_PROXY = Probe("kube-proxy-config", ("sh", "-c", _CONFIGZ))
"""The settings that kube-proxy runs with, as it tells them on loopback."""

_MACHINE = (NODE_FACTS, FLOW_SLAB, KUBE_PROXY)


def build_limit_plan(between_s: int) -> Plan:
    """Ask for the limit, and for the statistics twice, `between_s` whole seconds apart; the log comes last."""
    pause = Probe("pause", ("sleep", str(between_s)), between_s + 5)
    return Plan((LIMITS, STATISTICS, pause, STATISTICS_AGAIN, LIMITS_AGAIN, *_MACHINE, KERNEL_LOG))


def build_limit_now_plan() -> Plan:
    """Ask for the limit, once."""
    return Plan((LIMITS, *_MACHINE))


def build_set_limit_plan(limit: int) -> Plan:
    """Write the limit, and read it back. The only plan that changes a node: `conntrack limit --set N --apply`."""
    return Plan((Probe(SET_LIMIT, set_limit_argv(limit)), LIMITS))


SET_LIMIT = "set-conntrack-limit"


def set_limit_argv(limit: int) -> tuple[str, ...]:
    """Return the command that writes the limit into the running kernel; it lasts until the next boot."""
    return ("sysctl", "-w", f"net.netfilter.nf_conntrack_max={limit}")

"""What deserves a look about the two ends of a link: facts that lie at hand once both are known.

`operstate` UNKNOWN is healthy for many kinds, so up and down are read from the flags alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from netinspect.models.veth import Attachment, HostLink, LinkMatch, PodLink

_PAIRS = frozenset({Attachment.VETH, Attachment.NETKIT})
_STEM = 3

MasterCounts = dict[tuple[str, str], Counter[str | None]]


def describe_ends(match: LinkMatch) -> tuple[str, ...]:
    """Compare the two ends of one link."""
    if match.host_link is None:
        return ()
    return tuple(_compare(match.pod_link, match.host_link, is_pair=match.attachment in _PAIRS))


def _compare(pod: PodLink, host: HostLink, *, is_pair: bool) -> Iterator[str]:
    if is_pair and pod.mtu != host.mtu:
        yield (
            f"the ends of the pair have different MTUs: {pod.ifname} {pod.mtu}, {host.ifname} {host.mtu}; "
            f"frames larger than {min(pod.mtu, host.mtu)} bytes are dropped without a word"
        )
    end = "node end" if is_pair else "parent"
    if "UP" not in host.flags:
        yield f"the {end} {host.ifname} is administratively down (no UP in {_shown(host.flags)})"
    elif "LOWER_UP" not in host.flags:
        yield f"the {end} {host.ifname} has no carrier (no LOWER_UP in {_shown(host.flags)})"
    if "UP" not in pod.flags:
        yield f"the pod's {pod.ifname} is administratively down (no UP in {_shown(pod.flags)})"


def _shown(flags: Sequence[str]) -> str:
    return f"<{','.join(flags)}>"


def count_masters(matches: Sequence[LinkMatch]) -> MasterCounts:
    """Count, for each sort of node end, the bridges that such ends are ports of (None: of no bridge)."""
    counts: MasterCounts = {}
    for match in matches:
        if match.host_link is not None and match.attachment in _PAIRS:
            counts.setdefault(_sort(match.pod_link, match.host_link), Counter())[match.host_link.master] += 1
    return counts


def describe_master(match: LinkMatch, masters: MasterCounts) -> tuple[str, ...]:
    """Note a node end that is no port though its likes are.

    Routed plugins have no bridge at all, so an end is compared only with ends of its own sort, and only where all of
    those that are ports are ports of one bridge and are not the fewer.
    """
    host = match.host_link
    if host is None or host.master is not None or match.attachment not in _PAIRS:
        return ()
    counts = masters[_sort(match.pod_link, host)]
    bridges = {name: count for name, count in counts.items() if name is not None}
    if len(bridges) != 1 or counts[None] > sum(bridges.values()):
        return ()
    ((bridge, count),) = bridges.items()
    return (
        f"the node end {host.ifname} is no port of a bridge; those of {count} other pods are ports of {bridge}",
    )


def _sort(pod: PodLink, host: HostLink) -> tuple[str, str]:
    """Ends are alike if they serve links of one name and begin alike: a second network's need not be bridged."""
    return pod.ifname, host.ifname[:_STEM]

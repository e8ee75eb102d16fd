"""The kubelet's command line -> the name of its node, and the node's addresses.

Only what is told by flags: `--hostname-override` and `--node-ip` are settings of no configuration file
(kubernetes v1.36, cmd/kubelet/app/options).
"""

from __future__ import annotations

from collections.abc import Sequence

from netinspect.models.address import Address, parse_address
from netinspect.models.local_host import KubeletFlags


def parse_kubelet_flags(argv: Sequence[str]) -> KubeletFlags:
    """Read `--flag=value` and `--flag value`, with one dash or two; the last of several counts."""
    values: dict[str, str] = {}
    for place, word in enumerate(argv):
        flag, has_value, value = word.partition("=")
        if flag.startswith("-"):
            following = argv[place + 1] if place + 1 < len(argv) else ""
            values[flag.lstrip("-")] = value if has_value else following
    return KubeletFlags(
        values.get("hostname-override", "").strip().lower(), _read_addresses(values.get("node-ip", ""))
    )


def _read_addresses(text: str) -> tuple[Address, ...]:
    """Read addresses; what is none, or unspecified (`::` asks the kubelet to choose of that family), is left out."""
    found = []
    for word in text.split(","):
        try:
            address = parse_address(word.strip())
        except ValueError:
            continue
        if not address.is_unspecified:
            found.append(address)
    return tuple(found)

"""What is worth saying of rules for Services besides them: where they were read, what is missing, what has none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec

from netinspect.analyze.rules.service_maps import ReadMap, find_missing_program, list_reading_gaps
from netinspect.analyze.rules.target import RuleTarget, find_port_in_address
from netinspect.models.address import Address, show_endpoint
from netinspect.models.fact import Known, Reason
from netinspect.models.rules_reading import RulesReading
from netinspect.models.service_map import Hook, Mode, Outcome
from netinspect.models.service_rules import ServiceRules

_RULES = {Mode.IPTABLES: "iptables rule", Mode.NFTABLES: "nftables rule", Mode.IPVS: "virtual server"}
_WHOSE = {
    Hook.PREROUTING: "those of pods and from outside",
    Hook.OUTPUT: "those of the node itself and of its hostNetwork pods",
}
_MOST_NAMED = 3
_Destination = tuple[str, int, Address | None, str, int]


class Unfound(msgspec.Struct, frozen=True, kw_only=True):
    """What a node has no rules for.

    Attributes:
        node: the node's name.
        what: what was asked for and is not there, as text.
        is_expected: whether kube-proxy should have written some.
        by_rules: whether Services are meant that only rules could name, as the API's list could not be read.
    """

    node: str
    what: str
    is_expected: bool
    by_rules: bool = False


def describe_reading(reading: RulesReading, chosen: Sequence[ReadMap], mode: Mode | None) -> Iterator[str]:
    """Say where a node's rules were read from, and where else there are some.

    Args:
        reading: of the node.
        chosen: the maps that are shown.
        mode: the dataplane that was asked for; None is what kube-proxy uses.
    """
    node = reading.node
    for each in chosen:
        found = each.service_map
        if found.entries:
            layout = f" ({found.layout})" if found.layout else ""
            yield f"node {node}, IPv{found.family}: read from {each.tool}{layout}"
    if mode is not None:
        return
    own = reading.kube_proxy_mode
    if not isinstance(own, Known):
        why = " ".join(own.detail.split())
        if own.reason is Reason.TOOL_MISSING:
            why = f"the image has no {find_missing_program(own, 'curl')}"
        yield f"node {node}: kube-proxy did not tell its mode ({why}); what has rules for Services is shown"
    elif not any(each.service_map.mode.value == own.value for each in chosen) and not list_reading_gaps(
        reading
    ):
        yield f"node {node}: kube-proxy is in {own.value} mode, but no rule of it takes packets to Services"
    if isinstance(own, Known) and own.value == Mode.IPVS:
        yield from describe_missing_ipvs(reading)


def describe_missing_ipvs(reading: RulesReading) -> Iterator[str]:
    """Say that the kernel has no IPVS, where it has none: nothing loads it, and there can be no virtual servers."""
    if reading.has_ipvs is False:
        yield (
            f"node {reading.node}: the kernel module ip_vs is not loaded (nor built in): "
            "there are no virtual servers"
        )


def describe_unfound(
    unfound: Unfound,
    reading: RulesReading,
    chosen: Sequence[ReadMap],
    mode: Mode | None,
    families: Sequence[int],
) -> str:
    """Say that no rule of a node takes packets somewhere, as far as the rules could be read.

    Args:
        unfound: of what there is none.
        reading: of the node.
        chosen: the maps that were looked through.
        mode: the dataplane that was asked for; None is any.
        families: those that were looked through.
    """
    modes = [mode] if mode is not None else list(dict.fromkeys(each.service_map.mode for each in chosen))
    *others, last = (_RULES[each] for each in modes or Mode)
    rules = f"{', '.join(others)} or {last}" if others else last
    over = f" over IPv{families[0]}" if len(families) == 1 else ""
    read = ", as far as they could be read" if list_reading_gaps(reading) else ""
    named = ", as far as they name Services (the API did not)" if unfound.by_rules else ""
    see = f"; see kubectl netinspect dataplane --node {unfound.node}" if unfound.is_expected else ""
    return f"no {rules} of node {unfound.node} takes packets to {unfound.what}{over}{read}{named}{see}"


def describe_hidden_ports(targets: Iterable[RuleTarget]) -> Iterator[str]:
    """Say of IPv6 addresses without rules that their last group may be meant as a port."""
    for target in targets:
        meant = find_port_in_address(target)
        if meant:
            yield f"{target.text} was taken for an address; with a port it is written {meant}"


def describe_missing_hooks(
    items: Iterable[ServiceRules],
    named: Iterable[ServiceRules],
    *,
    without_links: Collection[str] = (),
    doubtful: Collection[tuple[str, int]] = (),
) -> Iterator[str]:
    """Say where packets to a Service are met at one hook of two: the others go on as they are.

    kube-proxy meets the packets of both hooks. What it only refuses, it may refuse at PREROUTING alone, by design; and
    nothing comes in to a loopback address. Rules that no Service is known for may be meant for one hook.

    Args:
        items: what is shown.
        named: all that was read, which `items` was chosen from.
        without_links: nodes whose addresses are not known: where IPVS meets packets hangs on them.
        doubtful: nodes and families of whose rules not all could be judged.
    """
    hooks: dict[_Destination, set[Hook]] = {}
    for each in named:
        hooks.setdefault(_key(each), set()).update(each.hooks)
    found: dict[tuple[str, int, Hook], dict[str, None]] = {}
    for each in items:
        missing = _missing_hook(each, hooks[_key(each)])
        if missing is not None and not (each.mode is Mode.IPVS and each.node in without_links):
            found.setdefault((each.node, each.family, missing), {})[_show(each)] = None
    for (node, family, hook), shown in found.items():
        texts = list(shown)
        more = f" and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
        judged = ", as far as rules could be judged" if (node, family) in doubtful else ""
        yield (
            f"node {node}, IPv{family}: nothing is done at {hook.value} with packets to "
            f"{', '.join(texts[:_MOST_NAMED])}{more}{judged}: {_WHOSE[hook]} go on as they are; "
            f"see kubectl netinspect dataplane --node {node}"
        )


def _key(rules: ServiceRules) -> _Destination:
    """Return what a destination is, whatever local addresses it leaves out: that may differ between hooks."""
    to = rules.destination
    return rules.node, rules.family, to.address, to.protocol, to.port


def _missing_hook(rules: ServiceRules, hooks: Collection[Hook]) -> Hook | None:
    address = rules.destination.address
    if not rules.service or (address is not None and address.is_loopback):
        return None
    if Hook.PREROUTING not in hooks and Hook.OUTPUT in hooks:
        return Hook.PREROUTING
    is_translated = any(branch.outcome is Outcome.BACKENDS for branch in rules.branches)
    is_missing = Hook.OUTPUT not in hooks and Hook.PREROUTING in hooks
    return Hook.OUTPUT if is_missing and is_translated else None


def _show(rules: ServiceRules) -> str:
    to = rules.destination
    place = f"any-local:{to.port}" if to.address is None else show_endpoint(to.address, to.port)
    return f"{place}/{to.protocol}"

"""A ruleset that is printed and restored is saved as the ruleset that it was made from: the kernel itself compares."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

import pytest

from netinspect.models.iptables import Ruleset
from netinspect.parse.iptables_save import parse_iptables_save
from netinspect.render.iptables_save import render_iptables_save
from tests.captures.iptables_lab import (
    BACKENDS,
    FAMILIES,
    KUBERNETES,
    NETWORKS,
    OF_IPV4,
    OF_IPV6,
    OTHERS,
    prepare,
    program,
    write_rules,
)
from tests.netns.world import Netns, World

FAMILY_AND_BACKEND = [(family, backend) for family in FAMILIES for backend in BACKENDS]
GROUPS: Mapping[str, tuple[Mapping[str, str], ...]] = {
    "kubernetes": (KUBERNETES,),
    "networks": (NETWORKS,),
    "others": (OTHERS,),
}


def save(netns: Netns, family: int, backend: str) -> str:
    return netns.enter(program(family, backend, "-save"), "-c").decode()


def restore(netns: Netns, family: int, backend: str, text: str) -> None:
    argv = ["nsenter", f"--net=/proc/{netns.pid}/ns/net", "--", program(family, backend, "-restore"), "-c"]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def tables(text: str) -> list[str]:
    """Return the tables of a save without lines of comment; legacy prints the youngest first."""
    lines = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    return sorted(lines.split("COMMIT\n"))


def remainders(ruleset: Ruleset) -> list[str]:
    chains = [chain for table in ruleset.tables.values() for chain in table.chains.values()]
    return [rule.raw for chain in chains for rule in chain.rules if rule.remainder]


@pytest.mark.parametrize(("family", "backend"), FAMILY_AND_BACKEND)
@pytest.mark.parametrize("group", GROUPS)
def test_what_is_printed_and_restored_is_the_same_ruleset(
    world: World, family: int, backend: str, group: str
) -> None:
    """Every rule of every kind is understood, and says the same when it was written again."""
    first, second = world.node, world.new_netns()
    own = () if group != "others" else (OF_IPV4,) if family == 4 else (OF_IPV6,)
    for netns in (first, second):
        prepare(netns, family)
    write_rules(first, family, backend, *GROUPS[group], *own)
    original = save(first, family, backend)
    ruleset = parse_iptables_save(original)
    assert remainders(ruleset) == []
    restore(second, family, backend, render_iptables_save(ruleset))
    assert tables(save(second, family, backend)) == tables(original)


@pytest.mark.parametrize(("family", "backend"), FAMILY_AND_BACKEND)
def test_counters_and_policies_are_restored_too(world: World, family: int, backend: str) -> None:
    """Of a chain as of a rule."""
    chains = ":INPUT DROP [5:300]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
    restore(world.node, family, backend, f"*filter\n{chains}[7:420] -A INPUT -i lo\nCOMMIT\n")
    original = save(world.node, family, backend)
    # ip6tables-nft-restore 1.8.9 itself forgets those of rules.
    kept = "[0:0]" if (family, backend) == (6, "nft") else "[7:420]"
    assert (":INPUT DROP [5:300]" in original, f"{kept} -A INPUT -i lo" in original) == (True, True)
    second = world.new_netns()
    restore(second, family, backend, render_iptables_save(parse_iptables_save(original)))
    assert tables(save(second, family, backend)) == tables(original)


@pytest.mark.parametrize(("family", "backend"), FAMILY_AND_BACKEND)
def test_a_comment_that_restore_takes_for_its_own_option_is_quoted(
    world: World, family: int, backend: str
) -> None:
    """What the tool saves here it cannot read back itself."""
    write_rules(world.node, family, backend, {"filter": "-A INPUT -m comment --comment -t -j ACCEPT"})
    original = save(world.node, family, backend)
    assert "--comment -t -j" in original
    second = world.new_netns()
    restore(second, family, backend, render_iptables_save(parse_iptables_save(original)))
    assert tables(save(second, family, backend)) == tables(original)

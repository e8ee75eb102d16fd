"""What is read out of nft's rules beside what the kernel does, in the same words: `10.2.0.1:80`, `none`, `drop`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from netinspect.analyze.nft.service_map import read_nft_destinations, read_nft_map
from netinspect.analyze.service_map.source_conditions import holds_for_link, holds_for_network
from netinspect.models.address import parse_address
from netinspect.models.nft import NftRuleset
from netinspect.models.service_map import (
    Backend,
    Branch,
    Destination,
    Hook,
    MapEntry,
    Outcome,
    ServiceMap,
    SourceKind,
)
from netinspect.parse.nft_json import parse_nft_json
from tests.netns.packet_lab import CLIENT, LINK, NODE, PacketLab

Cases = dict[str, tuple[str, dict[str, str]]]
"""By what is shown: a ruleset, and what becomes of packets. ` ?` is where the reading has doubts, and says so."""

HOOKS = {"in": Hook.PREROUTING, "out": Hook.OUTPUT}
OFTEN = 24


@dataclass(frozen=True)
class Sent:
    """A packet in words: `in tcp 10.96.0.1 80`."""

    hook: Hook
    to: Destination

    @classmethod
    def read(cls, text: str) -> Sent:
        hook, protocol, address, port = text.split()
        return cls(
            HOOKS[hook], Destination(address=parse_address(address), protocol=protocol, port=int(port))
        )

    @property
    def family(self) -> int:
        assert self.to.address is not None
        return self.to.address.version


def done(lab: PacketLab, sent: Sent, *, times: int) -> str:
    """Say what the kernel does."""
    to = sent.to
    found = {lab.send(sent.hook, to.protocol, str(to.address), to.port) for _ in range(times)}
    return " | ".join(sorted(found))


def told(ruleset: NftRuleset, sent: Sent) -> str:
    """Say what is read, in the same words; `?` is what is not decided."""
    local = [parse_address(each) for each in NODE[sent.family]]
    asked = read_nft_destinations(sent.family, ruleset, local, [sent.to])
    map_ = read_map(ruleset, sent.family)
    named = [each for each in map_.entries if is_of(each.destination, sent.to)]
    words = say(asked, sent)
    doubts = "?" if map_.gaps and "?" not in words else ""
    if named and say(named, sent) != words:
        return f"{words}{doubts}, but in the map: {say(named, sent)}"
    return words + doubts


def read_map(ruleset: NftRuleset, family: int) -> ServiceMap:
    return read_nft_map("node", family, ruleset, [parse_address(each) for each in NODE[family]])


def is_of(entry: Destination, sent: Destination) -> bool:
    """Whether a destination of the map is the one that is asked for."""
    is_local = str(sent.address) in (*NODE[4], *NODE[6])
    excepted = any(sent.address in ip_network(each) for each in entry.except_)
    here = entry.address == sent.address or (entry.address is None and is_local and not excepted)
    return here and (entry.protocol, entry.port) == (sent.protocol, sent.port)


def say(entries: Sequence[MapEntry], sent: Sent) -> str:
    branches = [branch for each in entries if each.hook is sent.hook for branch in each.branches]
    taken = next((each for each in branches if holds(each, sent)), None)
    if taken is None:
        return "none"
    words = [show_backend(each, taken, sent) for each in taken.backends if each.share]
    words += ["lost"] if taken.lost else []
    outcome = " | ".join(sorted(words)) if taken.outcome is Outcome.BACKENDS else str(taken.outcome)
    return outcome + ("?" if taken.undecided else "")


def show_backend(backend: Backend, branch: Branch, sent: Sent) -> str:
    is_hairpin = sent.hook is Hook.PREROUTING and CLIENT[sent.family] in map(str, backend.masqueraded_from)
    masquerade = " masqueraded" if branch.masquerade or is_hairpin else ""
    return f"{backend.address}:{backend.port or sent.to.port}{masquerade}"


def holds(branch: Branch, sent: Sent) -> bool:
    source = CLIENT[sent.family] if sent.hook is Hook.PREROUTING else NODE[sent.family][2]
    link = LINK if sent.hook is Hook.PREROUTING else None
    return all(
        holds_for_link(each, link)
        if each.kind is SourceKind.LINK
        else holds_for_network(each, parse_address(source))
        for each in branch.when
    )


def nft_text(rules: str) -> str:
    """Write a ruleset out: `nat prerouting -100` for the head of a base chain, WEB for the Service, table `ip t`."""
    text = re.sub(r"\b(filter|nat|route) (\w+) (\S+);", r"type \1 hook \2 priority \3;", rules)
    text = text.replace("WEB", "ip daddr 10.96.0.1 tcp dport 80")
    return text if "table" in text else f"table ip t {{\n{text}\n}}\n"


def load(lab: PacketLab, rules: str) -> NftRuleset:
    """Let the node have these rules, and return them as nft lists them."""
    lab.load(nft_text(rules).replace("LINK-ADDRESS", lab.link_address()))
    return parse_nft_json(lab.node.enter("nft", "-j", "list", "ruleset"))


def check(lab: PacketLab, rules: str, expected: dict[str, str]) -> None:
    """Compare what is read, and what the kernel does, with what is expected; ` ?` is where the reading has doubts."""
    ruleset = load(lab, rules)
    found = {}
    for packet, words in expected.items():
        sent = Sent.read(packet)
        read = told(ruleset, sent)
        is_doubted = words.endswith(" ?") and read.endswith("?")
        kernel = done(lab, sent, times=OFTEN if "|" in words else 1)
        found[packet] = (kernel, f"{kernel} ?" if is_doubted else read)
    assert found == {packet: (words.removesuffix(" ?"), words) for packet, words in expected.items()}

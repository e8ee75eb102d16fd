"""What of a node's rules could not be read: programs that the image lacks are one gap."""

from __future__ import annotations

from msgspec.structs import replace

from netinspect.analyze.rules.service_maps import list_reading_gaps
from netinspect.models.fact import Gap, Known, Reason, Unavailable
from netinspect.models.rules_reading import RulesReading
from netinspect.probes.rules import SAVES

NO_TOOL = Unavailable(Reason.TOOL_MISSING, "ip ended with exit code 127: sh: ip: not found")
NO_SHELL = Unavailable(
    Reason.TOOL_MISSING, 'x ended with exit code 127: exec: "sh": executable file not found in $PATH: unknown'
)


def test_programs_that_are_missing_are_one_gap() -> None:
    reading = RulesReading(
        node="node-a",
        links=Known(()),
        saves=dict.fromkeys(SAVES[:2], NO_TOOL),
        nft=NO_TOOL,
        virtual_servers=NO_TOOL,
        traffic=NO_TOOL,
        ipsets=Unavailable(Reason.PERMISSION_DENIED, "no"),
    )
    assert list_reading_gaps(reading) == (
        Gap(
            "node/node-a",
            "the rules of iptables-nft-save, the rules of ip6tables-nft-save, the rules of nft, "
            "the virtual servers of IPVS and the traffic of IPVS",
            Reason.TOOL_MISSING,
            "the image has no iptables-nft-save, ip6tables-nft-save, nft, ipvsadm",
        ),
        Gap("node/node-a", "the sets of ipset", Reason.PERMISSION_DENIED, "no"),
    )


def test_one_program_that_is_missing_is_told_in_its_own_words() -> None:
    reading = RulesReading(node="node-a", nft=NO_TOOL)
    assert list_reading_gaps(reading) == (
        Gap("node/node-a", "the rules of nft", Reason.TOOL_MISSING, NO_TOOL.detail),
    )


def test_an_image_without_a_shell_has_none_of_them() -> None:
    [gap] = list_reading_gaps(RulesReading(node="node-a", links=NO_SHELL, nft=NO_SHELL))
    assert (gap.fact, gap.detail) == ("the links and the rules of nft", "the image has no shell")


def test_what_was_not_asked_for_is_no_gap() -> None:
    reading = RulesReading(node="node-a")
    assert list_reading_gaps(reading) == ()
    cut = Gap("node/node-a", "the end", Reason.TRUNCATED, "cut")
    assert list_reading_gaps(replace(reading, gaps=(cut,))) == (cut,)

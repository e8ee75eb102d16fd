"""Which dataplane is in use: real kube-proxies' rules of every mode, whole, damaged, and beside others' leftovers."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from netinspect.analyze.dataplane.findings import check_dataplane
from netinspect.analyze.dataplane.in_use import describe_dataplane, list_gaps
from netinspect.models.address import parse_address
from netinspect.models.dataplane import (
    AgentPod,
    Confidence,
    Dataplane,
    DataplaneHints,
    DataplaneReading,
    NodeDataplane,
    VirtualServerCounts,
)
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.finding import Finding, Severity
from netinspect.models.iptables import Ruleset, XtablesBackend
from netinspect.models.link import Link, LinkAddress
from netinspect.models.nft import NftRuleset
from netinspect.models.service_map import Mode
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.iptables_save import parse_iptables_save
from netinspect.parse.nft_json import parse_nft_json

NFT, LEGACY = XtablesBackend.NFT, XtablesBackend.LEGACY
SILENT = Unavailable(Reason.FAILED, "connection refused")
DENIED = Unavailable(Reason.PERMISSION_DENIED, "forbidden")
MISSING = Unavailable(Reason.TOOL_MISSING, "not found")
SAVED = {4: "iptables-save.txt", 6: "ip6tables-save.txt"}
DATAPLANES = Path(__file__).parents[3] / "captures" / "dataplanes"


@dataclass(frozen=True)
class Capture:
    """What a real kube-proxy made of a node."""

    folder: Path

    def text(self, name: str) -> str:
        """Return a file, unpacked."""
        packed = self.folder / f"{name}.gz"
        return (
            gzip.decompress(packed.read_bytes()).decode()
            if packed.exists()
            else (self.folder / name).read_text()
        )

    @property
    def mode(self) -> Mode:
        """The mode that kube-proxy told."""
        return Mode(self.text("proxy-mode.txt"))


IPTABLES, NFTABLES, IPVS = (
    Capture(DATAPLANES / f"1.36.2-{mode}") for mode in ("iptables", "nftables", "ipvs")
)
EVERY = [
    Capture(folder)
    for folder in sorted(DATAPLANES.iterdir())
    if folder.name.endswith(("-iptables", "-nftables", "-large"))
]
SERVERS = VirtualServerCounts(ipv4=7, ipv6=5)
HINTS = DataplaneHints(pods=Known(()), kube_proxy_replacement=Known(None), services=Known({4: 3, 6: 2}))


def bare() -> DataplaneReading:
    """A node on which nothing is."""
    return DataplaneReading(
        node="node-a",
        kube_proxy_mode=SILENT,
        links=Known((link("lo"),)),
        saves={(backend, family): Known(Ruleset()) for backend in XtablesBackend for family in (4, 6)},
        nft=Known(NftRuleset()),
        virtual_servers=Known(VirtualServerCounts()),
        ipsets=Known(()),
    )


def link(name: str, *addresses: str) -> Link:
    shown = tuple(LinkAddress(parse_address(each), 32, "global") for each in addresses)
    return Link(ifindex=1, ifname=name, mtu=1500, operstate="UNKNOWN", addresses=shown)


def captured(capture: Capture, mode: str | None = None) -> DataplaneReading:
    """A node as a real kube-proxy left it."""
    said = mode or capture.mode.value
    nft = [path for path in capture.folder.iterdir() if path.name.startswith("nft.json")]
    rulesets = parse_nft_json(capture.text("nft.json")) if nft else NftRuleset()
    # The probe does not ask for iptables' own tables.
    others = tuple(each for each in rulesets.tables if each.name == "kube-proxy")
    reading = with_saves(bare(), capture)
    is_ipvs = capture.mode.value == "ipvs"
    return replace(
        reading,
        kube_proxy_mode=Known(said) if said else SILENT,
        links=Known(parse_ip_addr(capture.text("addresses.json").encode())) if is_ipvs else reading.links,
        nft=Known(NftRuleset(tables=others)),
        virtual_servers=Known(SERVERS) if is_ipvs else reading.virtual_servers,
        ipsets=Known(("KUBE-CLUSTER-IP", "KUBE-6-CLUSTER-IP", "mine")) if is_ipvs else Known(()),
    )


def with_saves(
    reading: DataplaneReading, capture: Capture, backend: XtablesBackend = NFT, drop: str = "", put: str = ""
) -> DataplaneReading:
    """Put a capture's iptables rules into a backend; lines with `drop` are left out, or `put` stands in their place."""
    saves = dict(reading.saves)
    for family, name in SAVED.items():
        text = capture.text(name)
        if drop:
            assert any(drop in line for line in text.splitlines())
            kept = (put if drop in line else line for line in text.splitlines())
            text = "".join(f"{line}\n" for line in kept if line)
        saves[backend, family] = Known(parse_iptables_save(text))
    return replace(reading, saves=saves)


def judge(
    reading: DataplaneReading, hints: DataplaneHints = HINTS, family: int = 4
) -> tuple[NodeDataplane, dict[str, Finding]]:
    node = describe_dataplane(reading, hints, family)
    found = check_dataplane(node)
    assert len({each.id for each in found}) == len(found)
    return node, {each.id: each for each in found}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("capture", EVERY, ids=lambda capture: capture.folder.name)
def test_real_rules_are_recognised(capture: Capture, family: int) -> None:
    """Of every version and mode, in both families; nothing is wrong, and nothing is left over."""
    node, found = judge(captured(capture), family=family)
    assert (node.dataplane.value, node.confidence) == (capture.mode.value, Confidence.CERTAIN)
    assert (node.is_readable, node.family, node.kube_proxy_mode) == (True, family, capture.mode.value)
    assert node.leftovers == ()
    assert (found, node.traces[0].is_reached, node.traces[0].missing) == ({}, True, ())
    assert (node.traces[0].services or 0) > 0


@pytest.mark.parametrize("family", [4, 6])
def test_ipvs_is_recognised(family: int) -> None:
    """By virtual servers and the link; its iptables rules and sets are its own, in both families."""
    node, found = judge(captured(IPVS), family=family)
    assert (node.dataplane, node.confidence, found) == (Dataplane.IPVS, Confidence.CERTAIN, {})
    places = [trace.place for trace in node.traces]
    assert sorted(places) == ["IPVS", "ipset", "iptables-nft"]
    assert next(trace for trace in node.traces if trace.place == "IPVS").services == (7 if family == 4 else 5)
    assert node.backend is NFT


def test_evidence_is_what_was_read() -> None:
    """kube-proxy's own word first, then raw lines, with the tool that printed them."""
    node, _ = judge(captured(IPTABLES), family=6)
    assert (node.evidence[0].source, node.evidence[0].text) == ("kube-proxy, /proxyMode", "iptables")
    jumps = [piece.text for piece in node.evidence if piece.source == "ip6tables-nft-save"]
    assert jumps[0].startswith("-A PREROUTING ")
    assert jumps[0].endswith(" -j KUBE-SERVICES")


@pytest.mark.parametrize("capture", [IPTABLES, NFTABLES, IPVS], ids=lambda capture: capture.mode.value)
def test_rules_alone_make_it_likely(capture: Capture) -> None:
    """kube-proxy does not answer: its rules are there, but nobody says that it still writes them."""
    reading = replace(captured(capture), kube_proxy_mode=SILENT)
    node, found = judge(reading)
    assert (node.dataplane.value, node.confidence) == (capture.mode.value, Confidence.LIKELY)
    assert found == {}
    assert ["kube-proxy's mode" in gap.fact for gap in list_gaps(reading, HINTS, [node])] == [True]


def test_nothing_at_all() -> None:
    """No kube-proxy, no rules, no other dataplane: high, but only where there are Services."""
    node, found = judge(bare())
    assert (node.dataplane, node.confidence, node.is_readable) == (Dataplane.NONE, Confidence.CERTAIN, False)
    assert found["dataplane-none"].severity is Severity.HIGH
    _, unused = judge(bare(), replace(HINTS, services=Known({4: 3})), family=6)
    assert unused == {}
    _, untold = judge(bare(), replace(HINTS, services=DENIED), family=6)
    assert "whether there are Services" in untold["dataplane-none"].not_judged


@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
def test_kube_proxy_without_rules(mode: str) -> None:
    """It says what it does, and no packet comes there: critical."""
    node, found = judge(replace(bare(), kube_proxy_mode=Known(mode)), family=6)
    assert node.dataplane is Dataplane.NONE
    assert found["dataplane-rules-missing"].severity is Severity.CRIT
    assert f"mode {mode}" in found["dataplane-rules-missing"].message
    assert "IPv6" in found["dataplane-rules-missing"].message


@pytest.mark.parametrize(
    ("line", "way", "words"),
    [
        ("-A PREROUTING", "nat PREROUTING -> KUBE-SERVICES", "pods and other machines"),
        (
            '-A OUTPUT -m comment --comment "kubernetes service portals"',
            "nat OUTPUT -> KUBE-SERVICES",
            "node itself",
        ),
        ("-A POSTROUTING", "nat POSTROUTING -> KUBE-POSTROUTING", "masqueraded"),
    ],
)
@pytest.mark.parametrize("family", [4, 6])
def test_a_jump_that_is_missing(line: str, way: str, words: str, family: int) -> None:
    """The rules are in use, but not by all packets: critical, and the way is named."""
    reading = with_saves(captured(IPTABLES), IPTABLES, drop=line)
    node, found = judge(reading, family=family)
    assert node.dataplane is Dataplane.IPTABLES
    assert node.traces[0].missing == (way,)
    finding = found["dataplane-jump-missing"]
    assert finding.severity is Severity.CRIT
    assert way in finding.message
    assert words in finding.message
    assert finding.message.count(";") == 0
    assert finding.not_judged == ("whether kube-proxy was just about to mend it: ask again in half a minute",)


def test_a_kube_proxy_that_is_silent_may_not_mend_what_is_missing() -> None:
    """Half a minute changes nothing where nobody writes rules."""
    reading = replace(with_saves(captured(IPTABLES), IPTABLES, drop="-A PREROUTING"), kube_proxy_mode=SILENT)
    _, found = judge(reading)
    assert found["dataplane-jump-missing"].not_judged == (
        "whether kube-proxy, which does not answer, runs and is about to mend it",
    )


@pytest.mark.parametrize(
    ("put", "reason"),
    [
        ("-A PREROUTING -i eth1 -j KUBE-SERVICES", "only under a condition"),
        ("-A PREROUTING -j ACCEPT\n-A PREROUTING -j KUBE-SERVICES", "behind: -A PREROUTING -j ACCEPT"),
        ("-A PREROUTING -m mark --mark 0x1 -j KUBE-SERVICES", "only under a condition"),
        ("-A PREROUTING -j KUBE-SERVICES --unheard-of 1", "only under a condition"),
        ("-A PREROUTING -p tcp -j ACCEPT\n-A PREROUTING -j KUBE-SERVICES", ""),
    ],
)
def test_a_jump_that_not_every_packet_takes(put: str, reason: str) -> None:
    """A condition before it, or an end: that is no way for all packets. What ends some packets only is another's."""
    node, _ = judge(with_saves(captured(IPTABLES), IPTABLES, drop="-A PREROUTING", put=put))
    assert node.traces[0].missing == ((f"nat PREROUTING -> KUBE-SERVICES ({reason})",) if reason else ())


def test_chains_that_nothing_jumps_to_do_nothing() -> None:
    """All chains are there, no jump is: no dataplane is in use, and the finding says what is not there."""
    reading = with_saves(captured(IPTABLES), IPTABLES, drop="-j KUBE-SERVICES")
    node, found = judge(reading)
    assert node.dataplane is Dataplane.NONE
    evidence = found["dataplane-rules-missing"].evidence[0]
    assert "nat PREROUTING -> KUBE-SERVICES, nat OUTPUT -> KUBE-SERVICES" in evidence.text


@pytest.mark.parametrize("family", [6, 4])
def test_the_same_services_count_the_same_in_both_modes(family: int) -> None:
    iptables, nftables = (
        judge(captured(each), family=family)[0].traces[0].services for each in (IPTABLES, NFTABLES)
    )
    assert iptables == nftables
    assert iptables


def test_a_dormant_table_is_not_in_use() -> None:
    """Its chains are not at the hooks."""
    reading = captured(NFTABLES)
    assert isinstance(reading.nft, Known)
    tables = tuple(replace(each, flags=("dormant",)) for each in reading.nft.value.tables)
    node, found = judge(replace(reading, nft=Known(NftRuleset(tables=tables))), family=6)
    assert node.dataplane is Dataplane.NONE
    assert "dataplane-rules-missing" in found


def test_a_flag_that_is_not_told_may_be_dormant() -> None:
    """nft 1.0.6 prints the name of the table in place of a single flag."""
    reading = captured(NFTABLES)
    assert isinstance(reading.nft, Known)
    tables = tuple(replace(each, flags=("kube-proxy",)) for each in reading.nft.value.tables)
    reading = replace(reading, nft=Known(NftRuleset(tables=tables)))
    node, found = judge(reading, family=6)
    assert (node.dataplane, node.confidence, found) == (Dataplane.NFTABLES, Confidence.LIKELY, {})
    assert "if that is dormant" in node.evidence[-1].text
    node, _ = judge(replace(reading, kube_proxy_mode=SILENT))
    assert node.dataplane is Dataplane.UNKNOWN


@pytest.mark.parametrize("hook", ["prerouting", "output", "postrouting"])
def test_a_base_chain_that_is_missing(hook: str) -> None:
    """As with a jump of iptables."""
    reading = captured(NFTABLES)
    assert isinstance(reading.nft, Known)
    tables = tuple(
        replace(each, chains={name: chain for name, chain in each.chains.items() if name != f"nat-{hook}"})
        for each in reading.nft.value.tables
    )
    node, found = judge(replace(reading, nft=Known(NftRuleset(tables=tables))))
    assert (node.dataplane, node.traces[0].missing) == (Dataplane.NFTABLES, (f"hook {hook}",))
    assert found["dataplane-jump-missing"].severity is Severity.CRIT


def test_a_base_chain_without_rules() -> None:
    """It sends packets nowhere."""
    reading = captured(NFTABLES)
    assert isinstance(reading.nft, Known)
    tables = tuple(
        replace(each, chains={**each.chains, "nat-output": replace(each.chains["nat-output"], rules=())})
        for each in reading.nft.value.tables
    )
    node, _ = judge(replace(reading, nft=Known(NftRuleset(tables=tables))), family=6)
    assert node.traces[0].missing == ("hook output",)


EMPTIED = {
    "KUBE-SERVICES": (
        ("nat KUBE-SERVICES -> KUBE-SVC-*", "nat KUBE-SERVICES -> KUBE-NODEPORTS"),
        "sent to Services",
    ),
    "KUBE-MARK-MASQ": (("nat KUBE-MARK-MASQ -> MARK",), "masqueraded"),
    "KUBE-POSTROUTING": (("nat KUBE-POSTROUTING -> MASQUERADE",), "masqueraded"),
}


def without_rules(text: str, *prefixes: str) -> Known[Ruleset]:
    # Counters stand before the rules.
    kept = [
        line for line in text.splitlines(keepends=True) if not line.partition("] ")[2].startswith(prefixes)
    ]
    assert len(kept) < len(text.splitlines())
    return Known(parse_iptables_save("".join(kept)))


@pytest.mark.parametrize("chain", EMPTIED)
@pytest.mark.parametrize("family", [4, 6])
def test_a_chain_of_kube_proxy_that_is_empty(chain: str, family: int) -> None:
    """The jumps from the hooks are there, and lead to nothing: as bad as if they were not."""
    reading = captured(IPTABLES)
    # What refuses Services without endpoints is in the filter table, in a chain of the same name.
    saved = without_rules(
        IPTABLES.text(SAVED[family]), f"-A {chain} ", f"-A {chain}\n", "-A KUBE-EXTERNAL-SERVICES "
    )
    node, found = judge(replace(reading, saves={**reading.saves, (NFT, family): saved}), family=family)
    ways, words = EMPTIED[chain]
    assert node.dataplane is Dataplane.IPTABLES
    assert node.traces[0].missing == ways
    assert found["dataplane-jump-missing"].severity is Severity.CRIT
    assert words in found["dataplane-jump-missing"].message


def test_no_service_needs_no_rule() -> None:
    """A family without Services has empty chains by right; with Services that have no endpoints, they refuse."""
    reading = captured(IPTABLES)
    text = IPTABLES.text(SAVED[6])
    bare_chains = without_rules(
        text,
        "-A KUBE-SERVICES ",
        "-A KUBE-NODEPORTS ",
        "-A KUBE-EXTERNAL-SERVICES ",
        "-A KUBE-SVC",
        "-A KUBE-SEP",
    )
    emptied = replace(reading, saves={**reading.saves, (NFT, 6): bare_chains})
    _, found = judge(emptied, replace(HINTS, services=Known({4: 3})), family=6)
    assert found == {}
    _, found = judge(emptied, family=6)
    assert [*found] == ["dataplane-jump-missing"]
    lines = text.splitlines(keepends=True)
    refusing = "".join(
        line
        for line in lines
        if not line.startswith("-A KUBE-SERVICES ") or "-j REJECT" in line or "NODEPORTS" in line
    )
    assert "-j REJECT" in refusing
    saves = {**reading.saves, (NFT, 6): Known(parse_iptables_save(refusing))}
    _, found = judge(replace(reading, saves=saves), family=6)
    assert found == {}


def test_node_ports_that_nothing_leads_to() -> None:
    """The last rule of KUBE-SERVICES sends what is for the node itself to them."""
    node, found = judge(with_saves(captured(IPTABLES), IPTABLES, drop="-j KUBE-NODEPORTS"), family=6)
    assert node.traces[0].missing == ("nat KUBE-SERVICES -> KUBE-NODEPORTS",)
    assert "what is sent to node ports is not translated" in found["dataplane-jump-missing"].message


@pytest.mark.parametrize(
    ("chain", "missing", "id_"),
    [
        (
            "services",
            (
                "hook prerouting (chain nat-prerouting leads to no map)",
                "hook output (chain nat-output leads to no map)",
            ),
            "dataplane-rules-missing",
        ),
        (
            "masquerading",
            ("hook postrouting (chain nat-postrouting leads to no masquerade)",),
            "dataplane-jump-missing",
        ),
    ],
)
@pytest.mark.parametrize("family", [4, 6])
def test_a_chain_of_nft_that_is_empty(chain: str, missing: tuple[str, ...], id_: str, family: int) -> None:
    reading = captured(NFTABLES)
    assert isinstance(reading.nft, Known)
    tables = tuple(
        replace(each, chains={**each.chains, chain: replace(each.chains[chain], rules=())})
        for each in reading.nft.value.tables
    )
    node, found = judge(replace(reading, nft=Known(NftRuleset(tables=tables))), family=family)
    assert (*node.traces, *node.leftovers)[0].missing == missing
    assert found[id_].severity is Severity.CRIT


@pytest.mark.parametrize("family", [4, 6])
def test_where_nothing_was_found_it_is_said_what_was_looked_for(family: int) -> None:
    _, found = judge(replace(bare(), kube_proxy_mode=Known("nftables")), family=family)
    [piece] = found["dataplane-rules-missing"].evidence
    assert piece.text == f"there is no table {'ip' if family == 4 else 'ip6'} kube-proxy"


def test_leftovers_that_packets_meet() -> None:
    """iptables rules below an nftables kube-proxy: high; and the other way round, with what removes them."""
    node, found = judge(with_saves(captured(NFTABLES), IPTABLES), family=6)
    assert (node.dataplane, node.confidence) == (Dataplane.NFTABLES, Confidence.CERTAIN)
    assert [trace.place for trace in node.leftovers] == ["iptables-nft"]
    assert found["dataplane-leftover-rules"].severity is Severity.HIGH
    node, found = judge(with_saves(captured(NFTABLES, "iptables"), IPTABLES), family=6)
    assert [trace.place for trace in node.leftovers] == ["nft table ip6 kube-proxy"]
    assert found["dataplane-leftover-rules"].commands == ("nft delete table ip6 kube-proxy",)


def test_leftovers_that_nothing_meets() -> None:
    """Chains without a jump, sets, the link: worth knowing, no more."""
    reading = with_saves(captured(NFTABLES), IPTABLES, drop="-j KUBE-SERVICES")
    _, found = judge(reading)
    assert found["dataplane-leftover-rules"].severity is Severity.INFO
    reading = replace(captured(NFTABLES), links=Known((link("kube-ipvs0"),)))
    node, found = judge(reading)
    assert [trace.place for trace in node.leftovers] == ["link kube-ipvs0"]
    assert found["dataplane-leftover-rules"].severity is Severity.INFO
    assert found["dataplane-leftover-rules"].commands == ("ip link delete kube-ipvs0",)
    node, _ = judge(replace(captured(NFTABLES), ipsets=Known(("KUBE-6-NODE-PORT-TCP",))))
    assert node.leftovers == ()
    node, _ = judge(replace(captured(NFTABLES), ipsets=Known(("KUBE-6-NODE-PORT-TCP",))), family=6)
    assert [trace.place for trace in node.leftovers] == ["ipset"]


def test_leftovers_without_services_translate_nothing() -> None:
    """Packets come there, and go on as they were: worth knowing."""
    text = (
        "# Generated by iptables-save v1.8.9 (nf_tables)\n*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n"
        "-A PREROUTING -j KUBE-SERVICES\nCOMMIT\n# Completed\n"
    )
    saves = {**bare().saves, (NFT, 6): Known(parse_iptables_save(text))}
    node, found = judge(replace(captured(NFTABLES), saves=saves), family=6)
    assert [trace.is_reached for trace in node.leftovers] == [True]
    assert found["dataplane-leftover-rules"].severity is Severity.INFO


def test_chains_of_the_kubelet_are_no_leftovers() -> None:
    """It makes some in every mode; before 1.28 also those for masquerading."""
    text = (
        "# Generated by iptables-save v1.8.9 (nf_tables)\n*nat\n:POSTROUTING ACCEPT [0:0]\n"
        ":KUBE-KUBELET-CANARY - [0:0]\n:KUBE-MARK-DROP - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n:KUBE-POSTROUTING - [0:0]\n"
        "-A POSTROUTING -j KUBE-POSTROUTING\nCOMMIT\n# Completed\n"
    )
    saves = {(backend, family): Known(parse_iptables_save(text)) for backend in (NFT,) for family in (4, 6)}
    node, found = judge(replace(captured(NFTABLES), saves={**bare().saves, **saves}))
    assert (node.leftovers, found) == ((), {})


def test_rules_in_both_backends() -> None:
    """The kernel evaluates both: high. The kubelet's mark tells which of them is Kubernetes'."""
    legacy = Capture(DATAPLANES / "1.28.15-iptables")
    node, found = judge(with_saves(captured(IPTABLES), legacy, LEGACY), family=6)
    assert node.backend is NFT
    assert found["dataplane-two-backends"].severity is Severity.HIGH
    assert "iptables-legacy" in found["dataplane-two-backends"].message
    assert "dataplane-leftover-rules" not in found
    hint = parse_iptables_save(
        "# Generated by iptables-save v1.8.9\n*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n# Completed\n"
    )
    reading = with_saves(captured(IPTABLES), legacy, LEGACY)
    saves = dict(reading.saves)
    nft, old = saves[NFT, 6], saves[LEGACY, 6]
    assert isinstance(nft, Known)
    assert isinstance(old, Known)
    without = {name: each for name, each in nft.value.tables.items() if name != "mangle"}
    saves[NFT, 6] = Known(replace(nft.value, tables=without))
    saves[LEGACY, 6] = Known(replace(old.value, tables={**old.value.tables, **hint.tables}))
    node, found = judge(replace(reading, saves=saves), family=6)
    assert node.backend is LEGACY
    assert "iptables-nft has" in found["dataplane-two-backends"].message


def test_the_backend_that_packets_meet_is_in_use() -> None:
    """Whichever has the kubelet's mark."""
    reading = with_saves(captured(IPTABLES), Capture(DATAPLANES / "1.28.15-iptables"), LEGACY)
    damaged = with_saves(reading, IPTABLES, drop="-j KUBE-SERVICES")
    node, found = judge(damaged, family=6)
    assert (node.backend, list(found)) == (LEGACY, ["dataplane-leftover-rules"])
    assert found["dataplane-leftover-rules"].severity is Severity.INFO


def test_another_mode_than_kube_proxy_says() -> None:
    """It says nftables, its table is gone, and old iptables rules take the packets."""
    node, found = judge(captured(IPTABLES, "nftables"))
    assert (node.dataplane, node.confidence) == (Dataplane.IPTABLES, Confidence.LIKELY)
    assert found["dataplane-mode-mismatch"].severity is Severity.HIGH


def test_several_and_nobody_tells() -> None:
    """Two sets of rules that packets meet, and no word of kube-proxy: not guessed."""
    node, found = judge(replace(with_saves(captured(NFTABLES), IPTABLES), kube_proxy_mode=SILENT))
    assert (node.dataplane, node.confidence) == (Dataplane.UNKNOWN, Confidence.UNKNOWN)
    assert "iptables-nft, nft table ip kube-proxy" in found["dataplane-several"].message


@pytest.mark.parametrize(
    ("capture", "change"),
    [
        (NFTABLES, {"nft": MISSING}),
        (IPVS, {"virtual_servers": DENIED}),
        (IPTABLES, {"saves": {**bare().saves, (NFT, 4): MISSING}}),
    ],
    ids=["nft", "ipvs", "iptables"],
)
def test_what_could_not_be_read_is_not_absent(capture: Capture, change: dict[str, Any]) -> None:
    """The mode that kube-proxy tells is likely then; without its word nothing is known. A gap says what is missing."""
    reading = replace(captured(capture), **change)
    node, found = judge(reading)
    assert (node.dataplane.value, node.confidence, found) == (capture.mode.value, Confidence.LIKELY, {})
    assert len(list_gaps(reading, HINTS, [node])) == 1
    silent = replace(reading, kube_proxy_mode=SILENT)
    node, found = judge(silent)
    assert (node.dataplane, found) == (Dataplane.UNKNOWN, {})
    assert len(list_gaps(silent, HINTS, [node])) == 2


def test_what_may_be_elsewhere_is_not_missing() -> None:
    """Chains without jumps in one backend, and the other could not be read: that is where the rules may be."""
    reading = with_saves(captured(IPTABLES), IPTABLES, drop="-j KUBE-SERVICES")
    node, found = judge(replace(reading, saves={**reading.saves, (LEGACY, 6): MISSING}), family=6)
    assert (node.dataplane, node.confidence, found) == (Dataplane.IPTABLES, Confidence.LIKELY, {})
    assert node.traces[0].is_reached is False


def test_an_unreadable_nat_table_is_not_empty() -> None:
    """iptables-nft-save says so where native rules are in it."""
    text = "# Table `nat' is incompatible, use 'nft' tool.\n"
    saves = {**bare().saves, (NFT, 4): Known(parse_iptables_save(text))}
    node, found = judge(replace(bare(), saves=saves))
    assert (node.dataplane, found) == (Dataplane.UNKNOWN, {})
    node, _ = judge(replace(bare(), saves=saves, kube_proxy_mode=Known("iptables")))
    assert (node.dataplane, node.confidence) == (Dataplane.IPTABLES, Confidence.LIKELY)


def agent(name: str, namespace: str = "kube-system") -> DataplaneHints:
    return replace(HINTS, pods=Known((AgentPod(agent=name, namespace=namespace, name=f"{name}-x"),)))


@pytest.mark.parametrize(
    ("links", "pod", "dataplane"),
    [
        (("bpfin.cali", "bpfout.cali"), "calico-node", Dataplane.CALICO_EBPF),
        (("ovn-k8s-mp0", "br-int"), "ovnkube-node", Dataplane.OVN_KUBERNETES),
        (("cilium_host", "cilium_net"), "anetd", Dataplane.GKE_DATAPLANE_V2),
    ],
)
def test_what_takes_packets_before_is_named(links: tuple[str, ...], pod: str, dataplane: Dataplane) -> None:
    """Honestly, as not readable; kube-proxy's rules are leftovers, whether it runs or not."""
    reading = replace(captured(IPTABLES), links=Known(tuple(link(each) for each in links)))
    node, found = judge(reading, agent(pod), family=6)
    assert (node.dataplane, node.is_readable, node.confidence) == (dataplane, False, Confidence.CERTAIN)
    assert found["dataplane-not-readable"].severity is Severity.INFO
    assert found["dataplane-not-readable"].commands
    assert found["dataplane-leftover-rules"].severity is Severity.HIGH
    assert links[0] in node.evidence[-2].text or any(links[0] in each.text for each in node.evidence)


@pytest.mark.parametrize(
    ("setting", "dataplane", "confidence"),
    [
        ("true", Dataplane.CILIUM, Confidence.CERTAIN),
        ("strict", Dataplane.CILIUM, Confidence.CERTAIN),
        ("false", Dataplane.NFTABLES, Confidence.CERTAIN),
        ("disabled", Dataplane.NFTABLES, Confidence.CERTAIN),
        ("partial", Dataplane.NFTABLES, Confidence.LIKELY),
        (None, Dataplane.NFTABLES, Confidence.LIKELY),
    ],
)
def test_cilium_tells_whether_it_replaces_kube_proxy(
    setting: str | None, dataplane: Dataplane, confidence: Confidence
) -> None:
    """By its setting; where that leaves it open, kube-proxy's rules are only likely."""
    reading = replace(captured(NFTABLES), links=Known((link("cilium_host"), link("cilium_net"))))
    node, _ = judge(reading, replace(agent("cilium"), kube_proxy_replacement=Known(setting)), family=6)
    assert (node.dataplane, node.confidence) == (dataplane, confidence)


def test_a_cni_beside_kube_proxy_is_no_leftover() -> None:
    """Cilium without replacement carries pods' packets; the links of one that is gone are left over."""
    reading = replace(captured(IPTABLES), links=Known((link("cilium_host"),)))
    node, found = judge(reading, replace(agent("cilium"), kube_proxy_replacement=Known("false")))
    assert (node.leftovers, found) == ((), {})
    node, found = judge(reading)
    assert [trace.dataplane for trace in node.leftovers] == [Dataplane.CILIUM]
    assert found["dataplane-leftover-rules"].severity is Severity.INFO
    assert "CNI" in found["dataplane-leftover-rules"].advice


def test_links_of_an_agent_that_is_gone() -> None:
    """No pod of Calico is on the node: what its links say is over. Where the API would not tell, the links count."""
    reading = replace(captured(IPTABLES), links=Known((link("bpfin.cali"), link("bpfout.cali"))))
    node, found = judge(reading, family=6)
    assert (node.dataplane, list(found)) == (Dataplane.IPTABLES, ["dataplane-leftover-rules"])
    node, _ = judge(reading, replace(HINTS, pods=DENIED), family=6)
    assert node.dataplane is Dataplane.CALICO_EBPF


def test_an_open_agent_without_kube_proxy() -> None:
    """Antrea's links, and nothing of kube-proxy: likely that it does it all. What the API hides is a gap."""
    reading = replace(bare(), links=Known((link("antrea-gw0"),)))
    node, found = judge(reading, agent("antrea-agent"))
    assert (node.dataplane, node.confidence) == (Dataplane.ANTREA, Confidence.LIKELY)
    assert "(likely)" in found["dataplane-not-readable"].message
    assert list_gaps(reading, agent("antrea-agent"), [node]) == ()
    hidden = replace(HINTS, pods=DENIED, kube_proxy_replacement=DENIED)
    cilium = replace(bare(), links=Known((link("cilium_host"),)))
    node, _ = judge(cilium, hidden)
    assert (node.dataplane, node.confidence) == (Dataplane.CILIUM, Confidence.LIKELY)
    facts = [gap.fact for gap in list_gaps(cilium, hidden, [node])]
    assert facts == ["network agents on the node", "Cilium's kube-proxy-replacement"]


def test_virtual_servers_without_the_link_are_anothers() -> None:
    """A load balancer of its own on the node: not Kubernetes', but it meets the same packets."""
    reading = replace(captured(IPTABLES), virtual_servers=Known(replace(SERVERS, marks=2)))
    node, found = judge(reading, family=6)
    assert (node.dataplane, node.leftovers, found) == (Dataplane.IPTABLES, (), {})
    assert [(each.place, each.rules) for each in node.others] == [("IPVS", 7)]


def test_virtual_servers_whose_addresses_are_gone() -> None:
    """Without them on kube-ipvs0 the node does not take the packets for its own."""
    reading = replace(captured(IPVS), links=Known((link("kube-ipvs0", "10.96.0.1"),)))
    assert judge(reading)[0].dataplane is Dataplane.IPVS
    node, found = judge(reading, family=6)
    assert node.dataplane is Dataplane.NONE
    assert "dataplane-rules-missing" in found


def test_kube_router_is_ipvs() -> None:
    """It has another link."""
    reading = replace(
        bare(), links=Known((link("kube-dummy-if", "fd00::a"),)), virtual_servers=Known(SERVERS)
    )
    node, _ = judge(reading, family=6)
    assert (node.dataplane, node.confidence) == (Dataplane.IPVS, Confidence.LIKELY)


def chain(family: str, table: str, hook: str, policy: str, *, rules: int = 1) -> list[dict[str, Any]]:
    base = {"family": family, "table": table}
    place = {"type": "filter", "hook": hook, "prio": 0, "policy": policy, "handle": 1}
    rule = {"rule": {**base, "chain": hook, "handle": 2, "expr": [{"accept": None}]}}
    return [
        {"table": {"family": family, "name": table, "handle": 1}},
        {"chain": {**base, "name": hook, **place}},
        *([rule] * rules),
    ]


def nft(*parts: dict[str, Any]) -> Known[NftRuleset]:
    meta = {"metainfo": {"version": "1.0.6", "release_name": "x", "json_schema_version": 1}}
    return Known(parse_nft_json(json.dumps({"nftables": [meta, *parts]})))


def test_rules_of_others_that_meet_the_same_packets() -> None:
    """Base chains with rules or a policy of drop, of this family or of both; not kube-proxy's own jumps."""
    tables = nft(
        *chain("inet", "firewalld", "forward", "drop"),
        *chain("ip", "mine", "prerouting", "accept"),
        *chain("ip6", "mine", "input", "drop", rules=0),
        *chain("ip6", "idle", "output", "accept", rules=0),
    )
    assert isinstance(tables, Known)
    asleep = replace(tables.value.tables[0], name="asleep", flags=("dormant",))
    perhaps = replace(tables.value.tables[2], name="perhaps", flags=("perhaps",))
    tables = Known(NftRuleset(tables=(*tables.value.tables, asleep, perhaps)))
    reading = replace(captured(IPTABLES), nft=tables)
    node, found = judge(reading, family=6)
    assert [(each.place, each.hook, each.policy, each.rules) for each in node.others] == [
        ("nft table inet firewalld", "forward", "drop", 1),
        ("nft table ip6 mine", "input", "drop", 0),
        ("nft table ip6 perhaps (dormant or not: this nft does not print its flag)", "input", "drop", 0),
    ]
    assert found["dataplane-other-policy-drop"].severity is Severity.INFO
    assert len(found["dataplane-other-policy-drop"].evidence) == 3
    node, _ = judge(reading)
    assert [each.place for each in node.others] == ["nft table inet firewalld", "nft table ip mine"]


def test_rules_of_others_in_iptables() -> None:
    """What is no jump to a chain of Kubernetes, and a policy of DROP, of either backend."""
    text = (
        "# Generated by iptables-save v1.8.9\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:DOCKER - [0:0]\n"
        "-A INPUT -j KUBE-FIREWALL\n-A INPUT -j DOCKER\nCOMMIT\n# Completed\n"
    )
    saves = {**captured(NFTABLES).saves, (LEGACY, 4): Known(parse_iptables_save(text))}
    node, found = judge(replace(captured(NFTABLES), saves=saves))
    assert [(each.place, each.chain, each.policy, each.rules) for each in node.others] == [
        ("iptables-legacy filter", "INPUT", "accept", 1),
        ("iptables-legacy filter", "FORWARD", "drop", 0),
    ]
    assert list(found) == ["dataplane-other-policy-drop"]


def test_a_whole_reading_has_no_gap() -> None:
    """And each fact that is missing is one."""
    reading = captured(IPTABLES)
    node, _ = judge(reading)
    assert list_gaps(reading, HINTS, [node]) == ()
    blind = DataplaneReading(
        node="node-a",
        kube_proxy_mode=DENIED,
        links=DENIED,
        saves=dict.fromkeys(reading.saves, DENIED),
        nft=DENIED,
        virtual_servers=DENIED,
        ipsets=DENIED,
    )
    hints = DataplaneHints(pods=DENIED, kube_proxy_replacement=DENIED, services=DENIED)
    node, found = judge(blind, hints)
    assert (node.dataplane, node.services, found) == (Dataplane.UNKNOWN, None, {})
    assert len(list_gaps(blind, hints, [node])) == 11

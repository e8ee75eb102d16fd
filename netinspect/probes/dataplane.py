"""What to ask a node about the rules of its Service dataplane: iptables of both backends, nftables, IPVS, ipsets.

None of these probes changes a node. What would load a kernel module stands behind a script that looks first:

- `iptables-legacy-save` never gets `-t`, which would create the table; without it only tables are read that
  /proc/net/ip_tables_names lists (iptables-save.c).
- `nft` and `iptables-nft-save` speak nf_tables, `ipset` ip_set and `ipvsadm` ip_vs: loaded.sh. Where the kernel has no
  such part, the answer is the empty one, with exit code 0: nothing is there.
- `iptables-nft-save` also asks nft_compat for single matches: iptables_nft.sh.
"""

from __future__ import annotations

from netinspect.probes.catalog import LINKS
from netinspect.probes.plan import Plan, Probe, read_script

IPTABLES_LEGACY, IP6TABLES_LEGACY = "iptables-legacy-save", "ip6tables-legacy-save"
IPTABLES_NFT, IP6TABLES_NFT = "iptables-nft-save", "ip6tables-nft-save"
NFT_TABLES, NFT_TEXT = "nft-tables", "nft-text"
IPVS_LIST, IPVS_STATS, IPVS_RATE = "ipvs-list", "ipvs-stats", "ipvs-rate"
IPSET_SAVE, IPSET_NAMES = "ipset-save", "ipset-names"

_LONG_S, _LONGEST_S = 90, 300
"""A large cluster's rules: iptables-nft-save 1.8.9 takes 11 s of CPU time for 150,000 lines, four times as long for
twice as many, and a busy node gives it less than a CPU. The longer time is for commands that ask for nothing else."""

_NO_TABLES = '{"nftables": [{"metainfo": {"version": "", "release_name": "", "json_schema_version": 1}}]}'
"""As nft prints it where there is no table."""

_PER_SERVICE = "KUBE-(SVC|SVL|SEP|EXT|FW|XLB)-"
_OMITTED = f"^(:|-A ){_PER_SERVICE}"
"""kube-proxy's chains of single Services and endpoints, and the rules in them."""

KUBE_PROXY_MODE = Probe(
    "kube-proxy-mode",
    (
        "sh",
        "-c",
        "curl -gsSf -m 3 http://127.0.0.1:10249/proxyMode || curl -gsSf -m 3 http://[::1]:10249/proxyMode",
    ),
)
"""The mode that kube-proxy runs in, as it tells it on loopback: `iptables`, `ipvs` or `nftables`."""

IPVS_TABLE = Probe("ipvs-table", ("sh", "-c", "grep -s '' /proc/net/ip_vs; [ $? -le 2 ]"))
"""The virtual servers of both families; nothing at all where the kernel has no IPVS."""


def build_iptables_probes() -> tuple[Probe, ...]:
    """Ask for all rules of both backends and both families, with counters: each what `iptables-save -c` prints.

    The two backends are two sets of rules, and the kernel evaluates both.
    """
    return tuple(Probe(name, _save_argv(name, "-c"), _LONGEST_S) for name in _SAVES)


def build_nft_tables_probe() -> Probe:
    """Ask for all tables of nf_tables but those of iptables-nft, as nft's JSON, counters and elements included.

    What iptables-nft wrote, iptables-nft-save prints, in seconds where nft takes minutes and gigabytes.
    """
    return _nft_tables_probe()


def build_nft_text_probe() -> Probe:
    """Ask for all that nf_tables has, as nft's text. It is for people: 1.0.6 leaves parts of translations out of it."""
    return Probe(NFT_TEXT, _guarded_nft("nft", "list", "ruleset", empty=""), _LONG_S)


def build_ipvs_probes() -> tuple[Probe, ...]:
    """Ask for IPVS' virtual servers: `ipvsadm -Ln`, and this with `--stats` and with `--rate`.

    Where the kernel has no IPVS the output is empty, without the heading that `-Ln` prints otherwise.
    """
    commands = (
        (IPVS_LIST, ("-Ln",)),
        (IPVS_STATS, ("-Ln", "--stats", "--exact")),
        (IPVS_RATE, ("-Ln", "--rate", "--exact")),
    )
    return tuple(
        Probe(name, _guarded("ip_vs", "register_ip_vs_scheduler", "", "ipvsadm", *flags), _LONG_S)
        for name, flags in commands
    )


def build_ipset_probe() -> Probe:
    """Ask for all sets of ipset with their members."""
    return Probe(IPSET_SAVE, _guarded_ipset("ipset", "save"), _LONG_S)


def build_dataplane_plan() -> Plan:
    """Ask for all that tells which dataplane a node has.

    Rules of single Services and endpoints stay on the node, and elements of sets: they are most of it, and how many
    there are says no more than that there are some.
    """
    return Plan(
        (
            KUBE_PROXY_MODE,
            LINKS,
            *(Probe(name, _narrowed(_save_argv(name)), _LONG_S) for name in _SAVES),
            _nft_tables_probe("-s", "-t"),
            IPVS_TABLE,
            Probe(IPSET_NAMES, _guarded_ipset("ipset", "list", "-n")),
        )
    )


_SAVES = {IPTABLES_LEGACY: "", IP6TABLES_LEGACY: "", IPTABLES_NFT: "ip", IP6TABLES_NFT: "ip6"}
"""By tool the nft family that it reads; none of the legacy backend."""


def _save_argv(name: str, *flags: str) -> tuple[str, ...]:
    family = _SAVES[name]
    if not family:
        tables = "/proc/net/ip_tables_names" if name == IPTABLES_LEGACY else "/proc/net/ip6_tables_names"
        return ("sh", "-c", read_script("iptables_legacy.sh"), "netinspect", tables, name, *flags)
    return _guarded_nft(
        "sh", "-c", read_script("iptables_nft.sh"), "netinspect", family, name, *flags, empty=""
    )


def _nft_tables_probe(*flags: str) -> Probe:
    script = read_script("nft_tables.sh")
    return Probe(NFT_TABLES, _guarded_nft("sh", "-c", script, "netinspect", *flags), _LONG_S)


def _narrowed(argv: tuple[str, ...]) -> tuple[str, ...]:
    return ("sh", "-c", read_script("omit.sh"), "netinspect", _OMITTED, *argv)


def _guarded_nft(*argv: str, empty: str = _NO_TABLES) -> tuple[str, ...]:
    return _guarded("nf_tables", "nft_register_expr", empty, *argv)


def _guarded_ipset(*argv: str) -> tuple[str, ...]:
    return _guarded("ip_set", "ip_set_type_register", "", *argv)


def _guarded(module: str, symbol: str, empty: str, *argv: str) -> tuple[str, ...]:
    return ("sh", "-c", read_script("loaded.sh"), "netinspect", module, symbol, empty, *argv)

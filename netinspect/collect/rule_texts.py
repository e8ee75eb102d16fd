"""What several commands make of texts about rules."""

from __future__ import annotations

from netinspect.errors import ParseError
from netinspect.models.iptables import Ruleset
from netinspect.models.nft import NftRuleset, NftTable
from netinspect.models.service_map import Mode
from netinspect.parse.iptables_save import parse_iptables_save
from netinspect.parse.nft_json import parse_nft_json


def parse_mode(stdout: bytes) -> str:
    """Read what kube-proxy answers at /proxyMode.

    Raises:
        ParseError: it is none of its modes: another program answers there.
    """
    mode = stdout.decode("utf-8", "backslashreplace").strip()
    if mode not in [each.value for each in Mode]:
        raise ParseError("no mode of kube-proxy", source="/proxyMode", line=mode)
    return mode


def parse_nft_lines(stdout: bytes) -> NftRuleset:
    """Read nft's JSON of several tables, a line a table, as one ruleset.

    Raises:
        ParseError: a line is no such JSON.
    """
    tables: list[NftTable] = []
    version = ""
    for line in stdout.splitlines():
        ruleset = parse_nft_json(line)
        tables += ruleset.tables
        version = ruleset.version or version
    return NftRuleset(tables=tuple(tables), version=version)


def parse_save(stdout: bytes) -> Ruleset:
    """Read what iptables-save and its like print.

    Raises:
        ParseError: it is not in their format, or not whole.
    """
    # Comments and names of links may hold any byte. A backslash would be read as part of the tool's own quoting.
    return parse_iptables_save(stdout.decode("utf-8", "replace"))

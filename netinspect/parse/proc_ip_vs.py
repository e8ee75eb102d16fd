"""/proc/net/ip_vs -> how many virtual servers there are.

Source of the format: Linux, net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_info_seq_show:

    IP Virtual Server version 1.2.1 (size=4096)
    Prot LocalAddress:Port Scheduler Flags
      -> RemoteAddress:Port Forward Weight ActiveConn InActConn
    TCP  0A60000A:0035 rr
      -> 0AF40105:0035      Masq    1      0          0
    TCP  [fd00:0010:0096:0000:0000:0000:0000:000a]:0035 rr
    FWM  00000001 wlc
"""

from __future__ import annotations

import re

from netinspect.errors import ParseError
from netinspect.models.dataplane import VirtualServerCounts
from netinspect.parse.tool_output import output_lines

_SOURCE = "/proc/net/ip_vs"
_HEADING = "IP Virtual Server version "
_IPV4 = re.compile(r"(TCP|UDP|SCTP) +[0-9A-F]{8}:[0-9A-F]{4} .*")
_IPV6 = re.compile(r"(TCP|UDP|SCTP) +\[[0-9a-f:.]+\]:[0-9A-F]{4} .*")
_MARK = re.compile(r"FWM +[0-9A-F]{8} .*")


def parse_proc_ip_vs(stdout: bytes) -> VirtualServerCounts:
    """Count the virtual servers by family. Nothing at all means that there is no such file: no IPVS.

    Raises:
        ParseError: a line of another form.
    """
    lines = output_lines(stdout)
    if not lines:
        return VirtualServerCounts()
    if not lines[0].startswith(_HEADING):
        raise ParseError("expected the heading", source=_SOURCE, line=lines[0])
    ipv4 = ipv6 = marks = 0
    for line in lines[1:]:
        if line.startswith(("Prot ", "  -> ")):
            continue
        is_4, is_6, is_mark = (bool(each.fullmatch(line)) for each in (_IPV4, _IPV6, _MARK))
        if not (is_4 or is_6 or is_mark):
            raise ParseError("expected a virtual server", source=_SOURCE, line=line)
        ipv4, ipv6, marks = ipv4 + is_4, ipv6 + is_6, marks + is_mark
    return VirtualServerCounts(ipv4=ipv4, ipv6=ipv6, marks=marks)

"""What conntrack prints of a flow, written once more after libnetfilter_conntrack's src/conntrack/snprintf_default.c.

Proven on the captures (every line of them is printed again as it was read), it makes lines that no capture has.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from netinspect.models.address import Address
from netinspect.models.conntrack import Flow, FlowEvent, FlowEventType, FlowTuple, Offload

NUMBERS = {"ipv4": 2, "ipv6": 10}
STATES = ("NONE", "SYN_SENT", "ESTABLISHED", "TIME_WAIT", "SYN_SENT2", "COOKIE_WAIT", "SHUTDOWN_ACK_SENT")
WITH_PORTS = {"tcp": 6, "udp": 17, "dccp": 33, "sctp": 132, "udplite": 136}
ICMP = {"ipv4": ("icmp", 1), "ipv6": ("icmpv6", 58)}

u8, u16, u32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
u64 = st.integers(0, 2**64 - 1)
words = st.text("abcdefghijklmnopqrstuvwxyz0123456789_:-.", min_size=1, max_size=20)
addresses: dict[str, st.SearchStrategy[Address]] = {
    "ipv4": st.integers(0, 2**32 - 1).map(IPv4Address),
    "ipv6": st.sampled_from(("fd00::5", "fd00::50", "::1", "::ffff:a00:1", "1::")).map(IPv6Address)
    | st.integers(0, 2**128 - 1).map(IPv6Address),
}
maybe_u16, maybe_u32, maybe_words = (st.none() | u16), (st.none() | u32), (st.none() | words)
# Drawing a flow takes some milliseconds, and many times that on a busy machine.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def print_flow(flow: Flow, *, extended: bool = True) -> str:
    """Print a flow as `conntrack -L -o id,ktimestamp,labels` does, and its family if `extended`."""
    parts = [f"{flow.family:<8} {NUMBERS[flow.family]}"] if extended else []
    parts.append(f"{flow.protocol:<8} {flow.protocol_number}")
    parts += _present("{}", flow.timeout_s) + _present("{}", flow.state)
    parts += _print_tuple(flow.original, "zone-orig")
    parts += ["[UNREPLIED]"] if flow.unreplied else []
    parts += _print_tuple(flow.reply, "zone-reply")
    parts += [f"[{flow.offload or 'ASSURED'}]"] if flow.offload or flow.assured else []
    parts += _present("mark={}", flow.mark) + _present("secmark={}", flow.secmark)
    parts += _present("secctx={}", flow.secctx) + _present("zone={}", flow.zone or None)
    if flow.delta_time_s is not None:
        parts.append(f"delta-time={flow.delta_time_s % 2**64}")
    parts += _present("[start={}]", flow.start) + _present("[stop={}]", flow.stop)
    parts += _present("helper={}", flow.helper) + _present("use={}", flow.use) + _present("id={}", flow.id)
    parts += [f"labels={','.join(flow.labels)}"] if flow.labels else []
    return " ".join((*parts, *flow.remainder))


def print_event(event: FlowEvent, *, extended: bool = True) -> str:
    """Print an event as `conntrack -E -o id,timestamp` does, and its family if `extended`."""
    line = f"{f'[{event.type}]':>9} {print_flow(event.flow, extended=extended)}"
    if event.time is not None:
        line = f"[{int(event.time)}.{round(event.time % 1 * 1_000_000):06d}]\t{line}"
    if event.portid is not None:
        line += f" [USERSPACE] portid={event.portid}"
    return line if event.progname is None else f"{line} progname={event.progname}"


def _print_tuple(each: FlowTuple, zone: str) -> list[str]:
    parts = [f"src={each.src}", f"dst={each.dst}"]
    parts += _present("sport={}", each.sport) + _present("dport={}", each.dport)
    parts += _present("type={}", each.icmp_type) + _present("code={}", each.icmp_code)
    parts += _present("id={}", each.icmp_id)
    parts += _present("srckey=0x{:x}", each.src_key) + _present("dstkey=0x{:x}", each.dst_key)
    parts += _present(f"{zone}={{}}", each.zone)
    return parts + _present("packets={}", each.packets) + _present("bytes={}", each.bytes)


def _present(form: str, value: object) -> list[str]:
    return [] if value is None else [form.format(value)]


@st.composite
def flow_tuples(draw: st.DrawFn, family: str, protocol: str, counted: bool) -> FlowTuple:
    ports, keys, icmp = protocol in WITH_PORTS, protocol == "gre", protocol.startswith("icmp")
    return FlowTuple(
        src=draw(addresses[family]),
        dst=draw(addresses[family]),
        sport=draw(u16) if ports else None,
        dport=draw(u16) if ports else None,
        icmp_type=draw(u8) if icmp else None,
        icmp_code=draw(u8) if icmp else None,
        icmp_id=draw(u16) if icmp else None,
        src_key=draw(u16) if keys else None,
        dst_key=draw(u16) if keys else None,
        zone=draw(maybe_u16),
        packets=draw(u64) if counted else None,
        bytes=draw(u64) if counted else None,
    )


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    """Any flow that the tool could print; `raw` is empty."""
    family = draw(st.sampled_from(("ipv6", "ipv4")))
    protocols = [*WITH_PORTS.items(), ("gre", 47), ICMP[family], ("unknown", draw(u8))]
    protocol, number = draw(st.sampled_from(protocols))
    counted = draw(st.booleans())
    offload = draw(st.none() | st.sampled_from(Offload))
    times = st.none() | st.just("Wed Nov 25 17:09:18 2026")
    return Flow(
        family=family,
        protocol=protocol,
        protocol_number=number,
        timeout_s=draw(maybe_u32),
        state=draw(st.none() | st.sampled_from(STATES)),
        original=draw(flow_tuples(family, protocol, counted)),
        reply=draw(flow_tuples(family, protocol, counted)),
        unreplied=draw(st.booleans()),
        assured=draw(st.booleans()) and offload is None,
        offload=offload,
        mark=draw(maybe_u32),
        zone=draw(st.just(0) | u16),
        secmark=draw(maybe_u32),
        secctx=draw(maybe_words),
        delta_time_s=draw(st.none() | st.integers(-(2**63), 2**63 - 1)),
        start=draw(times),
        stop=draw(times),
        helper=draw(maybe_words),
        use=draw(maybe_u32),
        id=draw(maybe_u32),
        labels=tuple(draw(st.lists(words, max_size=3))),
    )


@st.composite
def events(draw: st.DrawFn) -> FlowEvent:
    """Any event that the tool could print."""
    microseconds = draw(st.none() | st.integers(0, 2**40))
    portid = draw(maybe_u32)
    return FlowEvent(
        type=draw(st.sampled_from(FlowEventType)),
        time=None if microseconds is None else microseconds / 1_000_000,
        flow=draw(flows()),
        portid=portid,
        progname=None if portid is None else draw(maybe_words),
    )


def sample(family: str, place: int) -> Flow:
    """One flow of a Service, of at most 65536 that differ."""
    client, backend = f"10.244.{place >> 8}.{place & 255}", "10.244.2.9"
    service = "10.96.0.20"
    if family == "ipv6":
        client, backend, service = f"fd00:10:244::{place:x}", "fd00:10:244:2::9", "fd00:10:96::20"
    make = IPv4Address if family == "ipv4" else IPv6Address
    port = 1024 + place % 60000
    return Flow(
        family=family,
        protocol="tcp",
        protocol_number=6,
        timeout_s=86400,
        state="ESTABLISHED",
        original=FlowTuple(src=make(client), dst=make(service), sport=port, dport=80, packets=4, bytes=217),
        reply=FlowTuple(src=make(backend), dst=make(client), sport=8080, dport=port, packets=3, bytes=165),
        assured=True,
        mark=0,
        use=1,
        id=place,
    )

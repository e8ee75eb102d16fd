"""`conntrack -L` and `conntrack -E`: what the captures do not show, and what a flow means."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.conntrack import Flow, FlowEvent, FlowEventType, Offload
from netinspect.parse.conntrack import parse_event, parse_flow, parse_flows
from tests.captures.parsers import list_cases
from tests.unit.parse.conntrack_text import events, flows, patient, print_event, print_flow, sample

TCP6 = (
    "ipv6     10 tcp      6 86399 ESTABLISHED src=fd00::5 dst=fd00:96::20 sport=42001 dport=80 packets=4 bytes=314 "
    "src=fd00::9 dst=fd00::5 sport=8080 dport=42001 packets=3 bytes=243 [ASSURED] mark=0 use=1 id=7"
)
UDP4 = (
    "ipv4     2 udp      17 29 src=10.244.1.50 dst=10.96.0.10 sport=50061 dport=53 [UNREPLIED] "
    "src=10.244.2.9 dst=10.244.1.50 sport=5353 dport=50061 mark=0 use=1 id=8"
)
ICMP6 = (
    "ipv6     10 icmpv6   58 25 src=fd00::5 dst=fd00::9 type=128 code=0 id=23154 "
    "src=fd00::9 dst=fd00::5 type=129 code=0 id=23154"
)
GRE4 = (
    "ipv4     2 gre      47 99 src=10.0.0.1 dst=10.0.0.2 srckey=0x7 dstkey=0x100 "
    "src=10.0.0.2 dst=10.0.0.1 srckey=0x100 dstkey=0x7 mark=0"
)
UPDATE = f"[1795333880.198052]\t [UPDATE] {TCP6}"
LISTS = [case for case in list_cases("conntrack-list") if case.read_bytes()]

case_of = pytest.mark.parametrize("case", LISTS, ids=lambda path: path.stem)


def without_raw(flow: Flow) -> Flow:
    return msgspec.structs.replace(flow, raw="")


# Every line again, as it was printed.


@case_of
def test_prints_every_captured_line_again(case: Path) -> None:
    """Nothing of a line is lost or moved: it can be printed again from what was read."""
    for line in case.read_text().splitlines():
        flow = parse_flow(line)
        if flow.remainder != ("(enforce)",):  # the only one that did not stand at the end
            assert print_flow(flow, extended=line.startswith("ipv")) == line


@pytest.mark.parametrize("case", list_cases("conntrack-event"), ids=lambda path: path.stem)
def test_prints_every_captured_event_again(case: Path) -> None:
    """As above, but for the blanks that older versions put behind the microseconds."""
    for line in case.read_text().splitlines():
        printed = print_event(parse_event(line), extended=" ipv" in line)
        assert printed == line.replace(".198   ]", ".000198]")


@patient
@given(flows(), st.booleans())
def test_reads_whatever_the_tool_can_print(flow: Flow, extended: bool) -> None:
    """Print, then read, is identity: both families, every protocol, every field with its limits."""
    line = print_flow(flow, extended=extended)
    assert without_raw(parse_flow(line)) == flow
    assert parse_flow(line).raw == line


@patient
@given(events(), st.booleans())
def test_reads_whatever_event_the_tool_can_print(event: FlowEvent, extended: bool) -> None:
    """Likewise with an event's tag, time and program."""
    line = print_event(event, extended=extended)
    found = parse_event(line)
    assert msgspec.structs.replace(found, flow=without_raw(found.flow)) == event
    assert found.flow.raw == line


# Ends of lines, and of output.


@patient
@given(st.lists(flows(), max_size=3), st.data())
def test_a_cut_listing_is_never_a_smaller_one(listing: list[Flow], data: st.DataObject) -> None:
    """Cut within a line it is refused; cut between lines only the frame around it can tell."""
    stdout = "".join(f"{print_flow(flow)}\n" for flow in listing).encode()
    end = data.draw(st.integers(0, len(stdout)))
    if stdout[:end].endswith(b"\n") or not end:
        found = tuple(map(without_raw, parse_flows(stdout[:end])))
        assert found == tuple(listing[: len(found)])
    else:
        with pytest.raises(ParseError, match="ends within a line"):
            parse_flows(stdout[:end])


@case_of
def test_a_capture_cut_within_a_line_is_refused(case: Path) -> None:
    """Wherever a real listing is cut within a line, nothing of it is taken."""
    stdout = case.read_bytes()[:1500]
    for end in range(1, len(stdout)):
        if not stdout[:end].endswith(b"\n"):
            with pytest.raises(ParseError):
                parse_flows(stdout[:end])


@pytest.mark.parametrize(
    ("line", "last"), [(TCP6, "dport="), (UDP4, "dport="), (ICMP6, "id="), (GRE4, "dstkey=0x")]
)
def test_a_line_without_two_whole_tuples_is_no_flow(line: str, last: str) -> None:
    """Wherever a line is cut before the last field that names the flow, it is an error, line feed or not."""
    for end in range(line.rindex(last) + len(last)):
        with pytest.raises(ParseError):
            parse_flow(line[:end])


def test_nothing_printed_is_an_empty_table() -> None:
    """The tool's own words for "none" go to stderr."""
    assert parse_flows(b"") == ()


def test_keeps_the_order_of_the_listing() -> None:
    """Flows come back as they were printed, one a line."""
    assert [flow.id for flow in parse_flows(f"{UDP4}\n{TCP6}\n{UDP4}\n".encode())] == [8, 7, 8]


# What is wrong with a line, and where.


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        "conntrack v1.4.7 (conntrack-tools): 9 flow entries have been shown.",
        "conntrack: command not found",
        TCP6.replace("src=fd00::9", "rsc=fd00::9"),
        TCP6.replace(" src=fd00::9", " src=fd00::9 src=fd00::9"),
        TCP6.replace("dst=fd00::5 ", ""),
        TCP6.replace("dst=fd00:96::20 ", ""),
        TCP6.replace("src=fd00::5", "src=fd00::g"),
        TCP6.replace("src=fd00::5", "src="),
        TCP6.replace("src=fd00::5", "src=fe80::5%eth0"),
        TCP6.replace("src=fd00::5", "src=10.244.1.5"),
        TCP6.replace("ipv6     10", "ipv4     2"),
        TCP6.replace("ipv6     10", "ipv6     2"),
        TCP6.replace("ipv6     10", "ipv5     5"),
        TCP6.replace("ipv6     10", "ipv6"),
        UDP4.replace("ipv4     2", "ipv4     10"),
        UDP4.replace("10.244.1.50", "10.244.1.500"),
        UDP4.replace("10.244.1.50", "10.244.1"),
        UDP4.replace("10.244.1.50", "10.244.01.50"),
        TCP6.replace("sport=42001", "sport=http"),
        TCP6.replace("sport=42001", "sport="),
        TCP6.replace("sport=42001", "sport=-1"),
        TCP6.replace("sport=42001", "sport=0x7"),
        TCP6.replace("sport=42001", "sport=" + "1" * 21),
        TCP6.replace("sport=42001", "sport=\N{ARABIC-INDIC DIGIT ONE}"),
        TCP6.replace("sport=42001 dport=80", "sport=42001 sport=42001 dport=80"),
        TCP6.replace("sport=42001 dport=80", "sport=42001"),
        TCP6.replace("sport=8080 dport=42001 ", ""),
        TCP6.replace("packets=4 bytes=314", "packets=4"),
        TCP6.replace("mark=0", "mark=0 mark=1"),
        TCP6.replace("mark=0", "mark=zero"),
        TCP6.replace("id=7", "id=7 id=7"),
        TCP6.replace("[ASSURED]", "[ASSURED] [ASSURED]"),
        TCP6.replace("[ASSURED]", "[OFFLOAD] [HW_OFFLOAD]"),
        UDP4.replace("[UNREPLIED]", "[UNREPLIED] [UNREPLIED]"),
        ICMP6.replace("code=0 id=23154 src", "code=0 src"),
        ICMP6.replace("type=128 ", ""),
        GRE4.replace("srckey=0x7 ", "srckey=7 "),
        GRE4.replace("srckey=0x7 ", "srckey=0x123456789 "),
        GRE4.replace("srckey=0x7 dstkey=0x100 src", "src"),
        TCP6.replace("tcp      6", "tcp"),
        TCP6.replace("tcp      6", "6"),
        TCP6.replace("tcp      6", "tcp      6666"),
        TCP6.replace("86399 ESTABLISHED", "ESTABLISHED 86399"),
        TCP6.replace("ESTABLISHED", "established"),
        TCP6.replace("ESTABLISHED", "ESTABLISHED ESTABLISHED"),
        f"<flow>{TCP6}</flow>",
        "-A -t 431992 -u SEEN_REPLY,ASSURED -s 10.244.1.5 -d 10.96.0.20",
    ],
)
def test_refuses_what_is_no_flow(line: str) -> None:
    """A line with a field too many, too few, or with another value than the tool prints; the message quotes it."""
    with pytest.raises(ParseError, match=r"^conntrack -L: ") as caught:
        parse_flow(line)
    assert caught.value.line == line


def test_points_at_the_field_that_is_wrong() -> None:
    """The caret stands under the token that cannot be read."""
    line = UDP4.replace("dport=53 ", "dport=domain ")
    with pytest.raises(ParseError) as caught:
        parse_flow(line)
    assert line[caught.value.column :].startswith("dport=domain")


def test_one_bad_line_spoils_the_listing() -> None:
    """A listing is not made smaller by what could not be read of it."""
    with pytest.raises(ParseError, match="two tuples"):
        parse_flows(f"{TCP6}\nnonsense\n{UDP4}\n".encode())


# What fields mean.


def test_each_direction_keeps_its_own_fields() -> None:
    """The same keys stand twice in a line: the first is the original direction's, the second the reply's."""
    flow = parse_flow(TCP6)
    assert (flow.original.src, flow.original.dport, flow.original.bytes) == (ip_address("fd00::5"), 80, 314)
    assert (flow.reply.src, flow.reply.sport, flow.reply.bytes) == (ip_address("fd00::9"), 8080, 243)


def test_an_address_is_not_the_beginning_of_another() -> None:
    """10.244.1.50 is not 10.244.1.5, and fd00::50 is not fd00::5."""
    assert parse_flow(UDP4).original.src == ip_address("10.244.1.50") != ip_address("10.244.1.5")
    assert parse_flow(TCP6.replace("fd00::5 ", "fd00::50 ")).original.src == ip_address("fd00::50")


def test_an_address_of_one_family_within_the_other() -> None:
    """inet_ntop writes IPv4 addresses within IPv6 with dots; the flow is one of IPv6."""
    flow = parse_flow(TCP6.replace("fd00::5", "::ffff:10.244.1.5"))
    assert (flow.family, flow.original.src) == ("ipv6", ip_address("::ffff:10.244.1.5"))


def test_the_family_comes_from_the_addresses_where_it_is_not_printed() -> None:
    """Without `-o extended` a line does not begin with its family."""
    assert parse_flow(TCP6.partition("10 ")[2]).family == "ipv6"
    assert parse_flow(UDP4.partition("2 ")[2]).family == "ipv4"


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("", None),
        (" id=5", 5),
        (" mark=0 use=1 id=5", 5),
        (" packets=2 bytes=208 id=5", 5),
    ],
)
def test_an_id_behind_a_code_is_the_echos_and_any_other_the_kernels(end: str, expected: int | None) -> None:
    """ICMP has `id=` in both tuples, and `-o id` puts one at the end, also directly behind the second tuple."""
    line = ICMP6 + end
    if "packets" in end:
        line = line.replace("id=23154 src", "id=23154 packets=2 bytes=208 src")
    flow = parse_flow(line)
    assert (flow.original.icmp_id, flow.reply.icmp_id, flow.id) == (23154, 23154, expected)


def test_keys_of_gre_are_hexadecimal() -> None:
    """Each direction has both keys, in opposite order."""
    flow = parse_flow(GRE4)
    assert (flow.original.src_key, flow.original.dst_key) == (7, 256)
    assert (flow.reply.src_key, flow.reply.dst_key) == (256, 7)


def test_unreplied_and_assured_stand_in_their_own_places() -> None:
    """[UNREPLIED] between the tuples, [ASSURED] behind them; elsewhere they are not understood, and kept."""
    assert [(f.unreplied, f.assured) for f in map(parse_flow, (TCP6, UDP4))] == [(False, True), (True, False)]
    moved = parse_flow(TCP6.replace("[ASSURED]", "[UNREPLIED]"))
    assert (moved.unreplied, moved.assured, moved.remainder) == (False, False, ("[UNREPLIED]",))
    moved = parse_flow(UDP4.replace("[UNREPLIED]", "[ASSURED]"))
    assert (moved.unreplied, moved.assured, moved.remainder) == (False, False, ("[ASSURED]",))


def test_offload_says_who_forwards_and_hides_assured() -> None:
    """[OFFLOAD] and [HW_OFFLOAD] stand in the place of [ASSURED]."""
    software = parse_flow(TCP6.replace("ASSURED", "OFFLOAD"))
    hardware = parse_flow(TCP6.replace("ASSURED", "HW_OFFLOAD"))
    assert (software.offload, software.assured) == (Offload.SOFTWARE, False)
    assert (hardware.offload, hardware.assured) == (Offload.HARDWARE, False)


def test_keeps_fields_that_it_does_not_know() -> None:
    """A field of a later version is kept as it stands, wherever it stands, in the order of the line."""
    line = (
        TCP6.replace("packets=4", "new1=a packets=4").replace("packets=3", "new2=b packets=3") + " [NEW3] x=y"
    )
    flow = parse_flow(line)
    assert flow.remainder == ("new1=a", "new2=b", "[NEW3]", "x=y")
    assert (flow.original.packets, flow.reply.packets, flow.id) == (4, 3, 7)


def test_a_zone_of_one_direction_is_not_the_flows() -> None:
    """`zone-orig` and `zone-reply` belong to one tuple, `zone` to the flow; 0 is not printed."""
    line = TCP6.replace("packets=4", "zone-orig=9 packets=4")
    flow = parse_flow(line)
    assert (flow.original.zone, flow.reply.zone, flow.zone) == (9, None, 0)
    flow = parse_flow(TCP6.replace("packets=3", "zone-reply=9 packets=3").replace("mark=0", "mark=0 zone=5"))
    assert (flow.original.zone, flow.reply.zone, flow.zone) == (None, 9, 5)
    assert parse_flow(line.replace("zone-orig", "zone-reply")).remainder == ("zone-reply=9",)


@pytest.mark.parametrize(
    ("printed", "seconds"), [(2**64 - 3, -3), (2**63, -(2**63)), (2**63 - 1, 2**63 - 1), (0, 0)]
)
def test_a_clock_that_was_set_back_makes_a_negative_age(printed: int, seconds: int) -> None:
    """The tool prints the difference as if it could not be negative."""
    assert parse_flow(f"{TCP6} delta-time={printed}").delta_time_s == seconds


def test_bytes_that_are_no_text_are_escaped() -> None:
    """A helper's name can be any bytes; the line around it is still read."""
    (flow,) = parse_flows(TCP6.replace("use=1", "helper=caf\xe9 use=1").encode("latin-1") + b"\n")
    assert (flow.helper, flow.use) == ("caf\\xe9", 1)


# The tool's buffer.


@pytest.mark.parametrize("length", [1023, 4095])
def test_a_line_that_fills_the_tools_buffer_may_have_lost_its_end(length: int) -> None:
    """Its last field is kept, but not believed: a port, a zone or a label could go on."""
    line = f"{TCP6} labels="
    flow = parse_flow(line + "x" * (length - len(line)))
    assert flow.labels == ()
    assert [len(each) for each in flow.remainder] == [length - len(line) + len("labels=")]
    assert flow.id == 7


@pytest.mark.parametrize("length", [1022, 1024, 4094])
def test_any_other_line_has_its_end(length: int) -> None:
    """A line that is shorter than the buffer, or longer than that of older versions, is whole."""
    line = f"{TCP6} labels="
    assert parse_flow(line + "x" * (length - len(line))).labels == ("x" * (length - len(line)),)


def test_an_event_that_fills_the_tools_buffer() -> None:
    """The buffer of an event holds its tag, too, but neither its time nor the program behind it."""
    tail = " [USERSPACE] portid=5 progname=conntrack"
    line = f" [UPDATE] {TCP6} labels="
    full, shorter = (line + "x" * (length - len(line)) for length in (1023, 1022))
    for before in ("", "[1795333880.198052]\t"):
        event = parse_event(before + full + tail)
        assert (event.flow.labels, len(event.flow.remainder), event.progname) == ((), 1, "conntrack")
        assert len(parse_event(before + shorter + tail).flow.labels[0]) == 1022 - len(line)


# Events.


@pytest.mark.parametrize("tag", FlowEventType)
def test_an_event_says_what_happened(tag: FlowEventType) -> None:
    """The tag is right-aligned in nine characters."""
    event = parse_event(f"{f'[{tag}]':>9} {UDP4}")
    assert (event.type, event.time, event.portid, event.progname) == (tag, None, None, None)
    assert without_raw(event.flow) == without_raw(parse_flow(UDP4))


@pytest.mark.parametrize(
    ("printed", "microseconds"),
    [("198052", 198052), ("000052", 52), ("52    ", 52), ("0     ", 0), ("000000", 0), ("999999", 999999)],
)
def test_microseconds_are_a_number_also_without_leading_zeros(printed: str, microseconds: int) -> None:
    """Older versions print 52 microseconds as `52` and blanks, which is not 520000."""
    event = parse_event(UPDATE.replace("198052", printed))
    assert event.time == float(f"1795333880.{microseconds:06d}")


@pytest.mark.parametrize(
    ("tail", "portid", "progname"),
    [
        ("", None, None),
        (" [USERSPACE] portid=4249768057", 4249768057, None),
        (" [USERSPACE] portid=414 progname=conntrack", 414, "conntrack"),
        (
            " [USERSPACE] portid=414 progname=my prog=1 [USERSPACE] portid=5",
            414,
            "my prog=1 [USERSPACE] portid=5",
        ),
        (" [USERSPACE] portid=414 progname=", 414, ""),
    ],
)
def test_names_the_program_that_changed_a_flow(tail: str, portid: int | None, progname: str | None) -> None:
    """A program may bear any name, and may have ended before it was looked for."""
    event = parse_event(UPDATE + tail)
    assert (event.portid, event.progname, event.flow.remainder) == (portid, progname, ())


def test_keeps_what_it_does_not_know_of_a_program() -> None:
    """A port that is no number is kept as fields that are not known."""
    event = parse_event(f"{UPDATE} [USERSPACE] portid=x")
    assert (event.portid, event.flow.remainder) == (None, ("[USERSPACE]", "portid=x"))


@pytest.mark.parametrize(
    "line",
    [
        "",
        TCP6,
        f"[OTHER] {TCP6}",
        f"[NEW]{TCP6}",
        f"[new] {TCP6}",
        UPDATE.replace("\t", " "),
        UPDATE.replace("1795333880.198052", "1795333880"),
        UPDATE.replace("198052", "1980521"),
        " [UPDATE] nonsense",
        "WARNING: We have hit ENOBUFS! We are losing events.",
    ],
)
def test_refuses_what_is_no_event(line: str) -> None:
    """What is no event, or one without a flow, is an error that names the command and quotes the line."""
    with pytest.raises(ParseError, match=r"^conntrack -E: ") as caught:
        parse_event(line)
    assert caught.value.line == line


# Any text, and its length.

fragments = st.lists(
    st.sampled_from(
        [
            *TCP6.split(),
            *UDP4.split(),
            *ICMP6.split(),
            *GRE4.split(),
            "[start=",
            "[start=a b]",
            "id=",
            "src=",
            "",
        ]
    ),
    max_size=40,
).map(" ".join)
texts = st.text() | fragments | st.text(alphabet="ipv46tcp[]=:.0123456789 \t\n", max_size=200)


@pytest.mark.parametrize("parse", [parse_flow, parse_event])
@patient
@given(text=texts)
def test_arbitrary_text_raises_nothing_else(parse: Callable[[str], object], text: str) -> None:
    """Whatever comes, it is a flow or a ParseError."""
    for line in (text, f"    [NEW] {text}", f"{TCP6} {text}"):
        with contextlib.suppress(ParseError):
            parse(line)


@patient
@given(st.binary() | texts.map(str.encode))
def test_arbitrary_bytes_raise_nothing_else(stdout: bytes) -> None:
    """Whatever comes, it is flows or a ParseError."""
    with contextlib.suppress(ParseError):
        parse_flows(stdout)


HOSTILE = (
    "[start=",
    "[start=x ",
    " [start= ",
    "src=::1 ",
    " [USERSPACE] portid=1",
    "mark=1 ",
    "[NEW] ",
    "a=b,",
    "9",
)


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("parse", [parse_flow, parse_event])
def test_time_grows_with_the_length_of_a_line(parse: Callable[[str], object], piece: str) -> None:
    """A line of half a million characters takes no time that a person would notice, whatever it repeats."""
    for begin in (TCP6, f" [UPDATE] {TCP6}", ""):
        line = f"{begin} {piece * (500_000 // len(piece))}"
        started = time.process_time()
        with contextlib.suppress(ParseError):
            parse(line)
        assert time.process_time() - started < 3


def test_time_grows_with_the_number_of_lines() -> None:
    """Ten times as many flows take about ten times as long."""
    short, long = (
        "".join(f"{print_flow(sample('ipv6', place))}\n" for place in range(count)).encode()
        for count in (1_000, 10_000)
    )
    assert _seconds(lambda: parse_flows(long)) < 30 * _seconds(lambda: parse_flows(short))


def _seconds(work: Callable[[], object]) -> float:
    best = 1e9
    for _ in range(3):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def test_a_time_that_no_calendar_has_is_no_event() -> None:
    """Eleven digits of seconds reach far enough."""
    line = "ipv4     2 udp      17 30 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 "
    with pytest.raises(ParseError):
        parse_event(f"[99999999999999.000001]\t    [NEW] {line}sport=2 dport=1 mark=0 id=1")
    assert parse_event(f"[1795333880.000001]\t    [NEW] {line}sport=2 dport=1 mark=0 id=1").time is not None

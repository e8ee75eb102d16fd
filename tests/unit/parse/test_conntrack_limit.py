"""Statistics, sysctls and the kernel's log, where the captures do not reach: faults, cuts, forged records."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.conntrack_limit import ConntrackSysctls, KernelLogLine
from netinspect.parse.conntrack_limit import (
    find_table_full,
    parse_kernel_log,
    parse_statistics,
    parse_sysctls,
)
from tests.captures.parsers import list_cases
from tests.unit.parse.conntrack_text import patient

PARSERS = (parse_statistics, parse_sysctls, parse_kernel_log)
CASES = [
    *((parse_statistics, case) for case in list_cases("conntrack-stat")),
    *((parse_sysctls, case) for case in list_cases("conntrack-sysctl")),
]
FULL = "nf_conntrack: nf_conntrack: table full, dropping packet"
FULL_IN = "nf_conntrack: nf_conntrack: table full in netns 4026532731, dropping packet"
NETFILTER = "/proc/sys/net/netfilter/nf_conntrack_"

u32 = st.integers(0, 2**32 - 1)
names = st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=20)


# conntrack -S


@patient
@given(st.dictionaries(st.integers(0, 65535), st.dictionaries(names, u32, max_size=12), min_size=1))
def test_reads_whatever_statistics_the_tool_can_print(cpus: dict[int, dict[str, int]]) -> None:
    """Every counter of every CPU, whatever its name: those of older and newer kernels are kept as they are."""
    text = "".join(
        f"cpu={cpu:<4}\t{''.join(f'{name}={value} ' for name, value in counters.items())}\n"
        for cpu, counters in cpus.items()
    )
    found = parse_statistics(text.encode())
    assert {each.cpu: each.counters for each in found} == cpus
    assert [each.cpu for each in found] == list(cpus)


@pytest.mark.parametrize(
    "stdout",
    [
        "",
        "\n",
        "cpu=0   \tfound=0 ",
        "cpu=0   \tfound=0\n",
        "cpu=0   found=0 \n",
        "cpu=   \tfound=0 \n",
        "cpu=0   \tfound=0 found=1 \n",
        "cpu=0   \tfound=0 \ncpu=0   \tfound=1 \n",
        "cpu=0   \tfound=-1 \n",
        "cpu=0   \tfound= \n",
        "cpu=0   \tfound=0x1 \n",
        "cpu=0   \tfound=0  drop=1 \n",
        "cpu=0   \tfound=0 drop\n",
        "cpu=0   \tFOUND=0 \n",
        "found=0 \n",
        "cpu=0   \tfound=0 \nconntrack v1.4.7: Operation failed\n",
        "CPU=0 \tfound=0 \n",
    ],
)
def test_refuses_what_is_no_statistics(stdout: str) -> None:
    """No CPU at all, half a counter, a counter or a CPU twice: none of it is a smaller statistics."""
    with pytest.raises(ParseError, match=r"^conntrack -S: "):
        parse_statistics(stdout.encode())


# Sysctls


def test_a_name_is_a_path_and_two_paths_are_one_limit() -> None:
    """The machine's first netns has `net.nf_conntrack_max` as well, before or behind the other."""
    lines = ["/proc/sys/net/nf_conntrack_max:5\n", f"{NETFILTER}max:5\n", f"{NETFILTER}count:3\n"]
    for listing in (lines, lines[::-1]):
        assert parse_sysctls("".join(listing).encode()) == ConntrackSysctls(count=3, max=5)


def test_what_is_not_listed_is_not_known() -> None:
    """A sysctl that a netns does not show is None, which is not 0."""
    sysctls = parse_sysctls(f"{NETFILTER}acct:0\n".encode())
    assert (sysctls.acct, sysctls.events, sysctls.max, sysctls.hashsize) == (0, None, None, None)
    assert parse_sysctls(b"") == ConntrackSysctls()


@patient
@given(st.dictionaries(names.filter(lambda name: name != "hashsize"), st.integers(-(2**31), 2**63)))
def test_reads_every_sysctl(values: dict[str, int]) -> None:
    """Each value comes back under its own name: by attribute where there is one, else with the others."""
    found = parse_sysctls("".join(f"{NETFILTER}{name}:{value}\n" for name, value in values.items()).encode())
    fields = set(ConntrackSysctls.__struct_fields__) - {"others"}
    assert found.others == {name: value for name, value in values.items() if name not in fields}
    for name in fields:
        assert getattr(found, name) == values.get(name)


@pytest.mark.parametrize("field", [name for name in ConntrackSysctls.__struct_fields__ if name != "others"])
def test_every_attribute_is_a_real_sysctl(field: str) -> None:
    """No attribute bears a name that no kernel has."""
    (case,) = (case for case in list_cases("conntrack-sysctl") if case.stem == "in-a-netns")
    assert getattr(parse_sysctls(case.read_bytes()), field) is not None


@pytest.mark.parametrize(
    "stdout",
    [
        f"{NETFILTER}max:262144",
        f"{NETFILTER}max:\n",
        f"{NETFILTER}max:26 2144\n",
        f"{NETFILTER}max:0x40000\n",
        f"{NETFILTER}max=262144\n",
        f"{NETFILTER}:262144\n",
        f"{NETFILTER}max:1\n{NETFILTER}max:2\n",
        f"{NETFILTER}max:1\n/proc/sys/net/nf_conntrack_max:2\n",
        "net.netfilter.nf_conntrack_max = 262144\n",
        "262144\n",
        "/proc/sys/net/ipv4/ip_forward:1\n",
        "/sys/module/nf_conntrack/parameters/acct:Y\n",
        f"grep: {NETFILTER}max: Permission denied\n",
    ],
)
def test_refuses_what_is_no_sysctl(stdout: str) -> None:
    """A limit that is another number than the node's would be worse than none."""
    with pytest.raises(ParseError, match=r"^grep -Hs '' /proc/sys/net/netfilter/nf_conntrack_\*: "):
        parse_sysctls(stdout.encode())


@pytest.mark.parametrize(("parse", "case"), CASES, ids=lambda each: getattr(each, "stem", None))
def test_a_capture_cut_within_a_line_is_refused(parse: Callable[[bytes], object], case: Path) -> None:
    """A number that lost its last digits is another number: nothing of such an output is taken."""
    stdout = case.read_bytes()
    for end in range(1, len(stdout)):
        if not stdout[:end].endswith(b"\n"):
            with pytest.raises(ParseError):
                parse(stdout[:end])


# The kernel's log


def records(*messages: str, **more: object) -> bytes:
    """What dmesg --json -x prints of records of the kernel, unless told otherwise."""
    same = {"fac": "kern", "pri": "warn", "time": 12.5}
    return json.dumps({"dmesg": [{**same, "msg": message, **more} for message in messages]}).encode()


@pytest.mark.parametrize(
    ("message", "netns"),
    [
        (FULL, None),
        (FULL_IN, 4026532731),
        ("nf_conntrack: table full, dropping packet.", None),
        ("ip_conntrack: table full, dropping packet.", None),
        (f"{FULL}\n", None),
    ],
)
def test_finds_a_full_table_in_every_wording(message: str, netns: int | None) -> None:
    """With a netns and without, and as older kernels said it."""
    (found,) = find_table_full(parse_kernel_log(records(message)))
    assert (found.time_s, found.netns, found.raw) == (12.5, netns, message)


@pytest.mark.parametrize(
    "message",
    [
        "nf_conntrack: nf_conntrack: expectation table full",
        "nf_conntrack: nf_conntrack: table full",
        "nf_conntrack: nf_conntrack: table is full, dropping packet",
        "nf_conntrack: nf_conntrack: table full in netns, dropping packet",
        "nf_conntrack: nf_conntrack: table full in netns 4026532731 dropping packet",
        "nf_conntrack: nf_conntrack: table full in netns -1, dropping packet",
        "neighbour: arp_cache: neighbor table overflow!",
        f'audit: type=1400 comm="{FULL}"',
        f"veth0: renamed from {FULL}",
        f"{FULL} or not",
        "pf_conntrack: table full, dropping packet",
        "",
    ],
)
def test_does_not_take_other_records_for_a_full_table(message: str) -> None:
    """Another table, half a sentence, or the sentence within a message that quotes what a user chose."""
    assert find_table_full(parse_kernel_log(records(message))) == ()


def test_a_record_that_a_program_wrote_does_not_count() -> None:
    """Anyone who may write to /dev/kmsg can write the sentence; the kernel marks whose the record is."""
    forged = parse_kernel_log(records(FULL_IN, fac="user"))
    assert [line.facility for line in forged] == [1]
    assert find_table_full(forged) == ()
    assert len(find_table_full(forged + parse_kernel_log(records(FULL_IN)))) == 1


def test_keeps_the_order_of_the_log() -> None:
    """Oldest first, as dmesg prints it, with what is no full table between them."""
    log = parse_kernel_log(records(FULL, "other", FULL_IN, FULL))
    assert [line.netns for line in find_table_full(log)] == [None, 4026532731, None]


@pytest.mark.parametrize("pri", [4, 5, 12, 13, 30, None])
def test_a_number_tells_neither_level_nor_facility(pri: int | None) -> None:
    """Without -x, 5 is the kernel's notice or, before util-linux 2.40, a user's warning: not known, so it counts."""
    (line,) = parse_kernel_log(json.dumps({"dmesg": [{"pri": pri, "time": 1.0, "msg": FULL}]}).encode())
    assert (line.level, line.facility) == (None, None)
    assert len(find_table_full((line,))) == 1


@pytest.mark.parametrize(
    ("pri", "fac", "level", "facility"),
    [
        ("emerg", "kern", 0, 0),
        ("alert", "user", 1, 1),
        ("crit", "mail", 2, 2),
        ("err", "daemon", 3, 3),
        ("warn", "auth", 4, 4),
        ("notice", "syslog", 5, 5),
        ("info", "authpriv", 6, 10),
        ("debug", "ftp", 7, 11),
        ("info", "local0", 6, 16),
        ("info", "local7", 6, 23),
        ("loud", "other", None, None),
    ],
)
def test_names_of_levels_and_facilities(pri: str, fac: str, level: int | None, facility: int | None) -> None:
    """They are numbered as in syslog(3)."""
    (line,) = parse_kernel_log(records("x", pri=pri, fac=fac))
    assert (line.level, line.facility) == (level, facility)


def test_a_log_without_records() -> None:
    """dmesg prints an empty array, or nothing at all where everything was filtered out."""
    assert parse_kernel_log(b'{"dmesg":[]}') == parse_kernel_log(b"") == parse_kernel_log(b"\n") == ()


def test_bytes_that_are_no_text_hide_no_other_record() -> None:
    """A driver may log any bytes; what stands around them is read."""
    stdout = records("usb: X", FULL).replace(b"X", b"\xff\xfe")
    broken, full = parse_kernel_log(stdout)
    assert broken.message == "usb: \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
    assert find_table_full((broken, full))[0].raw == FULL


def test_fields_of_later_versions_are_left_aside() -> None:
    """util-linux 2.40 adds who called; a record without time or level is one, too."""
    stdout = json.dumps({"dmesg": [{"msg": FULL, "caller": "T1", "caller_id": 7}], "boot": 1}).encode()
    assert parse_kernel_log(stdout) == (KernelLogLine(message=FULL),)


@pytest.mark.parametrize(
    "stdout",
    [
        b"{}",
        b"[]",
        b"null",
        b'{"dmesg":{}}',
        b'{"dmesg":[{}]}',
        b'{"dmesg":[{"msg":5}]}',
        b'{"dmesg":[{"msg":"x","time":"now"}]}',
        b'{"dmesg":[{"msg":"x","pri":1.5}]}',
        b'{"dmesg":[{"msg":"x"}]} x',
        b"[ 1540.397929] nf_conntrack: nf_conntrack: table full, dropping packet\n",
        b"dmesg: read kernel buffer failed: Operation not permitted\n",
        b"dmesg: unrecognized option: json\n",
        b"[" * 100_000,
    ],
    ids=lambda stdout: stdout[:40].decode(),
)
def test_refuses_what_is_no_log(stdout: bytes) -> None:
    """Anything but dmesg's object is an error that names the command: no record is not "no full table"."""
    with pytest.raises(ParseError, match=r"^dmesg --json -x: "):
        parse_kernel_log(stdout)


@pytest.mark.parametrize("case", list_cases("dmesg"), ids=lambda path: path.stem)
def test_a_cut_log_is_never_a_shorter_one(case: Path) -> None:
    """Cut at any byte before its end, a real log is refused."""
    stdout = case.read_bytes().rstrip()
    for end in range(1, len(stdout)):
        with pytest.raises(ParseError):
            parse_kernel_log(stdout[:end])


# Any bytes

pieces = st.sampled_from(
    [
        b"cpu=0   \t",
        b"found=1 ",
        b"\n",
        NETFILTER.encode(),
        b"max:5",
        b"hashsize",
        b'{"dmesg":[',
        b'"msg":"x"',
    ]
)


@pytest.mark.parametrize("parse", PARSERS)
@patient
@given(stdout=st.binary() | st.lists(pieces, max_size=12).map(b"".join))
def test_arbitrary_bytes_raise_nothing_else(parse: Callable[[bytes], object], stdout: bytes) -> None:
    """Whatever comes, it is a result or a ParseError."""
    with contextlib.suppress(ParseError):
        parse(stdout)


@patient
@given(st.text() | st.sampled_from([FULL, FULL_IN]).flatmap(lambda text: st.text().map(text.__add__)))
def test_any_message_is_read(message: str) -> None:
    """A message may hold any characters."""
    (line,) = parse_kernel_log(records(message))
    assert line.message == message.encode("utf-8", "replace").decode() or "\\u" in json.dumps(message)
    find_table_full((line,))


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "piece", [b"cpu=0 ", b"found=1 ", b" ", b"1", b"\t", NETFILTER.encode(), b'{"dmesg":[']
)
def test_time_grows_with_the_length_of_a_line(parse: Callable[[bytes], object], piece: bytes) -> None:
    """A line of half a million bytes takes no time that a person would notice."""
    for begin in (b"", b"cpu=0 \t", NETFILTER.encode()):
        started = time.process_time()
        with contextlib.suppress(ParseError):
            parse(begin + piece * (500_000 // len(piece)) + b"\n")
        assert time.process_time() - started < 3

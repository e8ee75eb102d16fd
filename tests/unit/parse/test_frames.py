"""The stream of the node side, whole, cut, changed and made up."""

from __future__ import annotations

import base64
import contextlib
import gzip
import time
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.parse.frames import parse_frames, parse_log_frames

words = st.text("abcdefgh-0123456789", min_size=1, max_size=8)
contents = st.binary(max_size=200) | st.sampled_from(
    [b"", b"\n", b"done 1\n", b"probe a 1 node x\n", b"0 1 2"]
)
results = st.builds(
    CommandResult,
    key=words,
    netns=st.integers(0, 2**32),
    how=st.sampled_from(["node", "process", "pinned:/run/netns/x"]),
    name=words,
    exit_code=st.integers(0, 255),
    stdout=contents,
    stderr=contents,
    duration_s=st.just(0.5),
    start_s=st.just(100.25),
)
result_lists = st.lists(results, max_size=4).map(tuple)

RESULT = CommandResult("node", 4026531840, "node", "links", 0, b"[]\n", b"a warning\n", 0.5, 100.25)
OTHER = CommandResult("uid-1", 4026532943, "process", "links", 1, b"", b"", 0.5, 100.25)


def print_result(result: CommandResult) -> bytes:
    """Write a result as the node side does."""
    header = f"probe {result.key} {result.netns} {result.how} {result.name}\n".encode()
    trailer = result.stderr + b"\n%d 100.25 100.75" % (result.exit_code or 0)
    return header + gzip.compress(result.stdout, 1, mtime=0) + gzip.compress(trailer, 1, mtime=0)


def print_answer(given_results: tuple[CommandResult, ...], netns: int = 4026531840) -> bytes:
    """Write a whole stream as the node side does."""
    body = b"".join(print_result(each) for each in given_results)
    return b"hello 1 %d\n%bdone %d\n" % (netns, body, len(given_results))


def cut_into(stream: bytes, places: list[int]) -> list[bytes]:
    """Cut a stream into chunks."""
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


@given(result_lists, st.lists(st.integers(0, 10**6), max_size=20))
def test_reads_what_the_node_side_writes(written: tuple[CommandResult, ...], places: list[int]) -> None:
    """Every result comes back unchanged, however the stream was cut into chunks on its way."""
    chunks = cut_into(print_answer(written), places)
    assert parse_frames(chunks) == NodeAnswer(4026531840, written, is_whole=True)


@given(result_lists, st.lists(st.integers(0, 10**6), max_size=20))
def test_a_sink_gets_what_the_result_would_have_held(
    written: tuple[CommandResult, ...], places: list[int]
) -> None:
    """Piece by piece and in order, for the probes that have one; their results then hold no output."""
    poured: dict[tuple[str, str], bytes] = {}

    def sink_of(place: tuple[str, str]) -> Callable[[bytes], None]:
        def take(piece: bytes) -> None:
            poured[place] = poured.get(place, b"") + piece

        return take

    sinks = {(each.key, each.name): sink_of((each.key, each.name)) for each in written[::2]}
    answer = parse_frames(cut_into(print_answer(written), places), sinks)
    for place in sinks:
        assert poured.get(place, b"") == b"".join(
            each.stdout for each in written if (each.key, each.name) == place
        )
    kept = [each.stdout for each in answer.results if (each.key, each.name) not in sinks]
    assert kept == [each.stdout for each in written if (each.key, each.name) not in sinks]
    assert not any(each.stdout for each in answer.results if (each.key, each.name) in sinks)
    assert [each.exit_code for each in answer.results] == [each.exit_code for each in written]


def test_a_sink_is_given_small_pieces() -> None:
    """A chunk of some kilobytes can be a hundred megabytes: it is never whole in memory."""
    sizes: list[int] = []
    big = CommandResult("node", 1, "node", "x", 0, bytes(30_000_000), b"", 0.5, 100.25)
    stream = print_answer((big,))
    assert len(stream) < 200_000
    answer = parse_frames([stream], {("node", "x"): lambda piece: sizes.append(len(piece))})
    assert answer.is_whole
    assert sum(sizes) == 30_000_000
    assert max(sizes) <= 1 << 20


@given(result_lists, st.integers(0, 10**6))
def test_a_stream_cut_anywhere_is_never_taken_for_another_whole_one(
    written: tuple[CommandResult, ...], place: int
) -> None:
    """What is whole in it is what was whole; at most one more result is begun, and it says that it is cut."""
    stream = print_answer(written)
    answer = parse_frames([stream[: place % len(stream)]])
    whole = [each for each in answer.results if each.is_whole]
    assert not answer.is_whole
    assert whole == list(written[: len(whole)])
    assert len(answer.results) - len(whole) in (0, 1)
    for cut in answer.results[len(whole) :]:
        assert cut.exit_code is None
        assert written[len(whole)].stdout.startswith(cut.stdout)


def test_every_cut_of_one_stream() -> None:
    """The same for each single byte: two results become one and a cut one, one, a cut one, none."""
    stream = print_answer((RESULT, OTHER))
    seen = []
    for length in range(len(stream)):
        answer = parse_frames([stream[:length]])
        shape = tuple(each.exit_code for each in answer.results)
        assert not answer.is_whole
        assert (answer.netns is None) is (length < len("hello 1 4026531840\n"))
        if shape not in seen:
            seen.append(shape)
    assert seen == [(), (None,), (0,), (0, None), (0, 1)]


def test_a_flipped_byte_never_changes_a_result_unseen() -> None:
    """Of each byte of both members, each bit: an error, the same result, or one that says that it is cut."""
    noise = bytes(range(256)) * 2
    written = (CommandResult("node", 1, "node", "x", 3, noise, b"stderr\n", 0.5, 100.25),)
    head = len(b"hello 1 1\nprobe node 1 node x\n")
    stream = print_answer(written, netns=1)
    outcomes = set()
    for place in range(head, len(stream) - len(b"done 1\n")):
        for bit in range(8):
            changed = bytearray(stream)
            changed[place] ^= 1 << bit
            outcomes.add(outcome_of(bytes(changed), written))
    assert outcomes <= {"error", "same", "cut"}
    assert "error" in outcomes


def outcome_of(stream: bytes, written: tuple[CommandResult, ...]) -> str:
    try:
        answer = parse_frames([stream])
    except ParseError:
        return "error"
    if answer.results == written:
        return "same"
    return (
        "cut" if all(each.exit_code is None for each in answer.results) and not answer.is_whole else "changed"
    )


@given(result_lists, st.integers(0, 10**6), st.binary(min_size=1, max_size=30))
def test_a_piece_overwritten_anywhere_raises_nothing_else(
    written: tuple[CommandResult, ...], place: int, piece: bytes
) -> None:
    """Whatever stands in the stream, also where the frame itself is, it is results or a ParseError."""
    stream = print_answer(written)
    place %= len(stream)
    with contextlib.suppress(ParseError):
        parse_frames([stream[:place] + piece + stream[place + len(piece) :]])


lines = st.sampled_from(
    [b"hello 1 1\n", b"hello 1 \n", b"probe a 1 node x\n", b"done 0\n", b"done 1\n", b"\n"]
)
numbers = st.sampled_from(["²", "٣", "1_0", "-1", "+1", " 1", "9" * 300, "nan", "inf", "1e999", ""])


@given(st.lists(lines | st.binary(max_size=50), max_size=8), st.lists(st.integers(0, 10**6), max_size=9))
def test_hostile_input_reads_alike_in_any_chunks(pieces: list[bytes], places: list[int]) -> None:
    """What no node side wrote is refused, or read: the same of it in one chunk as in many."""
    stream = b"".join(pieces)
    assert read(cut_into(stream, places)) == read([stream])


def read(chunks: list[bytes]) -> NodeAnswer | str:
    try:
        return parse_frames(chunks)
    except ParseError as error:
        return type(error).__name__


@given(numbers, numbers, numbers)
def test_what_only_resembles_a_number_is_no_traceback(netns: str, code: str, start: str) -> None:
    """Digits of other scripts, superscripts, infinities: each is a ParseError or a number."""
    trailer = gzip.compress(f"\n{code} {start} 1".encode())
    stream = f"hello 1 {netns}\nprobe node {netns} node x\n".encode() + gzip.compress(b"") + trailer
    with contextlib.suppress(ParseError):
        parse_frames([stream])


@pytest.mark.parametrize(
    ("stream", "shown"),
    [
        (b"sh: syntax error\n", "sh: syntax error"),
        (b"hello 2 1\n", "expected protocol version 1"),
        (b"hello 1\n", "expected protocol version 1"),
        (b"hello 1 1\nhello 1 1\n", "unexpected line"),
        (b"done 0\n", "unexpected line"),
        (print_result(RESULT), "unexpected line"),
        (b"hello 1 1\nprobe node 1 node\n", "unexpected line"),
        (b"hello 1 1\ndone 1\n", "0 results came before the end mark"),
        (b"hello 1 1\ndone 0 0\n", "0 results came before the end mark"),
        (b"hello 1 1\n" + print_result(RESULT) + b"done 2\n", "1 results came"),
        (b"hello 1 1\ndone 0\ndone 0\n", "unexpected line"),
        (b"hello 1 1\ndone 0\n" + print_result(RESULT), "unexpected line"),
        (b"hello 1 1\nprobe node 1 node x\nno gzip\n", "broken gzip member"),
        (b"x" * 5000, "a line without end"),
        (b"hello 1 1\nprobe node 1 node " + b"x" * 5000 + b"\n", "a line without end"),
        (
            b"hello 1 1\nprobe node 1 node x\n" + gzip.compress(b"") + gzip.compress(b"0 1 2 3"),
            "not a trailer",
        ),
        (b"hello 1 1\nprobe node 1 node x\n" + gzip.compress(b"") + gzip.compress(b"x 1 2"), "not a trailer"),
    ],
)
def test_what_is_not_of_the_format_is_shown(stream: bytes, shown: str) -> None:
    """A frame is taken in its order or not at all, and the message shows what came in its place."""
    with pytest.raises(ParseError) as caught:
        parse_frames([stream])
    assert shown in str(caught.value)


def test_nothing_at_all_is_an_empty_answer() -> None:
    """The node side did not even begin: no netns, no result, not whole."""
    assert parse_frames([]) == NodeAnswer(None, (), is_whole=False)


def test_a_node_that_will_not_tell_its_netns_is_no_error() -> None:
    """A sandbox can forbid to read the link: the inode is then 0, "unknown"."""
    stream = b"hello 1 \n" + print_result(RESULT).replace(b"4026531840", b"") + b"done 1\n"
    answer = parse_frames([stream])
    assert (answer.netns, answer.results[0].netns, answer.is_whole) == (0, 0, True)


def test_a_clock_that_went_back_makes_no_negative_duration() -> None:
    """The uptime of a container can be another than the node's."""
    stream = b"hello 1 1\nprobe node 1 node x\n" + gzip.compress(b"") + gzip.compress(b"\n0 5.00 4.00")
    assert parse_frames([stream]).results[0].duration_s == 0.0


@given(result_lists, st.integers(1, 200))
def test_a_log_reads_as_the_stream_that_was_written_to_it(
    written: tuple[CommandResult, ...], width: int
) -> None:
    """base64, folded into lines of any length."""
    text = base64.b64encode(print_answer(written))
    folded = b"\n".join(text[start : start + width] for start in range(0, len(text), width)) + b"\n"
    assert parse_log_frames(folded) == NodeAnswer(4026531840, written, is_whole=True)


@given(result_lists, st.integers(0, 10**6))
def test_a_log_cut_anywhere_is_a_cut_stream(written: tuple[CommandResult, ...], place: int) -> None:
    """Also in the middle of four letters."""
    text = base64.b64encode(print_answer(written))
    answer = parse_log_frames(text[: place % (len(text) - 4)])
    whole = tuple(each for each in answer.results if each.is_whole)
    assert not answer.is_whole
    assert whole == written[: len(whole)]


@pytest.mark.parametrize("log", [b"standard_init_linux.go: exec format error", "é".encode() * 4, b"AA==AAAA"])
def test_a_log_that_is_no_base64_is_shown(log: bytes) -> None:
    """A runtime's complaint in place of the answer."""
    with pytest.raises(ParseError, match="log of the debug pod") as caught:
        parse_log_frames(log)
    assert caught.value.line == log.decode()


def test_a_long_log_takes_no_more_than_its_share_of_time() -> None:
    """Four times the results take about four times the time: what is left is not copied for each of them."""
    noise = Random(7).randbytes(2000)
    printed = print_result(CommandResult("node", 1, "node", "x", 0, noise, b"", 0.5))
    short, long = (min(seconds_for(printed, count) for _ in range(3)) for count in (500, 2000))
    assert long < short * 9


def seconds_for(printed: bytes, count: int) -> float:
    log = base64.b64encode(b"hello 1 1\n" + printed * count + b"done %d\n" % count)
    begin = time.process_time()
    assert len(parse_log_frames(log).results) == count
    return time.process_time() - begin

"""Corefiles as Caddy reads them: what captures cannot show."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.corefile import Corefile, CorefileDirective
from netinspect.parse.corefile import parse_corefile
from netinspect.parse.corefile_words import split_words
from netinspect.parse.corefile_zones import parse_zones


def plugins(text: str) -> list[tuple[str, ...]]:
    """The lines of the only server block, without what is in their blocks."""
    (server,) = parse_corefile(text).servers
    return [(each.name, *each.arguments) for each in server.plugins]


def zones(text: str) -> list[tuple[str, str, str]]:
    return [(zone.scheme, zone.zone, zone.port) for zone in parse_zones(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fd00::1 10.0.0.1", ["fd00::1", "10.0.0.1"]),
        ("a#b c\nd", ["a", "c", "d"]),
        ("a #b c\nd", ["a", "d"]),
        ("a#b\rc d", ["a", "d"]),
        ("# all of it { }\n#", []),
        ('"a b" c"d"', ["a b", 'c"d"']),
        ('"a"b', ["a", "b"]),
        (r'"say \"no\"" "\d\\"', ['say "no"', r"\d\\"]),
        ('"two\nlines" x', ["two\nlines", "x"]),
        ('""', [""]),
        ("a\r\nb\rc", ["a", "bc"]),
        ("\ufeffa\u00a0b\u2003c", ["a", "b", "c"]),
        ("a\x1cb", ["a\x1cb"]),
        ("{$A} {%B%}", ["{$A}", "{%B%}"]),
        ('"#" x', ["#", "x"]),
    ],
)
def test_cuts_words_as_caddy_does(text: str, expected: list[str]) -> None:
    """Quotes, comments, escapes, white space of all kinds."""
    assert [word.text for word in split_words(text)] == expected


def test_counts_lines_through_quotes_and_comments() -> None:
    """A word's line is where it begins."""
    words = split_words('a # "\n"b\nc" d\n\ne')
    assert [(word.text, word.line, word.starts_line) for word in words] == [
        ("a", 1, True),
        ("b\nc", 2, True),
        ("d", 3, False),
        ("e", 5, True),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2001:db8::/32", [("dns", "8.b.d.0.1.0.0.2.ip6.arpa.", "")]),
        ("10.0.0.0/24", [("dns", "0.0.10.in-addr.arpa.", "")]),
        ("10.0.0.7/24:5353", [("dns", "0.0.10.in-addr.arpa.", "5353")]),
        ("10.1.0.0/15", [("dns", "0.10.in-addr.arpa.", ""), ("dns", "1.10.in-addr.arpa.", "")]),
        ("0.0.0.0/0", [("dns", "in-addr.arpa.", "")]),
        ("10.0.0.1/32", [("dns", "1.0.0.10.in-addr.arpa.", "")]),
        ("10.0.0.0/33", [("dns", "10.0.0.0/33.", "")]),
        ("::/0", []),
        ("2001:db8::/31", [("dns", f"{n}.b.d.0.1.0.0.2.ip6.arpa.", "") for n in "89"]),
        (".", [("dns", ".", "")]),
        (".:53", [("dns", ".", "53")]),
        (":1053", [("dns", ".", "1053")]),
        ("Cluster.Local", [("dns", "cluster.local.", "")]),
        ("cluster.local.:53", [("dns", "cluster.local.", "53")]),
        ("tls://example.org:853", [("tls", "example.org.", "853")]),
        ("https3://x", [("https3", "x.", "")]),
        ("gopher://x", [("dns", "gopher://x.", "")]),
        ("{$ZONE}:53", [("dns", "{$ZONE}", "53")]),
        (".:{$PORT}", [("dns", ".", "{$PORT}")]),
        ("Sub.{$ZONE}", [("dns", "Sub.{$ZONE}", "")]),
        ("a..b", []),
        ("x:", []),
        ("a." * 128, []),
        ("x" * 64, []),
    ],
)
def test_reads_keys_as_coredns_does(text: str, expected: list[tuple[str, str, str]]) -> None:
    """Zones in lower case with the root's dot, prefixes as reverse zones, ports, schemes, variables."""
    assert zones(text) == expected


def test_a_block_has_several_keys_on_several_lines() -> None:
    """A comma goes on to the next line; the brace may stand on a line of its own."""
    (server,) = parse_corefile("a.org b.org,\nfd00::/8, c.org\n{\n whoami\n}").servers
    assert [zone.zone for zone in server.zones] == ["a.org.", "b.org.", "d.f.ip6.arpa.", "c.org."]
    assert [each.name for each in server.plugins] == ["whoami"]
    assert server.line == 1


def test_one_block_needs_no_braces() -> None:
    """The first line has the keys, all others are plugins."""
    assert plugins(". fd00::/8\nforward . ::1\nlog") == [("forward", ".", "::1"), ("log",)]
    assert plugins(".:53") == []


def test_blocks_nest() -> None:
    """What stands between the braces of a line belongs to it, also when it begins behind the brace."""
    (server,) = parse_corefile(". {\n a 1 { b 2 {\n c\n}\n }\n d {\n }\n}").servers
    inner = CorefileDirective(name="c", line=3)
    assert server.plugins == (
        CorefileDirective(
            name="a",
            arguments=("1",),
            block=(CorefileDirective(name="b", arguments=("2",), block=(inner,), line=2),),
            line=2,
        ),
        CorefileDirective(name="d", line=6),
    )


def test_a_snippet_is_read_where_it_is_imported() -> None:
    """With the line numbers of its own place; a snippet in a snippet, and inside of a plugin's block."""
    text = "(a) {\n errors\n}\n(b) { import a\n log }\n. {\n import b\n cache {\n  import a\n }\n}"
    found = parse_corefile(text)
    (server,) = found.servers
    assert [(each.name, each.line) for each in server.plugins] == [("errors", 2), ("log", 5), ("cache", 8)]
    assert [each.name for each in server.plugins[2].block] == ["errors"]
    assert [(each.name, each.line) for each in found.snippets] == [("a", 1), ("b", 4)]
    assert [(each.name, each.arguments) for each in found.snippets[1].lines] == [
        ("import", ("a",)),
        ("log", ()),
    ]


def test_a_snippet_may_hold_a_whole_block() -> None:
    """Imported between blocks, its words are keys."""
    found = parse_corefile("(s) {\n a.org {\n log\n }\n}\nimport s\nb.org {\n}")
    assert [server.zones[0].zone for server in found.servers] == ["a.org.", "b.org."]


def test_an_import_counts_where_caddy_sees_a_line_begin() -> None:
    """Not as the first word of a snippet between blocks or in a plugin's block, nor behind a brace."""
    snippets = "(t) {\n log\n}\n(s) {\n import t\n import t\n}\n"
    (server,) = parse_corefile(f"{snippets}import s\n").servers
    assert [zone.text for zone in server.zones] == ["import", "t"]
    (server,) = parse_corefile(
        f"{snippets}. {{\n cache {{\n  import s\n }}\n hosts {{ import t\n }}\n}}"
    ).servers
    assert [[(each.name, *each.arguments) for each in plugin.block] for plugin in server.plugins] == [
        [("import", "t"), ("log",)],
        [("import", "t")],
    ]
    assert plugins(f"{snippets}. {{\n import s\n}}") == [("log",), ("log",)]


def test_files_that_are_imported_are_named() -> None:
    """Each once; a snippet that comes later is a file to Caddy, too."""
    found = parse_corefile(
        "import x/*.conf\n. {\n import late\n import x/*.conf\n}\n(late) {\n}\nimport {$F}\n"
    )
    assert found.imports == ("x/*.conf", "late", "{$F}")
    assert found.remainder == ()


@pytest.mark.parametrize(
    ("text", "remainder"),
    [
        (". {\n cache {\n } behind it\n}", ("3: behind it",)),
        (". { errors }", ("1: }",)),
        (". {\n import a b\n import\n}", ("2: import a b", "3: import")),
        ("(a) {\n}\n(a) {\n log\n}\n. {\n import a\n}", ("3: (a)",)),
        ("(a)\n. {\n}", ("1: (a)",)),
        ("a..b {\n}", ("1: a..b",)),
        ("{\n log\n}", ("1: {",)),
        (". {\n {\n log\n }\n}", ("2: {",)),
        ("a.org, {\n}", ("1: a.org,",)),
        ("\na.org,\n", ("2: a.org,",)),
    ],
)
def test_what_caddy_would_refuse_is_kept(text: str, remainder: tuple[str, ...]) -> None:
    """It is read as far as it goes, and stands in the remainder with its line's number."""
    assert parse_corefile(text).remainder == remainder


def test_the_first_of_two_snippets_counts() -> None:
    """Caddy would not start with a second."""
    assert plugins("(a) {\n log\n}\n(a) {\n errors\n}\n. {\n import a\n}") == [("log",)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (". {\n errors", "no closing brace"),
        ("(a) {\n b {\n }", "no closing brace"),
        (". {\n a {\n }", "no closing brace"),
        (". {\n}\n}", "without its opening one"),
        (".\nerrors\n}", "without its opening one"),
        ('. {\n answer "x\n}', "a quote has no end"),
        (". " + "{ a " * 100 + " }" * 100, "deep"),
        ("(a) {\n import b\n}\n(b) {\n import a\n}\n. {\n import a\n}", "import too much"),
    ],
)
def test_what_is_cut_or_endless_is_an_error(text: str, message: str) -> None:
    """Unbalanced braces and quotes, and nests and circles without end."""
    with pytest.raises(ParseError, match=message):
        parse_corefile(text)


def test_snippets_that_multiply_are_stopped() -> None:
    """Each imports the one before twice: a few lines would become millions."""
    bombs = [f"(s{n}) {{\n import s{n - 1}\n import s{n - 1}\n}}" for n in range(1, 40)]
    text = "\n".join(["(s0) {\n log\n}", *bombs, ". {\n import s39\n}"])
    started = time.perf_counter()
    with pytest.raises(ParseError):
        parse_corefile(text)
    assert time.perf_counter() - started < 5


WORDS = st.sampled_from(
    [
        "{",
        "}",
        "\n",
        " ",
        '"',
        "#",
        "import",
        "(a)",
        "a",
        ",",
        ".:53",
        "\\",
        "{$X}",
        "\r",
        "::1/8",
        "10.0.0.0/9",
    ]
)


@settings(deadline=None)
@given(
    st.one_of(
        st.text(), st.lists(WORDS, max_size=60).map(" ".join), st.lists(WORDS, max_size=60).map("".join)
    )
)
@example("(a) {\nimport a\n}\n. {\nimport a\n}")
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else than a ParseError, ever."""
    try:
        found = parse_corefile(text)
    except ParseError:
        return
    assert isinstance(found, Corefile)


def test_every_cut_of_a_block_is_an_error() -> None:
    """From the opening brace on: half a Corefile is none."""
    text = '.:53 {\n kubernetes cluster.local {\n  pods "insecure"\n }\n cache 30\n}'
    for length in range(text.index("{") + 1, len(text)):
        with pytest.raises(ParseError):
            parse_corefile(text[:length])


def test_time_grows_with_the_text() -> None:
    """Ten times the blocks take about ten times as long."""
    block = 'zone.example:53 10.0.0.0/24 {\n forward . ::1 {\n  policy "x y" # z\n }\n cache 30\n}\n'
    assert seconds(block * 4000) < 30 * max(seconds(block * 400), 0.002)


def seconds(text: str) -> float:
    """The least of three: a busy machine makes it only more."""
    return min(measure(text) for _ in range(3))


def measure(text: str) -> float:
    started = time.perf_counter()
    parse_corefile(text)
    return time.perf_counter() - started

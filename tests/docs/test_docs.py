"""What the documents say is so: links, examples, tables of codes, kinds, variables and make targets."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

import netinspect.usecases
from netinspect import __version__
from netinspect.cli.app import build_app
from netinspect.errors import ExitCode
from netinspect.models.debug_pod import Privilege, Transport
from netinspect.models.fact import Reason
from netinspect.models.finding import Severity
from netinspect.models.report import API_VERSION
from netinspect.models.stale_flow import StaleStatus
from netinspect.render.output_format import OutputFormat, StreamFormat
from netinspect.usecases.kinds import report_types
from tests.docs.markdown import ROOT, anchors, code_lines, links, list_documents, name, section, table

DOCUMENTS = list_documents()
GROUP: Any = typer.main.get_command(build_app())


def list_commands(group: Any, prefix: str = "") -> dict[str, Any]:
    """Return every command by its words: `veth`, `conntrack list`."""
    found: dict[str, Any] = {}
    for word, command in group.commands.items():
        is_group = hasattr(command, "commands")
        found |= list_commands(command, f"{prefix}{word} ") if is_group else {f"{prefix}{word}": command}
    return found


COMMANDS = list_commands(GROUP)
PREFIX = "kubectl netinspect "

# Flags whose value is one of a few words that the command line itself does not know.
CHOICES = {
    "output": {each.value for each in OutputFormat},
    "privilege": {"", *(each.value for each in Privilege)},
    "transport": {each.value for each in Transport},
    "fail_on": {"", *(each.value for each in Severity)},
}
# Commands that print results as they come.
STREAMS = ("conntrack watch",)


def document(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def examples() -> Iterator[tuple[str, str]]:
    """Yield every example with the place that it stands in."""
    for path in DOCUMENTS:
        for line in code_lines(path.read_text("utf-8")):
            if PREFIX in line:
                yield name(path), line
    for words, command in COMMANDS.items():
        for line in command.help.splitlines():
            if line.strip().startswith(PREFIX):
                yield f"{words} --help", line


def read_arguments(line: str) -> list[str]:
    """Return what stands behind `kubectl netinspect` in a shell line, without redirections and what follows a pipe."""
    lexer = shlex.shlex(line.partition(PREFIX)[2], posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    ends = (index for index, word in enumerate(words) if set(word) <= set("|>;&()"))
    return words[: next(ends, len(words))]


def words_of(arguments: list[str]) -> str:
    """Return the words that name the command: the first, or the first two where that is a group of commands."""
    is_group = hasattr(GROUP.commands.get(arguments[0]), "commands")
    return " ".join(arguments[: 2 if is_group else 1])


def parse_example(arguments: list[str]) -> None:
    """Let the command's own parser read the arguments; nothing is run."""
    words = words_of(arguments)
    context = COMMANDS[words].make_context(words, arguments[len(words.split()) :])
    allowed = {**CHOICES, "output": {each.value for each in StreamFormat}} if words in STREAMS else CHOICES
    for flag, values in allowed.items():
        if flag in context.params:
            assert context.params[flag] in values


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_relative_links_lead_somewhere(path: Path) -> None:
    """A link to a file of the project leads to one that is there, and its anchor to a heading of it."""
    for link in links(path.read_text("utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), f"{link} in {name(path)}"
        assert not anchor or anchor in anchors(file.read_text("utf-8")), f"{link} in {name(path)}"


@pytest.mark.parametrize(
    ("place", "line"), list(dict.fromkeys(examples())), ids=lambda text: text.strip()[:60]
)
def test_examples_are_understood(place: str, line: str) -> None:
    """Every example names a command that exists, with flags and arguments that it takes."""
    parse_example(read_arguments(line))


def test_every_command_has_an_example_in_the_readme() -> None:
    """No command is left out of the README's examples, and most show how they are used in their own help."""
    shown = {words_of(read_arguments(line)) for place, line in examples() if place == "README.md"}
    assert shown == set(COMMANDS)
    helped = {place.removesuffix(" --help") for place, _ in examples() if place.endswith("--help")}
    assert set(COMMANDS) - helped == {"options"}


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("kubectl netinspect nope", "KeyError"),
        ("kubectl netinspect conntrack nope", "KeyError"),
        ("kubectl netinspect veth --nope", "NoSuchOption"),
        ("kubectl netinspect schema", "MissingParameter"),
        ("kubectl netinspect schema veth netns", "UsageError"),
        ("kubectl netinspect pods -o xml | less", "AssertionError"),
        ("kubectl netinspect veth --transport pigeon > out", "AssertionError"),
    ],
)
def test_wrong_examples_are_not_understood(line: str, error: str) -> None:
    """The check above fails for an unknown command, flag or value, and for an argument too many or too few."""
    # The last one is click's UsageError, which Typer has under a private name or not, by version.
    with pytest.raises((KeyError, AssertionError, typer.BadParameter.__mro__[1])) as raised:
        parse_example(read_arguments(line))
    assert type(raised.value).__name__ == error


def test_readme_lists_the_commands() -> None:
    """The README's table of commands is the application's, in the order of its help."""
    assert [row[0] for row in table(document("README.md"), "command")] == list(COMMANDS)


def test_readme_names_flags_that_exist() -> None:
    """The flags in the README's table of ways onto a node are flags of `veth`."""
    known = {option for parameter in GROUP.commands["veth"].params for option in parameter.opts}
    text = section(document("README.md"), "### The way onto a node")
    named = {flag for row in table(text, "flag") for flag in re.findall(r"--[a-z-]+", row[0])}
    assert named
    assert named <= known


def test_exit_codes() -> None:
    """docs/output.md lists exactly the exit codes of the program, by their names."""
    rows = table(document("docs/output.md"), "code")
    assert [(int(code), word) for code, word, _ in rows] == [(each.value, each.name) for each in ExitCode]


def test_output_formats() -> None:
    """docs/output.md lists exactly the formats that -o takes, in the order of its help; last those of a stream."""
    rows = table(document("docs/output.md"), "format")
    formats = [*(each.value for each in OutputFormat), *(each.value for each in StreamFormat)]
    assert [row[0] for row in rows] == list(dict.fromkeys(formats))


def test_reasons_of_gaps() -> None:
    """docs/output.md lists exactly the reasons for which a fact can be missing."""
    rows = table(document("docs/output.md"), "reason")
    assert [row[0] for row in rows] == [each.value for each in Reason]


def test_kinds_of_reports() -> None:
    """docs/output.md names the kind of every command's report, and the version that they bear."""
    text = document("docs/output.md")
    modules = [
        importlib.import_module(f"netinspect.usecases.{each.name}")
        for each in pkgutil.iter_modules(netinspect.usecases.__path__)
    ]
    kinds = {
        value
        for module in modules
        for key, value in vars(module).items()
        if re.fullmatch(r"([A-Z]+_)?KIND", key)
    }
    rows = table(section(text, "## Reports"), "command")
    assert [row[0] for row in rows] == list(report_types())
    assert {row[1] for row in rows} == kinds
    assert f"`{API_VERSION}`" in text


def test_findings() -> None:
    """docs/output.md lists exactly the ids of findings that the code knows, with severities that exist."""
    sources = (ROOT / "netinspect" / "analyze").rglob("*.py")
    texts = [path.read_text("utf-8") for path in sources]
    known = {each for text in texts for each in re.findall(r'"((?:dns|conntrack|dataplane)-[a-z-]+)"', text)}
    rows = table(document("docs/output.md"), "finding")
    assert {row[0] for row in rows} == known
    assert len(rows) == len(known)
    named = {each for row in rows for each in row[1].split(", ")}
    assert named == {each.value for each in Severity}


def test_statuses_of_stale_flows() -> None:
    """docs/output.md explains exactly the statuses of `conntrack stale`."""
    rows = table(document("docs/output.md"), "status")
    assert {row[0] for row in rows} == {each.value for each in StaleStatus}


def test_variables() -> None:
    """The README lists exactly the environment variables of netinspect's own that the code reads."""
    sources = (ROOT / "netinspect").rglob("*.py")
    used = {match for path in sources for match in re.findall(r"NETINSPECT_[A-Z_]+", path.read_text("utf-8"))}
    assert {row[0] for row in table(document("README.md"), "variable")} == used


def test_make_targets() -> None:
    """Every `make TARGET` in the documents is a target of the Makefile."""
    rules = "".join(path.read_text("utf-8") for path in (ROOT / "Makefile", ROOT / "bench.mk"))
    targets = set(re.findall(r"^([a-z][a-z-]*):", rules, re.MULTILINE))
    named = {
        target
        for path in DOCUMENTS
        for line in code_lines(path.read_text("utf-8"))
        for target in re.findall(r"(?:^|\()(?:[A-Z_]+=\S+ )*make (?:-s )?([a-z][a-z-]*)", line)
    }
    assert {"check", "demo", "test", "bench", "cluster-up"} <= named
    assert named <= targets


def test_floors() -> None:
    """docs/architecture.md draws the floors as import-linter holds them."""
    layers = re.search(r"^layers =\n((?: +\S.*\n)+)", document("setup.cfg"), re.MULTILINE)
    assert layers is not None
    held = [re.findall(r"\w+", line) for line in layers.group(1).splitlines()]
    drawn = [re.findall(r"\w+", row[0]) for row in table(document("docs/architecture.md"), "floor")]
    assert drawn == held


def test_rooms_exist() -> None:
    """Every path in docs/architecture.md's table of rooms is there."""
    rows = table(document("docs/architecture.md"), "change")
    paths = [path for _, rooms in rows for path in re.findall(r"[\w./*-]*(?:/|\.py|\.sh|\.md)", rooms)]
    assert len(paths) > len(rows)
    for path in paths:
        assert list(ROOT.glob(path)) or list((ROOT / "netinspect").glob(path)), path


def test_every_decision_is_listed() -> None:
    """docs/decisions/README.md lists every record, and each is short and has its three parts."""
    folder = ROOT / "docs" / "decisions"
    records = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    listed = [link for link in links((folder / "README.md").read_text("utf-8")) if "/" not in link]
    assert listed == [path.name for path in records]
    for number, path in enumerate(records, start=1):
        text = path.read_text("utf-8")
        assert text.startswith(f"# {number:04}: ")
        assert path.name.startswith(f"{number:04}-")
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
        assert len(text.splitlines()) <= 40, path.name


def test_changelog_has_this_version() -> None:
    """The version that the program names has its section in the changelog."""
    headings = re.findall(r"^## \[(.+?)\]", document("CHANGELOG.md"), re.MULTILINE)
    assert headings[:2] == ["Unreleased", __version__]


def test_licence_is_the_one_that_is_declared() -> None:
    """LICENSE holds the Apache License 2.0, as setup.cfg says."""
    text = document("LICENSE")
    assert "Apache License" in text[:200]
    assert "END OF TERMS AND CONDITIONS" in text
    assert re.search(r"^license = Apache-2\.0$", document("setup.cfg"), re.MULTILINE)


def test_documents_name_no_place_of_a_machine() -> None:
    """No document holds a path of somebody's home or work folder."""
    places = [os.path.expanduser("~"), "/home/", "/Users/"]
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        assert not [place for place in places if f"{place.rstrip('/')}/" in text], name(path)

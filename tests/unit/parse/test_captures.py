"""Every captured output is read as its neighbour file says."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from netinspect.models.codec import encode_json
from tests.captures.parsers import PARSERS, TOOLS, list_cases

CASES = [(tool, case) for tool in PARSERS for case in list_cases(tool)]
META_KEYS = ("command", "tool", "kernel", "origin")


@pytest.mark.parametrize(("tool", "case"), CASES, ids=[f"{tool}-{case.stem}" for tool, case in CASES])
def test_reads_the_capture_as_expected(tool: str, case: Path) -> None:
    """The parser's result, as JSON, is what a person once read in the capture."""
    found = msgspec.json.decode(encode_json(PARSERS[tool](case.read_bytes())))
    assert found == msgspec.json.decode(case.with_suffix(".json").read_bytes())


@pytest.mark.parametrize("tool", PARSERS)
def test_every_parser_has_a_capture(tool: str) -> None:
    """A parser that is tried on nothing real fails here."""
    assert list_cases(tool)


def test_every_capture_has_a_parser_and_an_expectation() -> None:
    """A folder that no parser reads, or an output whose result nobody wrote down, would prove nothing."""
    stray = [folder.name for folder in TOOLS.iterdir() if folder.is_dir() and folder.name not in PARSERS]
    assert stray == []
    outputs = {case.with_suffix("") for case in TOOLS.glob("*/*.out")}
    assert {case.with_suffix("") for case in TOOLS.glob("*/*.json")} == outputs
    assert {case.with_suffix("") for case in TOOLS.glob("*/*.meta")} == outputs


@pytest.mark.parametrize(
    "meta", sorted(TOOLS.glob("*/*.meta")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_says_where_the_capture_comes_from(meta: Path) -> None:
    """Command, tool version, kernel and origin stand beside every capture."""
    keys = [line.partition(": ")[0] for line in meta.read_text().splitlines()]
    assert tuple(keys) == META_KEYS

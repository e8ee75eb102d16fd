"""The sample in the README is what `veth` prints today (the names in it are of one day's pods)."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from netinspect.render.veth import columns

README = Path(__file__).parents[2] / "README.md"


def test_the_sample_has_the_columns_of_the_table() -> None:
    """The header line lists the columns that are not for `-o wide` only, in their order."""
    sample = re.search(r"<!-- sample: veth -->(.*?)<!-- /sample -->", README.read_text("utf-8"), re.DOTALL)
    assert sample is not None
    header = next(line for line in sample[1].splitlines() if line.startswith("POD"))
    shown = [column.header for column in columns(with_namespace=False) if not column.is_wide]
    assert re.split(r"\s{2,}", header.strip()) == shown


def test_the_sample_of_rules_names_no_chain_twice_in_a_row() -> None:
    sample = re.search(r"<!-- sample: rules -->(.*?)<!-- /sample -->", README.read_text("utf-8"), re.DOTALL)
    assert sample is not None
    ways = [line.partition("by ")[2] for line in sample[1].splitlines() if re.search(r"[ │]by nat ", line)]
    assert ways
    for way in ways:
        chains = [step.rpartition(" (")[0].split()[-1] for step in way.split(" > ")]
        assert all(first != second for first, second in pairwise(chains)), way

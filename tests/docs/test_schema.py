"""The published schemas are those of the models."""

from __future__ import annotations

from pathlib import Path

import pytest

from netinspect.render.structured import render_schema
from netinspect.usecases.kinds import schema_types

SCHEMAS = Path(__file__).parents[2] / "docs" / "schema"


def file_name(command: str) -> str:
    """Return the name of the file that holds a command's schema."""
    return f"{command.replace(' --', '-').replace(' ', '-')}.json"


@pytest.mark.parametrize("command", schema_types())
def test_a_published_schema_is_what_the_command_prints(command: str) -> None:
    """docs/schema/COMMAND.json equals `kubectl netinspect schema COMMAND`."""
    assert (SCHEMAS / file_name(command)).read_text("utf-8") == render_schema(schema_types()[command])


def test_no_schema_is_published_that_no_command_prints() -> None:
    """Every file of docs/schema belongs to a command."""
    assert {path.name for path in SCHEMAS.iterdir()} == {file_name(command) for command in schema_types()}

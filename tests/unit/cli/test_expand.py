"""Groups of flags in the place of a parameter."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from typer import Option, Typer
from typer.testing import CliRunner

from netinspect.cli.expand import expand


@dataclass(frozen=True)
class Colours:
    """A group."""

    ink: Annotated[str, Option("--ink", help="What to write with.")] = "black"
    papers: Annotated[list[str] | None, Option("--paper")] = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Size:
    """Another group, with a flag that has to be given."""

    width: Annotated[int, Option("--width")]


def paint(name: str, *, colours: Colours, size: Size, loud: bool = False) -> tuple[Any, ...]:
    """Paint."""
    return name, colours, size, loud


def test_a_group_is_shown_as_its_fields() -> None:
    """In its place, with their hints and defaults; what is no group stays."""
    shown = inspect.signature(expand(paint)).parameters
    assert list(shown) == ["name", "ink", "papers", "tags", "width", "loud"]
    assert (shown["ink"].default, shown["papers"].default, shown["tags"].default) == ("black", None, {})
    assert shown["width"].default is inspect.Parameter.empty
    assert shown["loud"].default is False
    assert shown["ink"].annotation.__metadata__[0].help == "What to write with."


def test_the_function_is_given_the_groups() -> None:
    """Built of the fields, whatever their order."""
    called = expand(paint)(loud=True, width=3, papers=["a"], tags={}, ink="red", name="x")
    assert called == ("x", Colours("red", ["a"], {}), Size(3), True)


def test_name_and_docstring_stay() -> None:
    """Help is made of them."""
    wrapped = expand(paint)
    assert (wrapped.__name__, wrapped.__doc__) == ("paint", "Paint.")


def test_a_function_without_groups_is_as_before() -> None:
    """Nothing is added or lost."""

    def plain(*, count: int = 2) -> int:
        return count

    assert list(inspect.signature(expand(plain)).parameters) == ["count"]
    assert expand(plain)(count=7) == 7


def painted(*arguments: str) -> list[Any]:
    """Run a command with groups as Typer does; return what its function was given."""
    seen: list[Any] = []

    def command(*, colours: Colours2, size: Size) -> None:
        seen.extend((colours, size))

    app = Typer()
    function: Callable[..., Any] = expand(command)
    app.command()(function)
    result = CliRunner().invoke(app, list(arguments), standalone_mode=False)
    assert result.exception is None, result.exception
    return seen


@dataclass(frozen=True)
class Colours2:
    """What Typer can read."""

    ink: Annotated[str, Option("--ink")] = "black"
    papers: Annotated[list[str] | None, Option("--paper")] = None


def test_typer_reads_the_flags_of_a_group() -> None:
    """Given, repeated, or left at their defaults."""
    assert painted("--width", "3") == [Colours2(), Size(3)]
    assert painted("--paper", "a", "--width", "3", "--paper", "b", "--ink", "red") == [
        Colours2("red", ["a", "b"]),
        Size(3),
    ]

"""Groups of flags, written once and shared by commands.

Typer reads a command's flags from its function's signature. `expand` lets a function ask for a whole group by one
parameter annotated with a dataclass: Typer is shown the group's fields in its place, and the function gets the group.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache, wraps
from typing import Any, get_type_hints


def expand(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` with each dataclass parameter replaced by the dataclass's fields, as keywords."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, type[Any]] = {}
    shown: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints.get(name, parameter.annotation)
        if is_dataclass(hint) and isinstance(hint, type):
            groups[name] = hint
            shown += _parameters_of(hint)
        else:
            shown.append(parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(function)
    def call(**values: Any) -> Any:
        for name, group in groups.items():
            own = {field.name: values.pop(field.name) for field in fields(group)}
            values[name] = group(**own)
        return function(**values)

    # A parameter with a default may not stand before one without; all are keywords, so the order is free.
    call.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in shown}
    return call


@cache
def _parameters_of(group: type[Any]) -> list[inspect.Parameter]:
    """Read a group once: evaluating its annotations is what the start of the program would be spent on."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_default_of(field),
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]


def _default_of(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    if field.default_factory is not MISSING:
        return field.default_factory()
    return inspect.Parameter.empty

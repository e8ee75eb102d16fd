"""The table of `diff`."""

from __future__ import annotations

from netinspect.models.difference import Change, Difference, FieldChange, Subject
from netinspect.render.table import Column

_MOST = 8
"""Of longer lists a table shows only what came and what went; `-o wide` shows all of both."""

COLUMNS = (
    Column[Difference]("WHAT", lambda each: each.what.value),
    Column[Difference]("NAME", lambda each: show_name(each)),
    Column[Difference]("NODE", lambda each: each.node),
    Column[Difference]("CHANGE", lambda each: each.change.value),
    Column[Difference]("DETAIL", lambda each: show_detail(each)),
)
WIDE_COLUMNS = (
    *COLUMNS[:3],
    Column[Difference]("FAMILY", lambda each: "" if each.family is None else f"IPv{each.family}"),
    COLUMNS[3],
    Column[Difference]("DETAIL", lambda each: show_detail(each, is_wide=True)),
)


def show_name(each: Difference) -> str:
    """Return what the table calls it: a pod's link with its pod."""
    return f"pod {each.pod} {each.name}" if each.pod else each.name


def name_of(each: Difference) -> str:
    """Return the resource name, as `-o name` prints it: as kubectl does, without the namespace."""
    name = each.name.partition("/")[2] if each.namespace and not each.pod else each.name
    if each.pod:
        return f"pod/{each.pod.partition('/')[2]}/{name}"
    if each.what is Subject.LINK:
        return f"node/{each.node}/{name}"
    if each.what is Subject.DATAPLANE:
        return f"node/{each.node}/IPv{each.family}/{name}"
    if each.what is Subject.CONNTRACK:
        return f"node/{each.node}"
    return f"{each.what.value}/{name}"


def show_detail(each: Difference, *, is_wide: bool = False) -> str:
    """Write what is different, or what it is or was that was added or removed."""
    shown = "; ".join(_show_field(field, each.change, is_wide=is_wide) for field in each.fields)
    hook = f" at {each.hooks[0].value}" if len(each.hooks) == 1 else ""
    return ": ".join(part for part in (f"{each.at}{hook}", shown) if part)


def _show_field(field: FieldChange, change: Change, *, is_wide: bool) -> str:
    name = f"{field.field} (from {field.source})" if field.source else field.field
    if change is not Change.CHANGED:
        return f"{name} {_show_one_side(field, is_wide=is_wide)}"
    old, new = (value.split(", ") if value else [] for value in (field.before, field.after))
    if is_wide or len(old) + len(new) <= _MOST:
        return f"{name} {field.before or 'none'} -> {field.after or 'none'}"
    moved = (
        *(f"-{each}" for each in old if each not in new),
        *(f"+{each}" for each in new if each not in old),
    )
    return f"{name} {len(old)} -> {len(new)} ({', '.join(moved[:_MOST])}{' ...' if moved[_MOST:] else ''})"


def _show_one_side(field: FieldChange, *, is_wide: bool) -> str:
    values = (field.before or field.after or "none").split(", ")
    more = len(values) - _MOST
    if is_wide or more <= 0:
        return ", ".join(values)
    return f"{', '.join(values[:_MOST])} and {more} more"

"""Reports for programs: JSON and YAML of the same model, and the schema that both follow."""

from __future__ import annotations

import json
from typing import Any

from netinspect.models.codec import json_schema, to_builtins


def render_json(value: object) -> str:
    """Write a model as indented JSON. What is not printable ASCII is escaped: it may steer a terminal."""
    return json.dumps(to_builtins(value), indent=4).replace("\x7f", "\\u007f") + "\n"


def render_yaml(value: object) -> str:
    """Write a model as YAML, keys in the model's order. What is not printable ASCII is escaped, as in JSON."""
    import yaml  # late: 15 ms that no other output needs

    text: str = yaml.safe_dump(to_builtins(value), sort_keys=False, allow_unicode=False)
    return text


def render_schema(type_: object) -> str:
    """Write the JSON Schema of a report type."""
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **json_schema(type_)}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"

"""What `-o` takes. On its own, so that reading the flag costs no import."""

from __future__ import annotations

from enum import StrEnum


class OutputFormat(StrEnum):
    """What `-o` takes."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class StreamFormat(StrEnum):
    """What `-o` takes where results are printed as they come: a report as a whole is never there."""

    TABLE = "table"
    WIDE = "wide"
    JSONL = "jsonl"

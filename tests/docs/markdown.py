"""What tests need of Markdown: files, links, headings, tables, code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
_INLINE = re.compile(r"`([^`\n]+)`")


def list_documents() -> list[Path]:
    """Return the project's Markdown files."""
    folders = (ROOT / "docs", ROOT / "tests", ROOT / "bench")
    found = [*ROOT.glob("*.md"), *(path for folder in folders for path in folder.rglob("*.md"))]
    return sorted(path for path in found if not any(part.startswith(".") for part in path.parts))


def name(path: Path) -> str:
    """Name a file as a test's id."""
    return str(path.relative_to(ROOT))


def links(text: str) -> list[str]:
    """Return the targets of inline links, those in code left out."""
    return _LINK.findall(_INLINE.sub("", _FENCE.sub("", text)))


def anchors(text: str) -> set[str]:
    """Return the anchors of headings: lower case, without punctuation, spaces as dashes."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_lines(text: str) -> Iterator[str]:
    """Yield the lines of fenced code, without prompt and comment, a continued line as one; and each inline code."""
    for _, body in _FENCE.findall(text):
        for line in body.replace("\\\n", " ").splitlines():
            yield re.sub(r"(^|\s+)# .*", "", re.sub(r"^[#$] ", "", line))
    yield from _INLINE.findall(_FENCE.sub("", text))


def section(text: str, heading: str) -> str:
    """Return what stands below a heading, up to the next one of any level."""
    _, found, rest = text.partition(f"{heading}\n")
    assert found, f"no heading {heading!r}"
    return re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def table(text: str, first_header: str) -> list[tuple[str, ...]]:
    """Return the rows of the table whose first column has this header; backticks are taken off the cells."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {first_header} |"):
            next(lines)
            return list(_rows(lines))
    raise AssertionError(f"no table with the first column {first_header!r}")


def _rows(lines: Iterator[str]) -> Iterator[tuple[str, ...]]:
    for line in lines:
        if not line.startswith("|"):
            return
        cells = re.split(r"(?<!\\)\|", line.strip("|"))
        yield tuple(cell.strip().strip("`").replace("\\|", "|") for cell in cells)

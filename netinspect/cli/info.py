"""Commands that ask nobody: `version`, `options`, `schema`."""

from __future__ import annotations

import sys
from typing import Annotated

from typer import Argument

from netinspect.cli.flags import ConnectionFlags, OutputFlags
from netinspect.errors import UsageError


def version(*, output: OutputFlags) -> None:
    """Print the versions of netinspect and of what it stands on.

    Examples:

      # As a bug report wants it
      kubectl netinspect version -o json
    """
    import platform
    from importlib import metadata

    from netinspect import __version__
    from netinspect.cli.run import read_output
    from netinspect.render.output_format import OutputFormat

    versions = {"netinspect": __version__, "python": platform.python_version()}
    for library in ("kubernetes", "typer", "tabulate", "msgspec", "websocket-client"):
        versions[library] = metadata.version(library)
    chosen = read_output(output)
    if chosen in (OutputFormat.JSON, OutputFormat.YAML):
        from netinspect.render.structured import render_json, render_yaml

        render = render_json if chosen is OutputFormat.JSON else render_yaml
        sys.stdout.write(render(versions))
    else:
        sys.stdout.write("".join(f"{name} {number}\n" for name, number in versions.items()))


def options() -> None:
    """List the connection flags that every command takes. They are kubectl's, and mean the same."""
    from dataclasses import fields
    from typing import get_type_hints

    hints = get_type_hints(ConnectionFlags, include_extras=True)
    for field in fields(ConnectionFlags):
        (flag,) = hints[field.name].__metadata__
        # Inside Annotated, Typer keeps the first declaration of an option as its "default".
        declared = [each for each in (flag.default, *(flag.param_decls or ())) if isinstance(each, str)]
        names = ", ".join(reversed(declared or [f"--{field.name.replace('_', '-')}"]))
        sys.stdout.write(f"  {names}\n        {flag.help}\n")


def schema(
    command: Annotated[str, Argument(help="A command that prints JSON, in one word.", metavar="COMMAND")],
) -> None:
    """Print the JSON Schema of what a command prints with -o json (conntrack watch: of a line of -o jsonl).

    Examples:

      # What the items of veth hold, and those of a command of two words
      kubectl netinspect schema veth
      kubectl netinspect schema "conntrack list"
    """
    from netinspect.render.structured import render_schema
    from netinspect.usecases.kinds import schema_types

    types = schema_types()
    if command not in types:
        raise UsageError(f'no command "{command}" prints JSON', f"one of: {', '.join(types)}")
    sys.stdout.write(render_schema(types[command]))

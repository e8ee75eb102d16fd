"""The command line as a whole: which commands there are, in the order in which help lists them."""

from __future__ import annotations

from inspect import cleandoc

import typer

from netinspect.cli.cleanup import cleanup
from netinspect.cli.exec import exec_
from netinspect.cli.expand import expand
from netinspect.cli.info import options, schema, version
from netinspect.cli.netns import netns
from netinspect.cli.pods import pods
from netinspect.cli.services import services
from netinspect.cli.veth import veth

_HELP = """Read the network of Kubernetes nodes, parsed and matched with the API.

Pods and services are resolved through the API. What only a node knows is read by a debug pod that is started
there for the command and deleted at its end.

Use "kubectl netinspect COMMAND --help" for a command, and "kubectl netinspect options" for the connection flags
(kubectl's own) that every command takes.
"""


def build_app(only: str = "") -> typer.Typer:
    """Return the application. Plain help: rich would cost half of the time that `--help` takes.

    Args:
        only: the name of the one command that is going to run, which saves building the others; a name that is
            no command's, and "", give all.
    """
    app = typer.Typer(
        help=_HELP,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help=_HELP)(_main)
    chosen = [each for each in _COMMANDS if each[1] == only] or _COMMANDS
    for function, name, short_help in chosen:
        app.command(name, help=format_help(function.__doc__ or ""), short_help=short_help)(expand(function))
    return app


_COMMANDS = (
    (pods, "pods", "List pods with their addresses of both families"),
    (services, "services", "List services with their addresses, ports and endpoints"),
    (netns, "netns", "Find pods' network namespaces and the processes in them"),
    (veth, "veth", "Find the node's end of pods' links, and back"),
    (exec_, "exec", "Run a tool in a pod's network namespace"),
    (cleanup, "cleanup", "Delete debug pods that are still there"),
    (schema, "schema", "Print the JSON Schema of a command's output"),
    (options, "options", "List the connection flags that every command takes"),
    (version, "version", "Print versions"),
)


def format_help(docstring: str) -> str:
    """Keep the lines of the examples as they are: a paragraph behind a backspace is not folded (click)."""
    paragraphs = cleandoc(docstring).split("\n\n")
    return "\n\n".join(f"\b\n{each}" if each.startswith("  ") else each for each in paragraphs)


def _main() -> None:
    """Take no flags of its own: kubectl allows none before a plugin's name, and its help is the application's."""

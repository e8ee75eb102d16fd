"""The command line as a whole: which commands there are, in the order in which help lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from inspect import cleandoc
from typing import Any

import typer

from netinspect.cli import conntrack
from netinspect.cli.cleanup import cleanup
from netinspect.cli.dataplane import dataplane
from netinspect.cli.diff import diff
from netinspect.cli.dns import dns
from netinspect.cli.exec import exec_
from netinspect.cli.expand import expand
from netinspect.cli.info import options, schema, version
from netinspect.cli.iptables import iptables
from netinspect.cli.ipvs import ipvs
from netinspect.cli.netns import netns
from netinspect.cli.nftables import nftables
from netinspect.cli.pods import pods
from netinspect.cli.rules import rules
from netinspect.cli.services import services
from netinspect.cli.snapshot import snapshot
from netinspect.cli.veth import veth

_HELP = """Read the network of Kubernetes nodes, parsed and matched with the API.

Pods and services are resolved through the API. What only a node knows is read by a debug pod that is started
there for the command and deleted at its end.

Use "kubectl netinspect COMMAND --help" for a command, and "kubectl netinspect options" for the connection flags
(kubectl's own) that every command takes.
"""


def build_app(words: Sequence[str] = ()) -> typer.Typer:
    """Return the application. Plain help: rich would cost half of the time that `--help` takes.

    Args:
        words: what the command line begins with: of the commands it names, the one that is going to run, the others are
            not built, which saves time. Words that name none build all.
    """
    first, second = (*words[:2], "", "")[:2]
    app = _new_app(_HELP)
    names = [name for _, name, _ in _COMMANDS] + [name for name, *_ in _GROUPS]
    wanted = {first} if first in names else set(names)
    _add_commands(app, [each for each in _COMMANDS if each[1] in wanted])
    for name, help_text, short_help, commands in _GROUPS:
        if name in wanted:
            group = _new_app(help_text)
            chosen = [each for each in commands if each[1] == second and first == name]
            _add_commands(group, chosen or commands)
            app.add_typer(group, name=name, short_help=short_help)
    return app


def _new_app(help_text: str) -> typer.Typer:
    app = typer.Typer(
        help=help_text,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help=help_text)(_main)
    return app


def _add_commands(app: typer.Typer, commands: Iterable[tuple[Callable[..., Any], str, str]]) -> None:
    for function, name, short_help in commands:
        app.command(name, help=format_help(function.__doc__ or ""), short_help=short_help)(expand(function))


_COMMANDS = (
    (pods, "pods", "List pods with their addresses of both families"),
    (services, "services", "List services with their addresses, ports and endpoints"),
    (netns, "netns", "Find pods' network namespaces and the processes in them"),
    (veth, "veth", "Find the node's end of pods' links, and back"),
    (dns, "dns", "Ask the cluster's DNS from a node or a pod, and judge the answers"),
    (dataplane, "dataplane", "Say which dataplane nodes really use, and what others left behind"),
    (rules, "rules", "Show what nodes do with packets to Services, whichever dataplane has the rules"),
    (iptables, "iptables", "Show Services as iptables has them, or chains rule by rule"),
    (nftables, "nftables", "Show Services as nftables has them, or chains rule by rule"),
    (ipvs, "ipvs", "List the virtual servers of IPVS with Services, real servers and pods"),
    (snapshot, "snapshot", "Record what all reading commands read, once, in one file"),
    (diff, "diff", "Say what changed between two snapshots, or between one and now"),
    (exec_, "exec", "Run a tool in a pod's network namespace"),
    (cleanup, "cleanup", "Delete debug pods that are still there"),
    (schema, "schema", "Print the JSON Schema of a command's output"),
    (options, "options", "List the connection flags that every command takes"),
    (version, "version", "Print versions"),
)

_GROUPS = (("conntrack", conntrack.HELP, "Read, watch and judge connection tracking", conntrack.COMMANDS),)


def list_commands() -> list[str]:
    """Return the words of every command, in the order in which help lists them."""
    single = [name for _, name, _ in _COMMANDS]
    grouped = [f"{group} {name}" for group, *_, commands in _GROUPS for _, name, _ in commands]
    return [*single, *grouped]


def format_help(docstring: str) -> str:
    """Keep the lines of the examples as they are: a paragraph behind a backspace is not folded (click)."""
    paragraphs = cleandoc(docstring).split("\n\n")
    return "\n\n".join(f"\b\n{each}" if each.startswith("  ") else each for each in paragraphs)


def _main() -> None:
    """Take no flags of its own: kubectl allows none before a plugin's name, and its help is the application's."""

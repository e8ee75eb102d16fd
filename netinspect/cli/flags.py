"""The flags that commands share, with kubectl's names where kubectl has them.

Plain dataclasses of plain types: nothing here may cost `--help` an import. The connection flags are hidden in the
help of each command, as kubectl's are, and listed by `kubectl netinspect options`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from typer import Option

DEFAULT_IMAGE = "nicolaka/netshoot:v0.13"


@dataclass(frozen=True)
class ConnectionFlags:
    """kubectl's connection flags (cli-runtime, ConfigFlags)."""

    kubeconfig: Annotated[str, Option(help="Path to the kubeconfig file.", metavar="FILE", hidden=True)] = ""
    context: Annotated[str, Option(help="The kubeconfig context to use.", metavar="NAME", hidden=True)] = ""
    namespace: Annotated[
        str,
        Option(
            "--namespace",
            "-n",
            help="The namespace of the targets.",
            metavar="NAME",
        ),
    ] = ""
    cluster: Annotated[str, Option(help="The kubeconfig cluster to use.", metavar="NAME", hidden=True)] = ""
    user: Annotated[str, Option(help="The kubeconfig user to use.", metavar="NAME", hidden=True)] = ""
    server: Annotated[
        str,
        Option(
            "--server",
            "-s",
            help="Address and port of the API server.",
            metavar="URL",
            hidden=True,
        ),
    ] = ""
    token: Annotated[str, Option(help="Bearer token for the API server.", metavar="TOKEN", hidden=True)] = ""
    as_user: Annotated[str, Option("--as", help="User to impersonate.", metavar="NAME", hidden=True)] = ""
    as_group: Annotated[
        list[str] | None,
        Option("--as-group", help="Group to impersonate (repeatable).", hidden=True),
    ] = None
    as_uid: Annotated[str, Option("--as-uid", help="UID to impersonate.", hidden=True)] = ""
    as_user_extra: Annotated[
        list[str] | None,
        Option(
            "--as-user-extra",
            help="Extra to impersonate, KEY=VALUE (repeatable).",
            metavar="KEY=VALUE",
            hidden=True,
        ),
    ] = None
    certificate_authority: Annotated[
        str,
        Option(
            help="File of the API server's certificate authority.",
            metavar="FILE",
            hidden=True,
        ),
    ] = ""
    client_certificate: Annotated[
        str, Option(help="File of the client's certificate.", metavar="FILE", hidden=True)
    ] = ""
    client_key: Annotated[str, Option(help="File of the client's key.", metavar="FILE", hidden=True)] = ""
    insecure_skip_tls_verify: Annotated[
        bool,
        Option(
            "--insecure-skip-tls-verify",
            help="Do not check the API server's certificate.",
            hidden=True,
        ),
    ] = False
    tls_server_name: Annotated[
        str,
        Option(
            help="Name to expect in the API server's certificate.",
            metavar="NAME",
            hidden=True,
        ),
    ] = ""
    disable_compression: Annotated[
        bool,
        Option("--disable-compression", help="Ask the API server for uncompressed answers.", hidden=True),
    ] = False
    request_timeout: Annotated[
        str,
        Option(
            help="Time for one API request: 10s, 2m; 0 leaves netinspect's own limits.",
            metavar="DURATION",
            hidden=True,
        ),
    ] = "0"


@dataclass(frozen=True)
class ConntrackConnectionFlags(ConnectionFlags):
    """The same, but for -s: in conntrack's own words that is a source address."""

    server: Annotated[
        str, Option("--server", help="Address and port of the API server.", metavar="URL", hidden=True)
    ] = ""


@dataclass(frozen=True)
class FlowFilterFlags:
    """Which flows are meant: conntrack-tools' own words."""

    src: Annotated[
        list[str] | None,
        Option("--src", "-s", help="Source of the original tuple (repeatable).", metavar="ADDRESS[/LENGTH]"),
    ] = None
    dst: Annotated[
        list[str] | None,
        Option(
            "--dst", "-d", help="Destination of the original tuple (repeatable).", metavar="ADDRESS[/LENGTH]"
        ),
    ] = None
    sport: Annotated[int | None, Option(help="Source port of the original tuple.", metavar="PORT")] = None
    dport: Annotated[int | None, Option(help="Destination port of the original tuple.", metavar="PORT")] = (
        None
    )
    proto: Annotated[
        list[str] | None,
        Option("--proto", "-p", help="Protocol: tcp, udp, icmp ... or a number (repeatable)."),
    ] = None
    state: Annotated[
        list[str] | None, Option(help="State: ESTABLISHED, SYN_SENT ... UNREPLIED, ASSURED (repeatable).")
    ] = None
    zone: Annotated[int | None, Option(help="Conntrack zone.", metavar="ZONE")] = None
    mark: Annotated[str, Option(help="Connection mark, 0x4000 or 0x4000/0x4000.", metavar="MARK[/MASK]")] = ""


@dataclass(frozen=True)
class OutputFlags:
    """How a result is printed."""

    output: Annotated[
        str,
        Option(
            "--output",
            "-o",
            help="table, wide, json, yaml or name.",
            metavar="FORMAT",
        ),
    ] = "table"
    no_headers: Annotated[bool, Option("--no-headers", help="Print tables without their header.")] = False


@dataclass(frozen=True)
class JudgeFlags:
    """What a finding does to the exit code."""

    fail_on: Annotated[
        str,
        Option(
            help="End with 3 where a finding is at least so bad: crit, high, med or info.", metavar="SEVERITY"
        ),
    ] = ""


@dataclass(frozen=True)
class ListFlags:
    """Which objects of the API a listing shows."""

    selector: Annotated[str, Option("--selector", "-l", help="Label selector.", metavar="SELECTOR")] = ""
    all_namespaces: Annotated[bool, Option("--all-namespaces", "-A", help="All namespaces.")] = False


@dataclass(frozen=True)
class NodeFlags:
    """Which nodes are meant."""

    node: Annotated[
        list[str] | None,
        Option("--node", help="Every pod of this node (repeatable).", metavar="NAME"),
    ] = None
    all_nodes: Annotated[bool, Option("--all-nodes", help="Every pod of every Linux node.")] = False


@dataclass(frozen=True)
class TableNodeFlags:
    """Which nodes' own tables are meant."""

    node: Annotated[
        list[str] | None,
        Option("--node", help="The table of this node (repeatable).", metavar="NAME"),
    ] = None
    all_nodes: Annotated[bool, Option("--all-nodes", help="The tables of all Linux nodes.")] = False


@dataclass(frozen=True)
class RuleFlags:
    """Which rules of a node are meant."""

    family: Annotated[str | None, Option(help="4 or 6 (default: both).", metavar="4|6")] = None


@dataclass(frozen=True)
class ChainFlags:
    """Which chains are shown, in place of Services; and the tool's own text."""

    table: Annotated[
        list[str] | None,
        Option("--table", "-t", help="Show the rules of this table (repeatable).", metavar="TABLE"),
    ] = None
    chain: Annotated[
        list[str] | None,
        Option("--chain", help="Show the rules of this chain (repeatable).", metavar="CHAIN"),
    ] = None
    raw: Annotated[bool, Option("--raw", help="Print what the tool prints on the node.")] = False


@dataclass(frozen=True)
class DebugPodFlags:
    """How the way onto the node is made."""

    image: Annotated[
        str,
        Option(
            help="Image that holds the tools.",
            metavar="IMAGE",
            envvar="NETINSPECT_IMAGE",
        ),
    ] = DEFAULT_IMAGE
    image_pull_policy: Annotated[str, Option(help="Always, IfNotPresent or Never.", metavar="POLICY")] = ""
    image_pull_secret: Annotated[
        list[str] | None,
        Option(help="Secret for the image's registry (repeatable).", metavar="NAME"),
    ] = None
    debug_namespace: Annotated[
        str,
        Option(
            help="Namespace of the debug pod (default: the context's).",
            metavar="NAME",
            envvar="NETINSPECT_DEBUG_NAMESPACE",
        ),
    ] = ""
    privilege: Annotated[
        str,
        Option(
            help="netadmin or sysadmin (default: the least that serves the command).",
            metavar="LEVEL",
        ),
    ] = ""
    timeout: Annotated[
        str, Option(help="Time for the whole command (default: 2m; exec: 4h).", metavar="DURATION")
    ] = ""
    keep: Annotated[
        str,
        Option(
            help="Leave the debug pod for later commands of yours, for so long.",
            metavar="DURATION",
        ),
    ] = ""
    via: Annotated[
        str,
        Option(
            help="Use this running host-network pod; create none.",
            metavar="[NAMESPACE/]POD",
        ),
    ] = ""
    transport: Annotated[
        str,
        Option(help="exec, or logs where exec is not to be had.", metavar="exec|logs"),
    ] = "exec"
    dry_run: Annotated[
        bool,
        Option("--dry-run", help="Print the debug pod's manifest; create nothing."),
    ] = False
    yes: Annotated[
        bool,
        Option(
            "--yes",
            "-y",
            help="Do not ask before starting debug pods on many nodes.",
        ),
    ] = False

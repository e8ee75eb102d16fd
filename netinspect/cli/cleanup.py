"""`kubectl netinspect cleanup`."""

from __future__ import annotations

from typing import Annotated

from typer import Exit, Option

from netinspect.cli.flags import ConnectionFlags, OutputFlags


def cleanup(
    *,
    all_namespaces: Annotated[
        bool, Option("--all-namespaces", "-A", help="Look in every namespace.")
    ] = False,
    debug_namespace: Annotated[
        str,
        Option(
            help="Look in this namespace (default: -n, or the context's).",
            metavar="NAME",
            envvar="NETINSPECT_DEBUG_NAMESPACE",
        ),
    ] = "",
    all_users: Annotated[
        bool, Option("--all-users", help="Delete other users' debug pods too, if past their time.")
    ] = False,
    force: Annotated[
        bool, Option("--force", help="Delete debug pods of yours that a command may be using.")
    ] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="List them; delete none.")] = False,
    connection: ConnectionFlags,
    output: OutputFlags,
) -> None:
    """List debug pods that are still there, and delete yours that are kept or past their time.

    A kept pod goes even if a command of yours is working in it just now.

    Examples:

      # What --keep left, and what a killed run could not take away
      kubectl netinspect cleanup

      # Only look, in every namespace
      kubectl netinspect cleanup -A --dry-run
    """
    from netinspect.cli.run import connect, finish, read_output
    from netinspect.render.cleanup import COLUMNS, name_of
    from netinspect.usecases.cleanup import clean_up

    chosen = read_output(output)
    client = connect(connection)
    namespace = debug_namespace or client.namespace
    report = clean_up(
        client,
        namespace,
        all_namespaces=all_namespaces,
        all_users=all_users,
        force=force,
        dry_run=dry_run,
    )
    where = "" if all_namespaces else f" in {namespace} namespace"
    code = finish(
        report,
        COLUMNS,
        name_of,
        chosen,
        has_headers=not output.no_headers,
        empty=f"No debug pods found{where}.",
    )
    raise Exit(code)

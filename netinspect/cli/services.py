"""`kubectl netinspect services`."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Exit

from netinspect.cli.flags import ListFlags, OutputFlags
from netinspect.cli.source_flags import SourceFlags


def services(
    names: Annotated[
        list[str] | None,
        Argument(metavar="NAME|svc/NAME", help="Services (default: all)."),
    ] = None,
    *,
    targets: ListFlags,
    output: OutputFlags,
    connection: SourceFlags,
) -> None:
    """List services with the endpoints behind them, counted from their EndpointSlices.

    Asks the API only: no debug pod is started. Endpoints are counted by address; where families or ports differ,
    each is counted for itself. What is odd about a service is said in sentences, on stderr and in -o json.

    Examples:

      # The services of the context's namespace
      kubectl netinspect services

      # One service, with its endpoints, their pods, and what is odd about it
      kubectl netinspect services web -o wide

      # Services of the whole cluster that have no ready endpoint
      kubectl netinspect services -A -o json | jq '.items[] | select(all(.counts[]; .ready == 0)) | .name'
    """
    from msgspec.structs import replace

    from netinspect.cli.run import finish, read_output
    from netinspect.cli.session import open_session
    from netinspect.render.output_format import OutputFormat
    from netinspect.render.services import columns, name_of, remarks
    from netinspect.usecases.services import list_services

    chosen = read_output(output)
    session = open_session(connection)
    report = list_services(
        session.api,
        tuple(names or ()),
        namespace=connection.namespace,
        selector=targets.selector,
        all_namespaces=targets.all_namespaces,
    )
    if chosen in (OutputFormat.TABLE, OutputFormat.WIDE):
        report = replace(report, notes=(*report.notes, *remarks(report.items)))
    where = "" if targets.all_namespaces else f" in {session.api.namespace} namespace."
    code = finish(
        report,
        columns(with_namespace=targets.all_namespaces),
        name_of,
        chosen,
        has_headers=not output.no_headers,
        empty=f"No resources found{where}",
    )
    raise Exit(code)

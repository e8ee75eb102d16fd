"""`kubectl netinspect conntrack`: its commands, in the order in which help lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netinspect.cli.conntrack.limit import limit
from netinspect.cli.conntrack.list import list_
from netinspect.cli.conntrack.stale import stale
from netinspect.cli.conntrack.top import top
from netinspect.cli.conntrack.watch import watch

HELP = """Read, watch and judge nodes' connection tracking tables.

Flows are read through netlink by conntrack-tools, both families, and named by what the API knows of their addresses.
"""

COMMANDS: tuple[tuple[Callable[..., Any], str, str], ...] = (
    (list_, "list", "List flows with the names behind their addresses"),
    (watch, "watch", "Watch flows come and go, live"),
    (stale, "stale", "Find flows that lead to endpoints that are gone"),
    (top, "top", "Count the entries of nodes' tables by whose they are"),
    (limit, "limit", "Show or change how many flows nodes' tables may hold"),
)

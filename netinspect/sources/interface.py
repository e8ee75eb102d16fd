"""What every source of facts can do, whether it is a live node, this host or a recording."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from netinspect.models.command import NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.probes.plan import Plan


class NodeSource(Protocol):
    """Answers plans for one node."""

    @property
    def node(self) -> str:
        """The node's name."""
        ...

    @property
    def privilege(self) -> Privilege:
        """What is seen there: below SYSADMIN no process of the node is, and so no pod's netns."""
        ...

    def run(self, plan: Plan) -> NodeAnswer:
        """Run a plan in one trip.

        An answer that is cut off is returned as far as it came, and says so.

        Raises:
            CommandError: the node side could not even begin (no shell in the image, for example).
        """
        ...


OpenNode = Callable[[str, Privilege], AbstractContextManager[NodeSource]]
"""Opens the source of a node by name, for commands that need this much privilege there."""

"""The command that deletes one entry of the connection tracking table. It is printed for a person, never sent."""

from __future__ import annotations

import shlex

from netinspect.models.conntrack import Flow


def format_delete_command(flow: Flow) -> str:
    """Return the command that deletes exactly this entry, to be run in the node's netns.

    Both tuples are named: once kube-proxy has led the client to a live endpoint, an entry with the same original tuple
    is there, which is to stay. The zone is named even where it is 0: without `-w` entries of every zone match.
    """
    first, back = flow.original, flow.reply
    words = ["conntrack", "-D", "-f", flow.family, "-p", flow.protocol]
    words += ["--orig-src", str(first.src), "--orig-dst", str(first.dst)]
    words += ["--sport", str(first.sport), "--dport", str(first.dport)]
    words += ["--reply-src", str(back.src), "--reply-dst", str(back.dst)]
    words += ["--reply-port-src", str(back.sport), "--reply-port-dst", str(back.dport)]
    return shlex.join((*words, *_zone_words(flow)))


def _zone_words(flow: Flow) -> tuple[str, ...]:
    if flow.original.zone:
        return ("--orig-zone", str(flow.original.zone))
    if flow.reply.zone:
        return ("--reply-zone", str(flow.reply.zone))
    return ("-w", str(flow.zone))

"""How a command without an end of its own is run on a node: bound to its listener, and to a time limit."""

from __future__ import annotations

from netinspect.probes.plan import Probe, guard_argv, read_script

BEAT_S = 5.0
"""How often the listener sends a byte to the command's standard input."""

BEAT = b"."
"""Any byte but a line feed, which the shell would not see."""

SILENCE_S = 60
"""Without a byte for so long nobody listens any more: as long as we wait for the server, the other way round."""

HUNG_UP = 129
"""The exit code where it was ended because nobody listened (128 + SIGHUP)."""


def build_watch_argv(probe: Probe, silence_s: int = SILENCE_S) -> tuple[str, ...]:
    """Return the argv that runs a probe's command until standard input ends or is silent, at most `timeout_s`."""
    return (
        "sh",
        "-c",
        read_script("watch.sh"),
        "netinspect",
        str(probe.timeout_s),
        str(silence_s),
        *guard_argv(probe),
    )

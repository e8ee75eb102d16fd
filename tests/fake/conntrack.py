"""Whether this kernel lets the node side ask for its connections: `probes/conntrack_loaded.sh` refuses elsewhere."""

from __future__ import annotations

import subprocess

import pytest

from netinspect.probes.plan import read_script


def need_conntrack() -> None:
    """Skip a test that runs the node side of conntrack commands here, with the reason."""
    argv = ["sh", "-c", read_script("conntrack_loaded.sh"), "netinspect", "true"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"the node side would refuse here: {done.stderr.strip()}")

"""Run the bench: `python3 -m tests.cluster.bench up`, or `python3 tests/cluster/bench up` from anywhere."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run by path: let the package's own modules be found
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.cluster.bench.cli import main

sys.exit(main())

"""Run the cluster door's tests against every supported line of the Kubernetes client: `make test-versions`.

The client's low-level calls changed between its versions, so each line is tried with the versions of its time. The
virtual environments are made once, outside the checkout, and kept: ${XDG_CACHE_HOME:-~/.cache}/netinspect-bench/venvs.
One line is printed a version; the exit code says whether all passed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
from pathlib import Path

VERSIONS = ("31.0.0", "33.1.0", "35.0.0", "36.0.3", "37.*")

ROOT = Path(__file__).resolve().parent.parent
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
VENVS = _CACHE / "netinspect-bench" / "venvs"
_NEEDS = ("msgspec", "websocket-client", "PyYAML", "typer", "tabulate", "pytest", "hypothesis")
_TESTS = ("tests/unit/cluster",)


def main(versions: tuple[str, ...] = VERSIONS) -> int:
    """Run them all; return 0 when all passed."""
    results = [_try_version(version) for version in versions]  # all of them, also after a failure
    return int(not all(results))


def _try_version(version: str) -> bool:
    start = time.monotonic()
    try:
        python = _prepare(version)
        done = subprocess.run(
            [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *_TESTS],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        sys.stdout.write(f"kubernetes {version}: could not be installed: {error.stderr[-500:]}\n")
        return False
    is_good = done.returncode == 0
    last = (done.stdout.strip().splitlines() or [done.stderr[-300:]])[-1]
    mark = "ok" if is_good else "FAILED"
    sys.stdout.write(f"kubernetes {_installed(python):8} {mark}: {last} ({time.monotonic() - start:.0f} s)\n")
    if not is_good:
        sys.stdout.write(
            "".join(f"    {line}\n" for line in done.stdout.splitlines() if line.startswith("FAILED"))
        )
    sys.stdout.flush()
    return is_good


def _prepare(version: str) -> str:
    """Return the interpreter of an environment with that client; it is made where there is none yet."""
    folder = VENVS / f"kubernetes-{version.replace('*', 'x')}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        argv = [str(python), "-m", "pip", "install", "-q", f"kubernetes=={version}", *_NEEDS]
        subprocess.run(argv, capture_output=True, text=True, check=True)
        (folder / "ready").touch()
    return str(python)


def _installed(python: str) -> str:
    program = "from importlib.metadata import version; print(version('kubernetes'))"
    return subprocess.run([python, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main(tuple(sys.argv[1:]) or VERSIONS))

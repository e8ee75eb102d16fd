"""The bench's command line."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque

from tests.cluster.bench import cluster, golang, kubectl, paths, sandbox
from tests.cluster.bench.shell import BenchError

TAIL = 8


def main() -> int:
    """Run one subcommand; a failure is one message, with the ends of the logs when starting failed."""
    commands = {"up": _up, "down": _down, "kubeconfig": _kubeconfig, "bin": _bin, "status": _status}
    parser = argparse.ArgumentParser(prog="bench", description="A two-node Kubernetes for the tests.")
    parser.add_argument("command", choices=commands)
    command = parser.parse_args().command
    try:
        commands[command]()
    except BenchError as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


def _up() -> None:
    started = time.monotonic()
    try:
        with cluster.lock():
            cluster.up()
    except BenchError:
        _print_logs()
        raise
    print(f"The cluster is up ({time.monotonic() - started:.0f} s). To use it:")
    print(f"  export KUBECONFIG={paths.kubeconfig()}")
    print(f"  {kubectl.program()} get pods --all-namespaces --output=wide")


def _down() -> None:
    with cluster.lock():
        cluster.down()


def _kubeconfig() -> None:
    print(paths.kubeconfig())


def _bin() -> None:
    print(golang.kubernetes_bin())


def _status() -> None:
    for name in cluster.SANDBOXES:
        running = sandbox.find(name)
        entry = f"runs; nsenter --target {running.pid} --all enters it" if running else "does not run"
        print(f"{name}: {entry}")
    print(f"kubeconfig: {paths.kubeconfig()}")
    print(f"kubectl: {kubectl.program()}")
    print(f"cache: {paths.cache()}")
    for folder in sorted({log.parent for log in cluster.log_files()}):
        print(f"logs: {folder}")


def _print_logs() -> None:
    """The ends of all logs: which component is to blame is seldom clear from outside."""
    for log in cluster.log_files():
        if log.exists() and log.stat().st_size:
            print(f"--- {log}", file=sys.stderr)
            with log.open(errors="replace") as lines:
                sys.stderr.writelines(deque(lines, TAIL))

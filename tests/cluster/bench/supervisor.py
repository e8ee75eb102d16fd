"""What an init does all day: start the sandbox's daemons, start them again when they end, and reap orphans."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

RESTART_DELAY = 1.0


@dataclass(frozen=True)
class Service:
    """A daemon: its log is named after it."""

    name: str
    argv: Sequence[str | Path]
    pass_fds: tuple[int, ...] = ()


class Supervisor:
    """Runs as process 1 of a PID namespace, so every orphan in it becomes its child."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._logs.mkdir(parents=True, exist_ok=True)
        self._running: dict[int, tuple[Service, subprocess.Popen[bytes]]] = {}

    def start(self, *services: Service) -> None:
        for service in services:
            with (self._logs / f"{service.name}.log").open("ab") as log:
                process = subprocess.Popen(
                    [str(word) for word in service.argv],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=service.pass_fds,
                    process_group=0,
                )
            # The Popen object is kept although wait() below reaps: a dropped one would reap behind our back.
            self._running[process.pid] = (service, process)

    def run(self) -> NoReturn:
        """Reap for ever; a service that ends is started again, as a node's service manager would."""
        while True:
            pid, status = os.wait()
            ended = self._running.pop(pid, None)
            if ended:
                service, process = ended
                process.returncode = os.waitstatus_to_exitcode(status)
                print(f"{service.name} ended with {process.returncode}; starting it again", flush=True)
                time.sleep(RESTART_DELAY)
                self.start(service)

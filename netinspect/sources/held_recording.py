"""A recording that is held in memory: for what is read and judged at once, and never written down."""

from __future__ import annotations

import threading

from netinspect.models.recording import RecordedRequest, RecordedTrip, Recording


class HeldRecording:
    """Takes what is recorded. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[RecordedRequest] = []
        self._trips: list[RecordedTrip] = []
        self._clock: list[float] = []
        self._log: list[str] = []

    def add_request(self, request: RecordedRequest) -> None:
        """Take an answer of the API server."""
        with self._lock:
            self._requests.append(request)

    def add_trip(self, trip: RecordedTrip) -> None:
        """Take a trip to a node."""
        with self._lock:
            self._trips.append(trip)

    def add_time(self, seconds: float) -> None:
        """Take a time that the command was told, in seconds since the epoch."""
        with self._lock:
            self._clock.append(seconds)

    def add_log(self, line: str) -> None:
        """Take a line that the program said of its work."""
        with self._lock:
            self._log.append(line)

    def build(self, *, made_at: str, made_by: str, namespace: str) -> Recording:
        """Return what was taken so far; the arguments are as in `Recording`."""
        with self._lock:
            return Recording(
                made_at=made_at,
                made_by=made_by,
                is_snapshot=True,
                namespace=namespace,
                clock=tuple(self._clock),
                requests=tuple(self._requests),
                trips=tuple(self._trips),
                log=tuple(self._log),
            )

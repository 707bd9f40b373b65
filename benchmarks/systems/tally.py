"""What every Python system's job does, and how it is counted. Standard library only: it runs in each environment.

A job notes its number and its delay; one thread per worker process writes count, sum, sum of squares, first and last
time to Redis database 1 every 50 ms. So each system bears the same small cost, whatever its client library.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections import deque
from typing import Any

PORT = int(os.environ["BENCH_PORT"])
URL = f"redis://127.0.0.1:{PORT}/0"
JOB_S = float(os.environ.get("BENCH_JOB_MS", "0")) / 1000
WRITE_EVERY_S = 0.05


def payload(number: int, sent_ns: int = 0) -> dict[str, Any]:
    """About 190 bytes of JSON. `sent_ns` is the wall clock when it was sent, 0 when nobody asks how long it took."""
    return {
        "number": number,
        "sent_ns": sent_ns,
        "user": f"user-{number:08d}",
        "items": [1, 2, 3, 4, 5, 6, 7, 8],
        "note": "x" * 86,
    }


class Wire:
    """As much of RESP as counting needs."""

    def __init__(self, port: int = PORT, database: int = 1) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self.call("SELECT", database)

    def call(self, *words: object) -> Any:
        """The answer to a command. Raises RuntimeError when it is an error."""
        parts = [str(word).encode() for word in words]
        body = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(b"*%d\r\n%s" % (len(parts), body))
        return self._answer()

    def _answer(self) -> Any:
        line = self._file.readline()
        if not line:
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"$":
            return self._file.read(int(rest) + 2)[:-2].decode() if int(rest) >= 0 else None
        if kind == b"*":
            return [self._answer() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest.decode()


class Tally:
    """The jobs that this process has run."""

    def __init__(self) -> None:
        self.first_ns = time.time_ns()
        self.last_ns = 0
        self._numbers: deque[int] = deque()
        self._delays: deque[int] = deque()
        self._count = self._sum = self._squares = 0
        threading.Thread(target=self._write_for_ever, daemon=True).start()

    def add(self, job: dict[str, Any]) -> None:
        """It ran."""
        now = time.time_ns()
        if job["sent_ns"]:
            self._delays.append(now - job["sent_ns"])
        self.last_ns = now
        self._numbers.append(job["number"])

    def _write_for_ever(self) -> None:
        wire = Wire()
        while True:
            time.sleep(WRITE_EVERY_S)
            if self._numbers:
                self._write(wire)

    def _write(self, wire: Wire) -> None:
        for _ in range(len(self._numbers)):
            number = self._numbers.popleft()
            self._count += 1
            self._sum += number
            self._squares += number * number
        delays = [self._delays.popleft() for _ in range(len(self._delays))]
        if delays:
            wire.call("RPUSH", "delays", *delays)
        totals = [self._count, self._sum, self._squares, self.first_ns, self.last_ns]
        wire.call("HSET", "totals", os.getpid(), json.dumps(totals))


_tallies: dict[int, Tally] = {}  # by process: some systems fork after they have imported this
_making = threading.Lock()


def tally() -> Tally:
    """This process's."""
    found = _tallies.get(os.getpid())
    if found is None:
        with _making:
            found = _tallies.setdefault(os.getpid(), _tallies.get(os.getpid()) or Tally())
    return found


def count(job: dict[str, Any]) -> None:
    """The body of every job. It takes no time, but where fairness.py asks for some."""
    mine = tally()
    if JOB_S:
        time.sleep(JOB_S)
    mine.add(job)

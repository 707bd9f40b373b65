"""A Redis of the benchmark's own: on a free loopback port, in a temporary folder, stopped by its own process id."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import redis

from benchmarks.processes import end
from workers.cli.embedded import server_binary

START_S = 10


class Server:
    """Database 0 is the systems', database 1 holds what the jobs counted. `fsync`: each write is on disk first."""

    def __init__(self, *, fsync: bool = False, binary: str | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="luna-benchmark-"))
        self.port = free_port()
        persistence = ["--appendonly", "yes", "--appendfsync", "always"] if fsync else ["--appendonly", "no"]
        self._process = subprocess.Popen(
            [
                *(binary or str(server_binary()), "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--dir", str(self._folder), "--save", "", *persistence),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.jobs = redis.Redis(port=self.port)
        self.counts = redis.Redis(port=self.port, db=1, decode_responses=True)

    def __enter__(self) -> Self:
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                sys.exit("benchmarks: the Redis server did not start")
            time.sleep(0.05)
        if self.info("server")["process_id"] != self._process.pid:
            sys.exit(f"benchmarks: port {self.port} is another server's")  # it will be emptied: never somebody else's
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def info(self, section: str) -> dict[str, Any]:
        """What it says of itself."""
        return self.jobs.info(section)

    @property
    def name(self) -> str:
        """Product and version."""
        facts = self.info("server")
        return f"Valkey {facts['valkey_version']}" if "valkey_version" in facts else f"Redis {facts['redis_version']}"

    def empty(self) -> None:
        """Drop everything, and have the memory back before it answers."""
        self.jobs.execute_command("FLUSHALL", "SYNC")

    def _answers(self) -> bool:
        try:
            return bool(self.jobs.ping())
        except redis.RedisError:
            return False


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

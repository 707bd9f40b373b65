"""Real servers for the tests: on free ports of the loopback address, in temporary folders, always stopped."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from workers.cli.embedded import server_binary


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(
    condition: Callable[[], Any], *, within: float = 20.0, every: float = 0.02, what: str = "the condition"
) -> Any:
    """Wait until `condition()` is truthy and return it; fail with `what` when it does not come to be."""
    deadline = time.monotonic() + within
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come to be within {within} s")
        time.sleep(every)
    return result


class Valkey:
    """One server with a password; `stop` and `start` keep the data and the port."""

    password = "test-password"

    def __init__(self, folder: Path, **options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://:{self.password}@127.0.0.1:{self.port}/0"
        self._options = {"appendonly": "yes", "appendfsync": "always", "save": "", **options}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        options = [part for name, value in self._options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [
                *(str(server_binary()), "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--requirepass", self.password, "--dir", str(self.folder), *options),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(self._answers, what="an answer of the test's Valkey")
        return self

    def stop(self, *, kill: bool = False) -> None:
        if self._process is not None:
            self._process.kill() if kill else self._process.terminate()
            self._process.wait(10)
            self._process = None

    def client(self) -> redis.Redis:
        retry = Retry(ConstantBackoff(0.02), 3)  # redis-py's own waits for seconds, and a server starts in less
        return redis.Redis.from_url(self.url, retry=retry)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

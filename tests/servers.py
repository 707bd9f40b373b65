"""Real servers for the tests: on free ports of the loopback address, in temporary folders, always stopped."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import psycopg
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

    def __init__(self, folder: Path, binary: Path | None = None, **options: str) -> None:
        """`binary` is another server of the family than the one that Luna brings."""
        self.folder = folder
        self._binary = binary or server_binary()
        self.port = free_port()
        self.url = f"redis://:{self.password}@127.0.0.1:{self.port}/0"
        self._options = {"appendonly": "yes", "appendfsync": "always", "save": "", **options}
        self.tls_port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def add_tls_port(self) -> None:
        """Listen with TLS on a port of its own; the options must name the certificates."""
        self.tls_port = free_port()
        self._options["tls-port"] = str(self.tls_port)

    def start(self) -> Self:
        options = [part for name, value in self._options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [
                *(str(self._binary), "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--requirepass", self.password, "--dir", str(self.folder), *options),
            ],
            env={},  # a server is no part of the system under test, nor of its data folder
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

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It answers nothing inside the block, and closes no connection."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        retry = Retry(ConstantBackoff(0.02), 3)  # redis-py's own waits for seconds, and a server starts in less
        return redis.Redis.from_url(self.url, retry=retry)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def postgresql_binaries() -> Path | None:
    """Where PostgreSQL is installed: on the PATH, or where Debian and its kin put it."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


class PostgreSQL:
    """One throw-away server that trusts everybody on the loopback address; `create` makes databases on it."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="luna-postgresql-"))
        self._port = free_port()
        self._made = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self._as = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            shutil.chown(self._folder, "nobody", "nogroup")

    def start(self) -> Self:
        data = str(self._folder / "data")
        init = [self._binaries / "initdb", "-D", data, "-U", "luna", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(init, check=True, capture_output=True, cwd=self._folder, **self._as)
        options = ["listen_addresses=127.0.0.1", f"port={self._port}", "unix_socket_directories=", "fsync=off"]
        self._process = subprocess.Popen(
            [self._binaries / "postgres", "-D", data, *(part for option in options for part in ("-c", option))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            **self._as,
        )
        eventually(self._answers, what="an answer of the test's PostgreSQL")
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # its fast shutdown
            self._process.wait(20)
        shutil.rmtree(self._folder, ignore_errors=True)

    def create(self) -> str:
        """The URL of a new, empty database."""
        self._made += 1
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE luna_{self._made}")
        return f"postgresql+psycopg://luna@127.0.0.1:{self._port}/luna_{self._made}"

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(f"postgresql://luna@127.0.0.1:{self._port}/postgres", autocommit=True)

    def _answers(self) -> bool:
        try:
            with self._connect():
                return True
        except psycopg.OperationalError:
            return False

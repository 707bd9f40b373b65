"""The house under chaos: servers, and the Procfile's process types, each started again when it dies."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Self

from actors.routes import QUEUES
from tests.gateway import SECRET
from tests.mailserver import MailServer
from tests.processes import ROOT, Process, Processes, children, procfile
from tests.servers import Valkey, eventually, free_port
from workers.connection import connect
from workers.database import Database
from workers.operations import Operations

LOOK_S = 0.05
PROGRAM = ROOT / "tests" / "chaos" / "program.py"
WORKERS = ("worker.1", "worker.2")


def commands() -> dict[str, list[str]]:
    """Name to command: what the Procfile says, but for the lease and the clock; two workers."""
    said = procfile()
    worker, mailer = (
        [part.replace("actors.boot", "tests.chaos.program") for part in said[name]] for name in ("worker", "mailer")
    )
    clock = [str(PROGRAM) if part == "scheduler.py" else part for part in said["scheduler"]]
    return {"web": said["web"], **dict.fromkeys(WORKERS, worker), "mailer": mailer, "scheduler": clock}


READY = {"web": "gateway.started", "scheduler": "scheduler.started"}
"""What a process says once it is up; Dramatiq's master holds signals back until then."""


class House:
    """Everything runs from `open` to `close`. Killing is thread-safe."""

    def __init__(self, folder: Path, lease_s: float) -> None:
        self.lease_s = lease_s
        self.port = free_port()
        for name in ("valkey", "processes"):
            (folder / name).mkdir()
        self.valkey = Valkey(folder / "valkey")
        self.mail = MailServer()
        self.database = Database(f"sqlite:///{folder / 'luna.db'}")
        self.restarts: Counter[str] = Counter()
        self.operations = Operations(connect(self.valkey.url), QUEUES)
        self._processes = Processes(folder / "processes")
        self._running: dict[str, Process] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def open(self) -> Self:
        """Start all, and wait until events are taken and worked on."""
        self.valkey.start()
        self.mail.__enter__()
        variables = self._variables()
        assert self._processes.start(*procfile()["release"], **variables).ends(within=60) == 0
        self._running = {name: self._processes.start(*command, **variables) for name, command in commands().items()}
        self._running["web"].says("gateway.started", within=60)
        eventually(lambda: self.operations.consumed_queues() == set(QUEUES), within=60, what="a worker on every queue")
        self._supervisor.start()
        return self

    def output(self, name: str) -> str:
        return self._running[name].output

    def kill(self, name: str, *, only_child: bool = False) -> int | None:
        """kill -9 of a process and all in its group, or of its only child; the process that worked, if there is one."""
        killed: tuple[int | None] = eventually(lambda: self._kill(name, only_child), within=60, what=f"a living {name}")
        return killed[0]

    def kill_valkey(self) -> None:
        """kill -9 of the server, which is started again at once."""
        self.valkey.stop(kill=True)
        self.valkey.start()

    def stop(self, name: str) -> int:
        """Stop a process as a supervisor does, for good, once it has started; its exit status."""
        process = self._running[name]
        if name in READY:  # until then a signal ends it as any program: it has not said what it does with one
            eventually(lambda: process.has_said(READY[name]), within=60, what=f"the start of {name}")
        with self._lock:
            del self._running[name]
        return process.stop(within=30)

    def stop_all(self) -> dict[str, int]:
        """Stop every process; their exit statuses."""
        names = list(self._running)
        with ThreadPoolExecutor() as stopping:
            return dict(zip(names, stopping.map(self.stop, names), strict=True))

    def close(self) -> None:
        """Stop what still runs, each by its own process id. What they said stays in their logs."""
        self._closing.set()
        if self._supervisor.is_alive():
            self._supervisor.join(10)
        try:
            with redirect_stdout(io.StringIO()):
                self._processes.close()
        finally:
            self.mail.__exit__()
            self.valkey.stop()
            self.database.close()

    def _variables(self) -> dict[str, object]:
        return {
            "PYTHONPATH": ROOT,
            "CHAOS_LEASE_S": self.lease_s,
            "LUNA_ENV": "production",
            "LUNA_PORT": self.port,
            "LUNA_DURABILITY": "fsync",
            "REDIS_URL": self.valkey.url,
            "DATABASE_URL": self.database.url.render_as_string(hide_password=False),
            "JWT_SECRET": SECRET,
            "EMAIL_TRANSPORT": "smtp",
            "SMTP_URL": self.mail.url,
        }

    def _kill(self, name: str, only_child: bool) -> tuple[int | None] | None:
        with self._lock, suppress(ProcessLookupError):
            process = self._running[name]
            child = _child(process.pid) if process.alive else None
            if not process.alive or (only_child and child is None):
                return None
            if only_child and child is not None:
                os.kill(child, signal.SIGKILL)
            else:
                os.killpg(process.pid, signal.SIGKILL)
            return (child,)
        return None

    def _supervise(self) -> None:
        while not self._closing.wait(LOOK_S):
            with self._lock:
                for name, process in self._running.items():
                    if not process.alive:
                        process.start()
                        self.restarts[name] += 1


def _child(pid: int) -> int | None:
    """The process that works, where `pid` is only its master."""
    return next((child for child, line in children(pid).items() if "resource_tracker" not in line), None)

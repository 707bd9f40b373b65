"""The systems that are compared: where their programs are, what sends their jobs and what works them off."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import environments
from benchmarks.environments import NODE, NODE_PACKAGES

JOBS = Path(__file__).parent / "systems"
SEND_AT_MOST_S = 300


@dataclass(frozen=True, kw_only=True)
class System:
    """One row of the table."""

    name: str
    programs: Callable[[], Path]
    """the folder of its programs, made on first use"""
    versions: tuple[str, ...]
    """the command that prints its versions"""
    send: tuple[str, ...]
    work: Callable[[int], list[list[str]]]
    """the commands of so many worker processes"""
    jobs: int
    """how many a drain works off, so that it lasts some seconds"""
    bulk: bool = True
    """whether more than one job can be on its way to Redis"""
    keeps: bool = True
    """whether the jobs of a worker that is killed are run again"""

    def environment(self, port: int) -> dict[str, str]:
        """The variables its processes are given."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        path = f"{self.programs()}{os.pathsep}{os.environ['PATH']}"
        ours = {"BENCH_PORT": str(port), "BENCH_MODULES": str(NODE), "PYTHONPATH": str(JOBS)}
        return {**kept, "PATH": path, "PYTHONWARNINGS": "ignore", "C_FORCE_ROOT": "1", **ours}

    def produce(self, port: int, mode: str, count: int, start: int = 0, gap_ms: float = 0) -> float:
        """Send jobs numbered from `start`; the seconds it took."""
        command = [*self.send, mode, str(count), str(start), str(gap_ms)]
        done = subprocess.run(
            command,
            cwd=JOBS,
            env=self.environment(port),
            capture_output=True,
            text=True,
            timeout=SEND_AT_MOST_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.name} cannot send: {done.stderr[-800:]}")
        return float(done.stdout.split()[-1])

    def version(self) -> str:
        """What was installed. Raises AbsentError."""
        done = subprocess.run(self.versions, env=self.environment(0), capture_output=True, text=True, check=True)
        return done.stdout.strip()


def _python(name: str, module: str, *packages: str, **facts: Any) -> System:
    names = f"from importlib.metadata import version; print(*(f'{{n}} {{version(n)}}' for n in {packages}), sep=', ')"
    send = ("python", str(JOBS / "produce.py"), module)
    return System(name=name, versions=("python", "-c", names), send=send, **facts)


def _dramatiq(module: str) -> Callable[[int], list[list[str]]]:
    return lambda processes: [["dramatiq", module, "-p", str(processes), "-t", "8", "--skip-logging"]]


def _luna(name: str, module: str, jobs: int) -> System:
    packages = ("dramatiq", "redis", "hiredis", "orjson")
    return _python(name, module, *packages, programs=environments.own, work=_dramatiq(module), jobs=jobs)


def _taskiq(processes: int) -> list[list[str]]:
    command = ["taskiq", "worker", "on_taskiq:broker", "--workers", str(processes)]
    return [[*command, "--max-async-tasks", "100", "--log-level", "WARNING"]]


def _celery(processes: int) -> list[list[str]]:
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    command = ["celery", "-A", "on_celery", "worker", "--pool", "threads", "--concurrency", "8", *quiet]
    return [[*command, "--hostname", f"worker{number}@%h"] for number in range(processes)]


def _alone(*command: str) -> Callable[[int], list[list[str]]]:
    """A program that is one process, started as often as processes are asked for."""
    return lambda processes: [list(command) for _ in range(processes)]


LUNA = _luna("luna", "on_luna", 60_000)
LUNA_EVENTS = _luna("luna-events", "on_luna_events", 40_000)
LUNA_ENVELOPES = _luna("luna-envelopes", "on_luna_envelopes", 40_000)
"""Not in the table: see ledger_cost.py."""

DRAMATIQ = _python(
    "dramatiq",
    "on_dramatiq",
    *("dramatiq", "redis", "hiredis"),
    programs=environments.virtual("dramatiq"),
    work=_dramatiq("on_dramatiq"),
    jobs=20_000,
    bulk=False,
)
TASKIQ = _python(
    "taskiq",
    "on_taskiq",
    *("taskiq", "taskiq-redis", "redis", "uvloop"),
    programs=environments.virtual("taskiq"),
    work=_taskiq,
    jobs=20_000,
)
CELERY = _python(
    "celery",
    "on_celery",
    *("celery", "kombu", "redis"),
    programs=environments.virtual("celery"),
    work=_celery,
    jobs=8_000,
    bulk=False,
)
BULLMQ = System(
    name="bullmq",
    programs=environments.bullmq,
    versions=("node", "-p", f"'{', '.join(map(' '.join, NODE_PACKAGES.items()))}, node ' + process.versions.node"),
    send=("node", str(JOBS / "on_bullmq.js"), "send"),
    work=_alone("node", str(JOBS / "on_bullmq.js"), "work"),
    jobs=40_000,
)
SIDEKIQ = System(
    name="sidekiq",
    programs=environments.sidekiq,
    versions=("ruby", "-r", "sidekiq", "-e", 'puts "sidekiq #{Sidekiq::VERSION}, ruby #{RUBY_VERSION}"'),
    send=("ruby", str(JOBS / "on_sidekiq.rb")),
    work=_alone("sidekiq", "-r", str(JOBS / "on_sidekiq.rb"), "-c", "10", "-q", "default"),
    jobs=60_000,
    keeps=False,
)
SYSTEMS = (LUNA, LUNA_EVENTS, DRAMATIQ, TASKIQ, CELERY, BULLMQ, SIDEKIQ)

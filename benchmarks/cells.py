"""The measurements. Each cell begins with an empty server, and fails unless every job ran exactly once."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from benchmarks import processes
from benchmarks.catalogue import JOBS, System
from benchmarks.server import Server

WARM_UP = 40
STALLED_S, CELL_S = 20, 180
LATE_S = 0.25
"""how long a job that runs twice may come after the last"""


class Sizes(NamedTuple):
    """How much each cell does."""

    share: float = 1.0
    """of each system's jobs"""
    each: int = 10_000
    """jobs sent one by one"""
    paced: int = 501
    rare: int = 31
    idle_s: float = 10.0


QUICK = Sizes(share=0.2, each=2_000, paced=201, rare=10, idle_s=3.0)


class Totals(NamedTuple):
    """What the jobs of all worker processes counted."""

    runs: int
    sum: int
    squares: int
    first_ns: int
    last_ns: int


def drain_by_two(system: System, server: Server, sizes: Sizes) -> dict[str, float]:
    """Send jobs one by one, then many at a time; drain them with two processes; weigh those."""
    jobs = int(system.jobs * sizes.share)
    each = min(sizes.each, jobs) if system.bulk else jobs
    figures = {"enqueue": each / system.produce(server.port, "each", each)}
    if system.bulk:
        figures["bulk"] = (jobs - each) / system.produce(server.port, "bulk", jobs - each, each)
    with working(system, server, 2) as family:
        figures["drain2"] = _drained(server, jobs)
        figures["pss_mb"] = processes.pss_mb(family())
        check(server, jobs)
    return figures


def drain_by_one(system: System, server: Server, sizes: Sizes) -> dict[str, float]:
    """Drain half as many jobs with one process."""
    jobs = int(system.jobs * sizes.share) // 2
    system.produce(server.port, "bulk" if system.bulk else "each", jobs)
    with working(system, server, 1):
        figures = {"drain1": _drained(server, jobs)}
        check(server, jobs)
    return figures


def idle(system: System, server: Server, sizes: Sizes) -> dict[str, float]:
    """How soon two idle processes begin a job, 5 ms after the last and 300 ms after; what they use with none."""
    with working(system, server, 2) as family:
        system.produce(server.port, "each", WARM_UP)
        wait_for(server, WARM_UP)
        figures = _idle_cpu(family, sizes.idle_s)
        figures |= _pickup(system, server, sizes.paced, 5, "pickup")
        figures |= _pickup(system, server, sizes.rare, 300, "rare")
        check(server, WARM_UP + sizes.paced + sizes.rare)
    return figures


CELLS: Mapping[str, Callable[[System, Server, Sizes], dict[str, float]]] = {
    "drain_by_two": drain_by_two,
    "drain_by_one": drain_by_one,
    "idle": idle,
}


@contextmanager
def working(system: System, server: Server, count: int, **variables: str) -> Iterator[Callable[[], list[int]]]:
    """Worker processes, ended at the end of the block; gives a function that lists them all."""
    environment = {**system.environment(server.port), **variables}
    started = [
        subprocess.Popen(command, cwd=JOBS, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in system.work(count)
    ]
    try:
        yield lambda: processes.descendants(process.pid for process in started)
    finally:
        processes.kill(started)


def totals(server: Server) -> Totals:
    """What was counted so far."""
    found = [Totals(*json.loads(value)) for value in server.counts.hgetall("totals").values()]
    return Totals(
        sum(each.runs for each in found),
        sum(each.sum for each in found),
        sum(each.squares for each in found),
        min((each.first_ns for each in found), default=0),
        max((each.last_ns for each in found), default=0),
    )


def wait_for(server: Server, jobs: int) -> Totals:
    """Wait until so many jobs have run. Raises RuntimeError when they stop running."""
    moved = began = time.monotonic()
    seen = 0
    while (now := totals(server)).runs < jobs:
        if now.runs != seen:
            seen, moved = now.runs, time.monotonic()
        if time.monotonic() - moved > STALLED_S or time.monotonic() - began > CELL_S:
            raise RuntimeError(f"{now.runs} of {jobs} jobs ran")
        time.sleep(0.05)
    return now


def check(server: Server, jobs: int) -> None:
    """Raise RuntimeError unless the jobs 0 to `jobs` - 1 ran once each, as far as count, sum and squares tell."""
    time.sleep(LATE_S)
    runs, total, squares, *_ = totals(server)
    if (runs, total, squares) != (jobs, sum(range(jobs)), sum(number * number for number in range(jobs))):
        raise RuntimeError(f"not each of {jobs} jobs ran once: {runs} runs, sum {total}, squares {squares}")


def _drained(server: Server, jobs: int) -> float:
    done = wait_for(server, jobs)
    return jobs / ((done.last_ns - done.first_ns) / 1e9)


def _pickup(system: System, server: Server, count: int, gap_ms: float, name: str) -> dict[str, float]:
    before = totals(server).runs
    server.counts.delete("delays")
    system.produce(server.port, "each", count, before, gap_ms)
    wait_for(server, before + count)
    ms = sorted(int(delay) / 1e6 for delay in server.counts.lrange("delays", 0, -1))
    return {f"{name}_p50_ms": ms[len(ms) // 2], f"{name}_p99_ms": ms[int(len(ms) * 0.99)]}


def _idle_cpu(family: Callable[[], list[int]], seconds: float) -> dict[str, float]:
    time.sleep(1)
    pids = family()
    before = processes.cpu_s(pids)
    time.sleep(seconds)
    return {"idle_cpu": (processes.cpu_s(pids) - before) / seconds}

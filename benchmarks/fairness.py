"""One slow and one fast worker on one queue: how long the fast one has nothing to do while the slow one has work left.

`python -m benchmarks.fairness`. Each worker is a process with 8 threads; the slow one takes 50 ms for each job, the
fast one 1 ms, and both take from the same 10,000 jobs. What the slow one has prefetched nobody else can run.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from contextlib import ExitStack

from benchmarks.catalogue import DRAMATIQ, LUNA, System
from benchmarks.cells import check, wait_for, working
from benchmarks.server import Server

JOBS = 10_000
SLOW_MS, FAST_MS = 50, 1


def idle_ms(system: System, server: Server) -> tuple[float, int]:
    """How long the fast worker was idle at the end, and how many jobs the slow one ran in all."""
    server.empty()
    with ExitStack() as workers:
        for pace in (SLOW_MS, FAST_MS):
            workers.enter_context(working(system, server, 1, BENCH_JOB_MS=str(pace)))
        system.produce(server.port, "bulk" if system.bulk else "each", JOBS)
        wait_for(server, JOBS)
        check(server, JOBS)
    slow, fast = sorted(map(json.loads, server.counts.hgetall("totals").values()))
    return (slow[-1] - fast[-1]) / 1e6, slow[0]


def main() -> None:
    """The command."""
    ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter).parse_args()
    with Server() as server:
        for system in (LUNA, DRAMATIQ):
            idle, slow = idle_ms(system, server)
            print(f"{system.name}: at the end the fast worker idled {idle:.0f} ms; the slow one ran {slow} jobs in all")


if __name__ == "__main__":
    main()

"""Sends jobs through one system, inside that system's environment: `produce.py MODULE MODE COUNT START GAP_MS`.

MODE is `each` (one by one) or `bulk` (in chunks of 100). With a gap, jobs are sent that far apart, and all but the
first, which opens the connection, carry the time.
Prints the seconds it took. A module has `send(job)` and, where its system can, `send_many(jobs)`; `start` and `stop`
where it has to connect. All are coroutines, which costs the synchronous ones 0.1 µs a job.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
from typing import Any

from tally import payload

CHUNK = 100


async def run(system: Any, mode: str, count: int, start: int, gap_ms: float) -> float:
    if hasattr(system, "start"):
        await system.start()
    numbers = range(start, start + count)
    began = time.perf_counter()
    if gap_ms:
        await paced(system, numbers, gap_ms / 1000)
    elif mode == "each":
        for number in numbers:
            await system.send(payload(number))
    else:
        for first in range(0, count, CHUNK):
            await chunk(system, [payload(number) for number in numbers[first : first + CHUNK]])
    took = time.perf_counter() - began
    if hasattr(system, "stop"):
        await system.stop()
    return took


async def chunk(system: Any, jobs: list[dict[str, Any]]) -> None:
    if hasattr(system, "send_many"):
        await system.send_many(jobs)
    else:
        await asyncio.gather(*map(system.send, jobs))


async def paced(system: Any, numbers: range, gap_s: float) -> None:
    due = time.perf_counter()
    for number in numbers:
        await system.send(payload(number, time.time_ns() if number > numbers.start else 0))
        due += gap_s
        await asyncio.sleep(max(0.0, due - time.perf_counter()))


if __name__ == "__main__":
    module, mode, count, start, gap_ms = sys.argv[1:]
    print(asyncio.run(run(importlib.import_module(module), mode, int(count), int(start), float(gap_ms))))

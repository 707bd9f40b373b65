"""A million messages that wait, one that is due, and workers that must not notice the million."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

import redis

from tests.queues import Log, Process, empty, message
from tests.servers import Valkey, eventually
from workers import keys
from workers.queue.scripts import DELAY

DAY_MS = 24 * 3600 * 1000
BATCH = 1_000
WORKERS, THREADS = 2, 2
GROWN_KIB = 5 * 1024
DELIVERED_S = 1.0


class Patience(NamedTuple):
    """How late the due one came, and how much the worst worker grew."""

    stored: int
    delivered_s: float
    grown_kib: int

    @property
    def kept(self) -> bool:
        return self.delivered_s <= DELIVERED_S and self.grown_kib <= GROWN_KIB


def patience(valkey: Valkey, many: int, *, looks: int = 5) -> Patience:
    """Store `many` messages that are due tomorrow, then one that is due now. The server must be empty.

    The workers are looked at once a second while they go on working: what the many cost would be there to stay.
    """
    with ExitStack() as running, valkey.client() as client:
        workers = [running.enter_context(Process(valkey, threads=THREADS)) for _ in range(WORKERS)]
        _warm(client)
        before = [_memory_kib(worker.pid) for worker in workers]
        log, body = Log(client), message("note", "far").encode()
        for _ in range(many // BATCH):
            _delay(client, [body] * BATCH, DAY_MS)
        began = time.monotonic()
        _delay(client, [message("note", "due").encode()], 1)
        eventually(lambda: "due" in log.lines, every=0.005, within=60, what="the due one")
        took = time.monotonic() - began
        grown = 0
        for _ in range(looks):
            time.sleep(1)
            now = [_memory_kib(worker.pid) for worker in workers]
            grown = max(grown, *(new - old for new, old in zip(now, before, strict=True)))
        return Patience(client.zcard(keys.delayed("default")), took, grown)


def _warm(client: redis.Redis) -> None:
    """Every thread of every worker has run something: what Python loads at the first run is no growth."""
    _delay(client, [message("hold", "warm").encode()] * WORKERS * THREADS, 1)
    eventually(lambda: len(Log(client).lines) == WORKERS * THREADS, what="warm workers")
    client.set("go", "1")
    eventually(lambda: empty(client), what="the end of what was held")


def _delay(client: redis.Redis, bodies: list[bytes], delay_ms: int) -> None:
    names = [keys.delayed("default"), keys.delayed_messages("default")]
    DELAY.run(client, names, [part for body in bodies for part in (token_hex(12), delay_ms, body)])


def _memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])

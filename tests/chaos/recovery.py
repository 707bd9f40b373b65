"""How long a killed worker's messages are nobody's: the only busy worker is killed again and again."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import redis

from tests.queues import Log, Process, add, empty, message, pending
from tests.servers import Valkey, eventually

THREADS = 4
PROMISED_S = 1.0
"""What is promised on top of the lease."""


def recoveries(valkey: Valkey, kills: int, lease_s: float, chance: random.Random) -> list[float]:
    """Seconds from each kill until the last of the victim's messages has begun elsewhere. The server must be empty."""
    with ExitStack() as running, valkey.client() as client:
        heir = running.enter_context(Process(valkey, threads=THREADS, lease_s=lease_s))
        took = []
        for number in range(kills):
            victim = heir
            with busy(client, number):
                heir = running.enter_context(Process(valkey, threads=THREADS, lease_s=lease_s))
                eventually(lambda: len(pending(client)) == number + 2, what="the heir")  # noqa: B023 called at once
                time.sleep(chance.uniform(0, lease_s))  # wherever in its round of renewals the victim may be
                took.append(_killed(victim, client, number))
        return took


def _killed(victim: Process, client: redis.Redis, number: int) -> float:
    victim.kill()
    began, log = time.monotonic(), Log(client)
    eventually(lambda: log.lines.count(f"begin {number}") == 2 * THREADS, within=60, every=0.01, what="the takeover")
    return time.monotonic() - began


@contextmanager
def busy(client: redis.Redis, number: int) -> Iterator[None]:
    """Every thread of the only worker runs a message, until the block ends."""
    for _ in range(THREADS):
        add(client, message("hold", str(number)).encode())
    log = Log(client)
    eventually(lambda: log.lines.count(f"begin {number}") == THREADS, what="a busy worker")
    yield
    client.set("go", "1")
    eventually(lambda: empty(client), what="the end of what was held")
    client.delete("go")

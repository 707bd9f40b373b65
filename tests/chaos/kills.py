"""What is killed when, and how long it takes until a killed worker's messages are somebody else's."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

import redis

from actors.routes import QUEUES
from tests.chaos.house import WORKERS, House
from workers import keys
from workers.connection import connect

LOOK_S = 0.05
LONGEST_S = 60.0


class Target(StrEnum):
    GATEWAY = "gateway"
    WORKER = "worker, whole group"
    WORKER_CHILD = "worker, child only"
    MAILER = "mailer, whole group"
    MAILER_CHILD = "mailer, child only"
    SCHEDULER = "scheduler"
    VALKEY = "valkey"


CONSUMERS = {
    Target.WORKER: "worker",
    Target.WORKER_CHILD: "worker",
    Target.MAILER: "mailer",
    Target.MAILER_CHILD: "mailer",
}
"""Whose messages are taken over."""


class Kill(NamedTuple):
    """`after_s` counts from the first post."""

    after_s: float
    target: Target


class Recovery(NamedTuple):
    """How long `entries` messages were a dead worker's. `alone`: nothing was killed meanwhile that delays takeovers."""

    target: Target
    entries: int
    took_s: float
    alone: bool


def schedule(chance: random.Random, counts: Mapping[Target, int], seconds: float) -> list[Kill]:
    """As many of each as `counts` says, in any order, spread over the time."""
    targets = list(Counter(counts).elements())
    chance.shuffle(targets)
    slot = seconds / (len(targets) + 1)
    return [Kill(slot * (number + chance.uniform(0.6, 1.4)), target) for number, target in enumerate(targets)]


class Killer:
    """Works off a schedule in a thread of its own."""

    def __init__(self, house: House, kills: list[Kill], chance: random.Random) -> None:
        self.done: Counter[Target] = Counter()
        self._house = house
        self._kills = kills
        self._chance = chance
        self._thread = threading.Thread(target=self._run, name="killer", daemon=True)
        self._watches: list[Watch] = []
        self._killed: list[tuple[Target, float]] = []
        self._failed: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> list[Recovery]:
        """Wait until all is killed and taken over; raises what went wrong."""
        self._thread.join()
        if self._failed is not None:
            raise self._failed
        return [watch.recovery(self._killed, self._house.lease_s) for watch in self._watches if watch.ended()]

    def _run(self) -> None:
        began = time.monotonic()
        try:
            for kill in self._kills:
                time.sleep(max(0.0, began + kill.after_s - time.monotonic()))
                self._kill(kill.target)
        except BaseException as error:  # noqa: BLE001 the thread's edge: `finish` raises it
            self._failed = error

    def _kill(self, target: Target) -> None:
        child, at = self._act(target), time.monotonic()
        self.done[target] += 1
        self._killed.append((target, at))
        if child is not None:
            self._watches.append(Watch(self._house.valkey.url, child, target, at))

    def _act(self, target: Target) -> int | None:
        house, worker = self._house, self._chance.choice(WORKERS)
        actions: dict[Target, Callable[[], int | None]] = {
            Target.GATEWAY: lambda: house.kill("web"),
            Target.WORKER: lambda: house.kill(worker),
            Target.WORKER_CHILD: lambda: house.kill(worker, only_child=True),
            Target.MAILER: lambda: house.kill("mailer"),
            Target.MAILER_CHILD: lambda: house.kill("mailer", only_child=True),
            Target.SCHEDULER: lambda: house.kill("scheduler"),
            Target.VALKEY: house.kill_valkey,
        }
        return actions[target]()


class Watch:
    """Looks, from a thread of its own, until nothing is pending on the consumers of a dead process."""

    def __init__(self, url: str, pid: int, target: Target, killed: float) -> None:
        self._client = connect(url)
        self._pid = pid
        self._target = target
        self._killed = killed
        self._entries = 0
        self._took_s = 0.0
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def ended(self) -> bool:
        """Wait; whether there was anything to take over."""
        self._thread.join(LONGEST_S + 10)
        return self._entries > 0

    def recovery(self, kills: list[tuple[Target, float]], lease_s: float) -> Recovery:
        """A server or a worker killed before counts for as long as it holds takeovers back."""
        first, last = self._killed - 2 * lease_s, self._killed + self._took_s
        others = {target for target, at in kills if first < at < last and at != self._killed}
        alone = not any(
            target is Target.VALKEY or CONSUMERS.get(target) == CONSUMERS[self._target] for target in others
        )
        return Recovery(self._target, self._entries, self._took_s, alone)

    def _run(self) -> None:
        while self._took_s < LONGEST_S:
            try:
                held = sum(held_by(self._client, f":{self._pid}:").values())
            except redis.RedisError:
                held = 1
            else:
                self._entries = max(self._entries, held)
            self._took_s = time.monotonic() - self._killed
            if not held:
                break
            time.sleep(LOOK_S)
        self._client.close()


def held_by(client: redis.Redis, part: str) -> dict[str, int]:
    """How many entries are pending on the consumers whose name holds `part`. Raises redis.RedisError."""
    found: dict[str, int] = {}
    for queue in QUEUES:
        for consumer in client.xinfo_consumers(keys.stream(queue), "workers"):
            name = consumer["name"].decode()
            if part in name and consumer["pending"]:
                found[f"{queue} {name}"] = consumer["pending"]
    return found

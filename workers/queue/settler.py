"""Settling: what a delivery came to is written in one fenced step, many of them in one call when there is load.

One thread per worker process. What a message's hooks enqueued is stored before the message is settled; a settlement
that cannot reach Redis is tried again until it can or the process ends, and never dropped.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

import redis
import structlog
from dramatiq import Message
from redis import Redis

from workers import keys
from workers.queue import ledger
from workers.queue.dead import Letter
from workers.queue.delivery import Delivery
from workers.queue.encoding import encode
from workers.queue.scripts import BURY, SETTLE
from workers.script import Argument

MOST_AT_ONCE = 256
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0

log = structlog.get_logger(__name__)

Store = Callable[[Message[Any], int | None, bytes], None]


class Settler:
    """Takes deliveries whose run has ended, and settles them. `settle` is thread-safe and never blocks.

    `store` stores what hooks enqueued; `confirmed` is called for each delivery that is settled.
    """

    def __init__(self, client: Redis, consumer: str, store: Store, confirmed: Callable[[Delivery], None]) -> None:
        self._client = client
        self._consumer = consumer
        self._store = store
        self._confirmed = confirmed
        self._waiting: deque[Delivery] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def settle(self, delivery: Delivery) -> None:
        """Settle it soon."""
        delivery.settling = True
        self._waiting.append(delivery)
        if self._thread is None or self._closing:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout_s: float) -> bool:
        """Settle what waits, for at most `timeout_s`; whether all of it is settled."""
        thread = self._thread
        if thread is None:
            return True
        self._closing = True
        self._wake.set()
        thread.join(timeout_s)
        return not thread.is_alive()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._closing = False
                self._thread = threading.Thread(target=self._run, name="settler", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause = 0.0
        while True:
            self._wake.wait()
            self._wake.clear()
            left = self._settle_all()
            if left:
                if not pause:
                    log.warning("settlement.delayed", messages=left)
                pause = min(LONGEST_PAUSE_S, pause * 2 or FIRST_PAUSE_S)
                time.sleep(pause)
                self._wake.set()
            elif pause:
                log.info("settlement.caught_up")
                pause = 0.0
            if self._waiting:
                self._wake.set()  # what came meanwhile
            with self._starting:
                if self._closing and not self._waiting:
                    self._thread = None
                    return

    def _settle_all(self) -> int:
        """Settle all that waits; how many could not be, and wait again."""
        failed: list[Delivery] = []
        for _ in range(0, len(self._waiting), MOST_AT_ONCE):  # one queue's failures do not hold up the others
            group = [self._waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(self._waiting)))]
            failed += self._settle_group(group)
        self._waiting.extendleft(reversed(failed))
        return len(failed)

    def _settle_group(self, group: list[Delivery]) -> list[Delivery]:
        failed: list[Delivery] = []
        by_queue: dict[str, list[Delivery]] = defaultdict(list)
        for delivery in group:
            if delivery.outbox and not delivery.lost:
                failed += self._try(self._store_outbox, [delivery])
                if delivery.outbox:
                    continue
            if delivery.lost:
                self._done_with(delivery, owned=False)
            elif delivery.failed:
                failed += self._try(self._bury, [delivery])
            else:
                by_queue[delivery.lane.queue].append(delivery)
        for deliveries in by_queue.values():
            failed += self._try(self._settle_queue, deliveries)
        return failed

    def _store_outbox(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            while delivery.outbox:  # one by one: what is stored is not stored again when the next cannot be
                self._store(*delivery.outbox[0])
                del delivery.outbox[0]

    def _try(self, step: Callable[[list[Delivery]], None], deliveries: list[Delivery]) -> list[Delivery]:
        try:
            step(deliveries)
        except redis.RedisError as error:
            log.debug("settlement.failed", error=str(error))
            return deliveries
        except Exception:
            # the thread's edge: a settlement that cannot even be written down must not stop all others; its lease ends
            if len(deliveries) > 1:
                return [failed for delivery in deliveries for failed in self._try(step, [delivery])]
            log.exception("settlement.impossible", message_id=deliveries[0].message_id)
            self._done_with(deliveries[0], owned=False)
        return []

    def _settle_queue(self, deliveries: list[Delivery]) -> None:
        queue = deliveries[0].lane.queue
        names = [keys.stream(queue), keys.delayed(queue), keys.delayed_messages(queue), keys.settled(queue)]
        args: list[Argument] = [self._consumer, ledger.RETENTION_S]
        for delivery in deliveries:
            again = delivery.retry_delay_ms
            args += [
                delivery.entry_id,
                -1 if again is None else again,
                "" if again is None else encode(delivery.message),
            ]
            records = delivery.ledger_records("done" if again is None else "retrying")
            args += [len(records), *records]
            if records and delivery.event is not None:
                names.append(ledger.key(queue, delivery.event.id))
        for delivery, owned in zip(deliveries, SETTLE.run(self._client, names, args), strict=True):
            self._done_with(delivery, owned=bool(owned))

    def _bury(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            letter = Letter.of(delivery)
            buried = self._bury_as(delivery, letter)
            if buried < 0:
                buried = self._bury_as(delivery, letter.named(f"{letter.id}.{delivery.entry_id}"))
            self._done_with(delivery, owned=buried > 0)

    def _bury_as(self, delivery: Delivery, letter: Letter) -> int:
        records = delivery.ledger_records("dead")
        ledger_key = ledger.key(letter.queue, delivery.event.id) if delivery.event else keys.stream(letter.queue)
        answer: int = BURY.run(
            self._client,
            [*letter.keys, ledger_key],
            [self._consumer, delivery.entry_id, *letter.arguments, ledger.RETENTION_S, *records],
        )
        return answer

    def _done_with(self, delivery: Delivery, *, owned: bool) -> None:
        delivery.lane.settled(delivery.entry_id)
        if owned:
            self._confirmed(delivery)
            delivery.forget()
        else:
            log.warning("settlement.fenced", queue=delivery.lane.queue, message_id=delivery.message_id)

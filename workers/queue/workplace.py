"""What one worker process works with: its lanes, its settler and its keeper, from its first read to its last word."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from queue import Empty, PriorityQueue
from secrets import token_hex
from typing import Any, NoReturn

import dramatiq.worker
import redis
import structlog
from dramatiq import Broker, Middleware, Worker
from dramatiq.common import iter_queue
from dramatiq.worker import ConsumerThread
from redis import Redis

from workers.queue.delivery import Delivery
from workers.queue.keeper import Keeper
from workers.queue.lane import WIDEST, Lane
from workers.queue.settler import Settler, Store

SETTLE_TIMEOUT_S = 10.0

log = structlog.get_logger(__name__)


class Workplace:
    """Opens lanes, keeps them alive while the worker runs, and leaves nothing behind when it stops."""

    def __init__(
        self,
        client: Redis,
        lease_s: float,
        running: Mapping[int, Delivery],
        store: Store,
        confirmed: Callable[[Delivery], None],
    ) -> None:
        """`running` is what each thread runs just now; `store` and `confirmed` are the settler's."""
        self.consumer = f"{socket.gethostname()}:{os.getpid()}:{token_hex(4)}"
        self.lanes: dict[str, Lane] = {}
        self.settler = Settler(client, self.consumer, store, confirmed)
        self._client = client
        self._lease_s = lease_s
        self._running = running
        self._keeper: Keeper | None = None
        self._worker: Worker | None = None

    def lane(self, queue: str, prefetch: int) -> Lane:
        """The lane of a queue, open; `prefetch` is what Dramatiq's worker asks for, two for each thread."""
        lane = self.lanes.get(queue)
        if lane is None:
            lease_ms, hand_back = int(self._lease_s * 1000), partial(self._hand_back, queue)
            lane = self.lanes[queue] = Lane(self._client, queue, self.consumer, lease_ms, hand_back)
        fixed = dramatiq.worker.QUEUE_PREFETCH
        lane.open(fixed or max(1, prefetch // 2), fixed or WIDEST)
        return lane

    def settle(self) -> None:
        """Settle what waits; what cannot be comes again when its lease ends."""
        if not self.settler.close(SETTLE_TIMEOUT_S):
            log.warning("worker.left_unsettled")

    def boot(self, worker: Worker) -> None:
        """The worker runs: renew its leases and say that it lives."""
        lanes, self._worker = self.lanes, worker
        self._keeper = Keeper(self._client, self.consumer, self._lease_s, lambda: list(lanes.values()), self._running)
        self._keeper.start()

    def shut(self, worker: Worker) -> None:
        """Read no more, and hand back at once what is prefetched and not begun."""
        self._worker = worker
        for lane in self.lanes.values():
            lane.close()
        for queue in self.lanes:
            self._hand_back(queue)

    def _hand_back(self, queue: str) -> None:
        """Release what was read from a queue and no thread has begun."""
        if self._worker is None:
            return
        others = []
        for item in iter_queue(self._worker.work_queue):
            if isinstance(item.message, Delivery) and item.message.queue_name == queue:
                item.message.lane.release([item.message.entry_id])
            else:
                others.append(item)
            self._worker.work_queue.task_done()
        for item in others:
            self._worker.work_queue.put(item)

    def leave(self) -> None:
        """The worker has stopped: settle, withdraw the presence and the consumers."""
        self.settle()
        if self._keeper is not None:
            self._keeper.stop()
        for lane in self.lanes.values():
            try:
                lane.leave()
            except redis.RedisError as error:
                log.warning("consumer.not_withdrawn", queue=lane.queue, error=str(error))


class Lifecycle(Middleware):
    """Tells a workplace of its worker's boot and shutdown. Stands first."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace

    def after_consumer_thread_boot(self, broker: Broker, thread: ConsumerThread) -> None:  # noqa: ARG002 Dramatiq's signature
        """No message waits in a worker's memory."""
        thread.delay_queue = _NoDelays()

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:  # noqa: ARG002 Dramatiq's signature
        """See Workplace.boot."""
        self._workplace.boot(worker)

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:  # noqa: ARG002 Dramatiq's signature
        """See Workplace.shut."""
        self._workplace.shut(worker)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:  # noqa: ARG002 Dramatiq's signature
        """See Workplace.leave."""
        self._workplace.leave()


class _NoDelays(PriorityQueue[Any]):
    """Stands in for the delay queue that Dramatiq's consumer thread looks into after every message."""

    def get_nowait(self) -> NoReturn:
        raise Empty

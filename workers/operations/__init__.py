"""The only operator API: the command line, the HTTP routes and the console call it, and none of them touches Redis.

`Operations` answers what they ask; what it changes, it writes to the audit log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from redis import Redis, RedisError

from workers.contract import Contract
from workers.database import Database
from workers.errors import BrokenContractError, NotFoundError, RefusedError, UnavailableError
from workers.operations import audit, bulk
from workers.operations.traces import EventTrace, Traces
from workers.queue import inspection
from workers.queue.graveyard import Filter, Found, Graveyard, event_of
from workers.queue.inspection import QueueState, WorkerState
from workers.queue.publisher import Publisher

__all__ = ["EventTrace", "Filter", "Found", "Operations", "QueueState", "WorkerState", "event_of"]

CURSOR = re.compile(r"[0-9]{1,16}\.")
"""How the cursor of a dead letter begins: with when it died, ms since the epoch."""


class Operations:
    """What an operator can see and do.

    `by` in every method that changes something is who does it. Every method raises UnavailableError when Redis or the
    database cannot be reached.
    """

    def __init__(
        self,
        client: Redis,
        queues: Iterable[str],
        database: Database | None = None,
        publisher: Publisher | None = None,
    ) -> None:
        """`database` is needed by what writes to the audit log, `publisher` by bulk operations."""
        self._client = client
        self._queues = tuple(queues)
        self._traces = Traces(client, self._queues)
        self._graveyard = Graveyard(client, self._queues)
        self._given_database = database
        self._given_publisher = publisher

    def trace(self, event_id: str, *, caller: str | None = None, source: str | None = None) -> EventTrace | None:
        """The tree of one event, or None. With `caller`, only that caller's; `source` picks among equal ids."""
        with _reachable():
            return self._traces.trace(event_id, caller=caller, source=source)

    def workers(self) -> list[WorkerState]:
        """The living worker processes."""
        with _reachable():
            return inspection.worker_states(self._client)

    def consumed_queues(self) -> set[str]:
        """The queues that some living worker consumes."""
        return {queue for worker in self.workers() for queue in worker.queues}

    def queues(self) -> list[QueueState]:
        """Every queue."""
        workers = self.workers()
        return [self._state(queue, workers) for queue in self._queues]

    def queue(self, queue: str) -> QueueState:
        """One queue. Raises NotFoundError."""
        self._known(queue)
        return self._state(queue, self.workers())

    def pause(self, queue: str, by: str) -> None:
        """Workers take nothing more from the queue. Raises NotFoundError."""
        self._known(queue)
        with _reachable():
            inspection.pause(self._client, queue, by)
        self._audit(by, "queue.pause", queue)

    def resume(self, queue: str, by: str) -> None:
        """Workers take from the queue again. Raises NotFoundError."""
        self._known(queue)
        with _reachable():
            inspection.resume(self._client, queue)
        self._audit(by, "queue.resume", queue)

    def dead(self, wanted: Filter, *, limit: int, cursor: str | None = None) -> list[Found]:
        """Dead letters, newest first; the last one's `cursor` is where the next page begins.

        Raises NotFoundError for an unknown queue, RefusedError for a cursor that is none.
        """
        self._searchable(wanted)
        if cursor is not None and not CURSOR.match(cursor):
            raise RefusedError("the cursor is not one that a listing of dead letters ended with")
        with _reachable():
            return [found for found, _ in zip(self._graveyard.search(wanted, cursor), range(limit), strict=False)]

    def all_dead(self, wanted: Filter) -> Iterator[Found]:
        """All dead letters of a filter, newest first, read as they are asked for."""
        with _reachable():
            yield from self._graveyard.search(wanted)

    def count_dead(self, wanted: Filter) -> int:
        """How many dead letters a filter finds. Raises NotFoundError for an unknown queue."""
        self._searchable(wanted)
        with _reachable():
            return self._graveyard.count(wanted)

    def letter(self, letter_id: str) -> Found:
        """One dead letter. Raises NotFoundError."""
        with _reachable():
            found = self._graveyard.find(letter_id)
        if found is None:
            raise NotFoundError(f"there is no dead letter {letter_id!r}; it may have been retried or discarded")
        return found

    def retry(self, letter_id: str, by: str) -> None:
        """Put one message back on its queue. Raises NotFoundError."""
        found = self.letter(letter_id)
        with _reachable():
            self._taken(self._graveyard.retry(found.letter), letter_id)
        self._audit(by, "dead.retry", letter_id, queue=found.letter.queue)

    def edit(self, letter_id: str, data: dict[str, Any], by: str, contracts: Mapping[str, type[Contract]]) -> None:
        """Put one message back with other data: fields that `data` leaves out stay. The original travels along.

        Raises NotFoundError, and RefusedError when the data breaks the event's contract.
        """
        found = self.letter(letter_id)
        if found.letter.body.get("raw"):
            raise RefusedError("this letter holds bytes that cannot be edited; retry or discard it")
        event = event_of(found.letter)
        data = {**(event.data if event else found.letter.body["message"]["kwargs"]), **data}
        if event is not None and event.type in contracts:
            try:
                data = contracts[event.type].model_validate(data).model_dump(mode="json", exclude_none=True)
            except ValidationError as error:
                raise BrokenContractError(event.type, data, error.errors()) from None
        with _reachable():
            self._taken(self._graveyard.retry(found.letter, edited=data, by=by), letter_id)
        self._audit(by, "dead.edit", letter_id, queue=found.letter.queue)

    def discard(self, letter_id: str, by: str) -> None:
        """Throw one dead letter away. Raises NotFoundError."""
        found = self.letter(letter_id)
        with _reachable():
            self._taken(self._graveyard.discard(found.letter), letter_id)
        self._audit(by, "dead.discard", letter_id, queue=found.letter.queue)

    def start_bulk(self, kind: bulk.Kind, wanted: Filter, rate: float, by: str) -> UUID:
        """Store an operation over all dead letters that a filter finds now, and set workers to it.

        Raises NotFoundError for an unknown queue. An operation that no worker could be told of is stopped.
        """
        total, publisher = self.count_dead(wanted), self._publisher
        with _reachable():
            until = inspection.now_ms(self._client, self._queues[0])  # the clock that the letters' times are from
        with self._database.write() as connection:
            now = datetime.now(UTC)
            operation = bulk.create(connection, kind, wanted._replace(until_ms=until), total, rate, by, now)
            detail = {key: value for key, value in wanted._asdict().items() if value}
            audit.write(connection, by, f"dead.{kind}_many", str(operation), total, detail, now)
        try:
            publisher.publish(bulk.first_slice(operation, by))
        except UnavailableError:
            with self._database.write() as connection:
                bulk.end(connection, operation, "stopped", "it was never begun: Redis went away", datetime.now(UTC))
            raise
        return operation

    def operation(self, operation_id: UUID) -> bulk.Progress:
        """How far a bulk operation is. Raises NotFoundError."""
        with self._database.read() as connection:
            progress = bulk.read(connection, operation_id)
        if progress is None:
            raise NotFoundError(f"there is no operation {operation_id}")
        return progress

    def stop(self, operation_id: UUID, by: str) -> None:
        """Stop a bulk operation after what it is doing now. Raises NotFoundError."""
        self.operation(operation_id)
        with self._database.write() as connection:
            bulk.end(connection, operation_id, "stopped", f"stopped by {by}", datetime.now(UTC))
        self._audit(by, "operation.stop", str(operation_id))

    def audit_log(self, limit: int, before: int | None = None) -> list[audit.Entry]:
        """Who did what, newest first; the last one's id is the `before` of the next page."""
        with self._database.read() as connection:
            return audit.read(connection, limit, before)

    @property
    def _database(self) -> Database:
        if self._given_database is None:
            raise TypeError("these operations were opened without a database")
        return self._given_database

    @property
    def _publisher(self) -> Publisher:
        if self._given_publisher is None:
            raise TypeError("these operations were opened without a publisher")
        return self._given_publisher

    def _state(self, queue: str, workers: list[WorkerState]) -> QueueState:
        with _reachable():
            return inspection.queue_state(self._client, queue, sum(queue in worker.queues for worker in workers))

    def _searchable(self, wanted: Filter) -> None:
        if wanted.queue is not None:
            self._known(wanted.queue)

    def _known(self, queue: str) -> None:
        if queue not in self._queues:
            raise NotFoundError(f"there is no queue {queue!r}; these are: {', '.join(self._queues)}")

    def _taken(self, taken: bool, letter_id: str) -> None:
        if not taken:
            raise NotFoundError(f"the dead letter {letter_id!r} is gone: somebody else was faster")

    def _audit(self, by: str, action: str, target: str, **detail: Any) -> None:
        now = datetime.now(UTC)
        with self._database.write() as connection:
            audit.write(connection, by, action, target, 1, detail, now)


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise UnavailableError("Redis", str(error)) from error

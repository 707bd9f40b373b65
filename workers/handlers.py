"""Handlers: plain functions that do the work of an actor, and what turns them into Dramatiq actors.

A handler names by its parameters what it needs: `event` (the envelope), `data` (the validated contract), `work`
(a transaction that holds the receipt; see `Work`), or a resource given to `Handlers` at boot (`database`, `mail`, …).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dramatiq
import structlog
from dramatiq import Broker
from pydantic import ValidationError
from sqlalchemy import Connection

from workers import receipts
from workers.cache import TaggedCache
from workers.contract import Contract
from workers.database import Database
from workers.errors import PermanentError, UnavailableError
from workers.event import Event
from workers.queue.publisher import Publisher

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Handler:
    """A function and the Dramatiq options of its actor. Calling it calls the function, so tests need nothing else."""

    name: str
    function: Callable[..., None]
    options: Mapping[str, Any]

    @property
    def needs(self) -> frozenset[str]:
        """The names of its parameters."""
        return frozenset(inspect.signature(self.function).parameters)

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Do the work."""
        self.function(*args, **kwargs)


def handler(name: str, **options: Any) -> Callable[[Callable[..., None]], Handler]:
    """Mark a function as the handler of the actor `name`; `options` are Dramatiq's (max_retries, min_backoff, …)."""
    return lambda function: Handler(name, function, options)


@dataclass(slots=True)
class Work:
    """One message's transaction. All it executes, its receipt and its follow-ups are stored together or not at all."""

    connection: Connection
    now: datetime
    follow_ups: list[Contract] = field(default_factory=list)
    stale_tags: list[str] = field(default_factory=list)

    def publish(self, *facts: Contract) -> None:
        """Publish these once the transaction is committed."""
        self.follow_ups.extend(facts)

    def invalidate(self, *tags: str) -> None:
        """Make what is cached under these tags stale once the transaction is committed."""
        self.stale_tags.extend(tags)


class Handlers:
    """Runs handlers: decodes the event, hands over what they ask for, commits, then publishes what follows."""

    def __init__(
        self,
        *,
        contracts: Mapping[str, type[Contract]],
        database: Database,
        publisher: Publisher,
        cache: TaggedCache,
        **resources: Any,
    ) -> None:
        self._contracts = contracts
        self._database = database
        self._publisher = publisher
        self._cache = cache
        self._resources = {"database": database, "publisher": publisher, "cache": cache, **resources}

    def declare(self, handler: Handler, queue: str, broker: Broker) -> dramatiq.Actor[..., None]:
        """The Dramatiq actor of a handler. Raises TypeError at boot when it asks for something nobody gave."""
        unknown = handler.needs - {"event", "data", "work"} - self._resources.keys()
        if unknown:
            raise TypeError(f"{handler.name} asks for {sorted(unknown)}, which boot does not provide")

        def act(event: dict[str, Any]) -> None:
            self.run(handler, Event.from_dict(event))

        options = {"throws": PermanentError, **handler.options}
        return dramatiq.actor(actor_name=handler.name, queue_name=queue, broker=broker, **options)(act)

    def run(self, handler: Handler, event: Event) -> None:
        """Do a handler's work for an event: once, if it works in a transaction, however often it is called."""
        given = {**self._resources, "event": event, "data": self._data(event)}
        if "work" in handler.needs:
            self._transact(handler, event, given)
        else:
            handler(**{name: given[name] for name in handler.needs})

    def _data(self, event: Event) -> Contract:
        contract = self._contracts.get(event.type)
        if contract is None:
            raise PermanentError(f"there is no contract for {event.type}")
        try:
            return contract.model_validate(event.data)
        except ValidationError as error:
            places = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
            raise PermanentError(f"the data of {event.type} breaks its contract at: {places}") from None

    def _transact(self, handler: Handler, event: Event, given: dict[str, Any]) -> None:
        with self._database.write() as connection:
            now = datetime.now(UTC)
            work = Work(connection, now)
            if receipts.claim(connection, event, handler.name, now):
                handler(**{name: given[name] for name in handler.needs - {"work"}}, work=work)
                follow_ups = [
                    event.follow_up(fact, actor=handler.name, number=number)
                    for number, fact in enumerate(work.follow_ups)
                ]
                receipts.record(connection, event, handler.name, follow_ups)
            else:
                follow_ups = receipts.follow_ups(connection, event, handler.name)
        self._invalidate(work.stale_tags)
        self._publisher.publish_follow_ups(event, handler.name, follow_ups)

    def _invalidate(self, tags: list[str]) -> None:
        """At once where possible; where not, the follow-up to `cache.invalidate` waits in its queue until it is."""
        if not tags:
            return
        try:
            self._cache.invalidate(tags)
        except UnavailableError as error:
            log.warning("cache.invalidation_deferred", error=str(error))

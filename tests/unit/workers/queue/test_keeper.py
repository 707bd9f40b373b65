from __future__ import annotations

import pytest
import redis

from tests.builders import Told, an_event
from tests.servers import eventually
from workers import keys
from workers.event import Route
from workers.operations import Operations
from workers.queue import keeper
from workers.queue.publisher import Publisher

ROUTES = {"user.signed_up": (Route("users.create", "users"),)}


def test_of_more_ledgers_than_are_kept_the_oldest_go(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LEDGERS_KEPT", 3)
    monkeypatch.setattr(keeper, "TRIMMED_AT_ONCE", 1)
    events = [an_event() for _ in range(5)]
    for event in events:
        Publisher(store, ROUTES).publish(event)
    operations = Operations(store, ["users"])
    with Told(store, ROUTES).alive("users"):
        eventually(lambda: store.llen(keys.ledgers("users")) == 3, within=0.9)  # in one tick: more may come by the next
    assert [operations.trace(event.id) is None for event in events] == [True, True, False, False, False]


def test_an_event_that_is_published_again_has_one_ledger(store: redis.Redis) -> None:
    event = an_event()
    for _ in range(3):
        Publisher(store, ROUTES).publish(event)
    assert store.llen(keys.ledgers("users")) == 1

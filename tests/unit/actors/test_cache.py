from __future__ import annotations

from typing import Any

import pytest
import redis

from actors.cache import invalidate
from tests.builders import NOBODY_LISTENS, an_event, business
from workers.cache import TaggedCache
from workers.connection import connect
from workers.database import Database
from workers.errors import UnavailableError

ADA, BOB = "0b5a4c1e-8a52-4f0e-9d0a-6f7f3c6f1a11", "7d3f1c52-6b0e-4f57-8a53-1d1f5e0c2b22"
EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("user.created", {"user_id": ADA, "email": "ada@example.org", "name": "Ada"}),
    ("user.updated", {"user_id": ADA, "changed": ["name"]}),
    ("user.deleted", {"user_id": ADA}),
    ("subscription.changed", {"user_id": ADA, "subscription_id": "7", "status": "active", "plan": "pro"}),
    ("cache.invalidation_requested", {"user_id": ADA}),
    ("cache.invalidation_requested", {"tags": [f"user:{ADA}"]}),
    ("cache.invalidation_requested", {"tags": ["plans", f"user:{ADA}"], "user_id": BOB}),
]


def stale(cache: TaggedCache, tag: str) -> bool:
    return cache.read(f"{tag}:profile", [tag], lambda: "new").how == "miss"


@pytest.mark.parametrize(("type_", "data"), EVENTS)
def test_what_is_cached_about_the_user_is_stale(
    database: Database, store: redis.Redis, type_: str, data: dict[str, Any]
) -> None:
    cache = TaggedCache(store)
    stale(cache, f"user:{ADA}")
    assert not stale(cache, f"user:{ADA}")
    business(database, store).run(invalidate, an_event(type_, data))
    assert stale(cache, f"user:{ADA}")


def test_tags_and_user_of_one_event_are_both_stale_and_nothing_else_is(database: Database, store: redis.Redis) -> None:
    cache, tags = TaggedCache(store), ("plans", f"user:{ADA}", f"user:{BOB}")
    for tag in tags:
        stale(cache, tag)
    business(database, store).run(
        invalidate, an_event("cache.invalidation_requested", {"tags": ["plans"], "user_id": BOB})
    )
    assert [stale(cache, tag) for tag in tags] == [True, False, True]


def test_applying_it_twice_does_no_harm(database: Database, store: redis.Redis) -> None:
    event = an_event(*EVENTS[0])
    for _ in range(2):
        business(database, store).run(invalidate, event)
    assert stale(TaggedCache(store), f"user:{ADA}")


def test_while_the_cache_is_away_the_message_comes_again_without_limit(database: Database) -> None:
    with connect(NOBODY_LISTENS) as away, pytest.raises(UnavailableError, match="the cache"):
        business(database, away).run(invalidate, an_event(*EVENTS[0]))
    assert invalidate.options["max_retries"] is None

from __future__ import annotations

from collections.abc import Callable

import fakeredis
import pytest
import redis

from tests.builders import NOBODY_LISTENS
from workers import keys
from workers.cache import Read, TaggedCache
from workers.connection import connect
from workers.errors import UnavailableError

KEY, TAG = "user:1:profile", "user:1"


@pytest.fixture
def cache(store: redis.Redis) -> TaggedCache:
    return TaggedCache(store)


def gives(value: object) -> Callable[[], object]:
    return lambda: value


def never() -> object:
    raise AssertionError("loaded although the cache had it")


def test_the_first_read_loads_and_the_next_one_hits(cache: TaggedCache) -> None:
    value = {"name": "Ada", "tags": ["a", None, 1.5], "ü": True}
    assert cache.read(KEY, [TAG], gives(value)) == Read(value, "miss")
    assert cache.read(KEY, [TAG], never) == Read(value, "hit")


@pytest.mark.parametrize("value", [0, False, "", [], {}, "\n", "a,b\nc"])
def test_empty_values_and_separators_are_values(cache: TaggedCache, value: object) -> None:
    cache.read(KEY, [TAG], gives(value))
    assert cache.read(KEY, [TAG], never) == Read(value, "hit")


def test_what_does_not_exist_is_not_kept(cache: TaggedCache) -> None:
    assert cache.read(KEY, [TAG], gives(None)) == Read(None, "miss")
    assert cache.read(KEY, [TAG], gives(1)) == Read(1, "miss")


def test_keys_do_not_share_values(cache: TaggedCache) -> None:
    cache.read(KEY, [TAG], gives(1))
    assert cache.read("user:1:metrics", [TAG], gives(2)) == Read(2, "miss")


def test_invalidating_a_tag_makes_everything_under_it_a_miss(cache: TaggedCache) -> None:
    for key in ("profile", "metrics"):
        cache.read(key, [TAG], gives("old"))
    cache.invalidate([TAG])
    assert [cache.read(key, [TAG], gives("new")).value for key in ("profile", "metrics")] == ["new", "new"]


def test_invalidating_a_tag_leaves_other_tags_alone(cache: TaggedCache) -> None:
    cache.read(KEY, [TAG], gives(1))
    cache.invalidate(["user:2"])
    assert cache.read(KEY, [TAG], never).how == "hit"


@pytest.mark.parametrize("stale", ["user:1", "plan:free"])
def test_an_entry_under_two_tags_falls_with_either(cache: TaggedCache, stale: str) -> None:
    tags = ["user:1", "plan:free"]
    cache.read(KEY, tags, gives("old"))
    cache.invalidate([stale])
    assert cache.read(KEY, tags, gives("new")) == Read("new", "miss")


def test_a_fill_that_spans_an_invalidation_is_never_served(cache: TaggedCache) -> None:
    def overtaken() -> object:
        cache.invalidate([TAG])
        return "old"

    assert cache.read(KEY, [TAG], overtaken) == Read("old", "miss")
    assert cache.read(KEY, [TAG], gives("new")) == Read("new", "miss")


def test_a_fill_that_spans_the_loss_of_its_tag_is_never_served(store: redis.Redis, cache: TaggedCache) -> None:
    def overtaken() -> object:
        store.delete(keys.cache_tag(TAG))
        return "old"

    cache.read(KEY, [TAG], overtaken)
    assert cache.read(KEY, [TAG], gives("new")) == Read("new", "miss")


def test_a_lost_tag_is_a_miss_and_the_refill_a_hit(store: redis.Redis, cache: TaggedCache) -> None:
    cache.read(KEY, [TAG], gives("old"))
    store.delete(keys.cache_tag(TAG))
    assert cache.read(KEY, [TAG], gives("new")) == Read("new", "miss")
    assert cache.read(KEY, [TAG], never) == Read("new", "hit")


def test_a_lost_entry_is_a_miss(store: redis.Redis, cache: TaggedCache) -> None:
    cache.read(KEY, [TAG], gives("old"))
    store.delete(keys.cache_entry(KEY))
    assert cache.read(KEY, [TAG], gives("new")) == Read("new", "miss")


def test_a_tag_outlives_the_entries_under_it_and_both_end(store: redis.Redis, cache: TaggedCache) -> None:
    cache.read(KEY, [TAG], gives(1))
    assert 0 < int(store.ttl(keys.cache_entry(KEY))) < int(store.ttl(keys.cache_tag(TAG)))


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b'{"name": "Ad'])
def test_a_corrupt_entry_is_dropped_and_loaded_again(store: redis.Redis, cache: TaggedCache, damage: bytes) -> None:
    cache.read(KEY, [TAG], gives({"name": "Ada"}))
    entry = store.get(keys.cache_entry(KEY))
    assert isinstance(entry, bytes)
    store.set(keys.cache_entry(KEY), entry.partition(b"\n")[0] + b"\n" + damage)
    assert cache.read(KEY, [TAG], gives("new")) == Read("new", "miss")
    cache.read(KEY, [TAG], gives("newer"))
    assert cache.read(KEY, [TAG], never).how == "hit"


def test_what_the_loader_raises_is_raised_and_nothing_kept(cache: TaggedCache) -> None:
    with pytest.raises(AssertionError, match="loaded"):
        cache.read(KEY, [TAG], never)
    assert cache.read(KEY, [TAG], gives(1)).how == "miss"


def test_a_cache_that_is_away_is_passed_by_when_reading_and_not_when_invalidating() -> None:
    with connect(NOBODY_LISTENS) as client:
        cache = TaggedCache(client)
        assert cache.read(KEY, [TAG], gives(1)) == Read(1, "bypass")
        with pytest.raises(UnavailableError, match=r"^the cache cannot be reached"):
            cache.invalidate([TAG])


def test_a_cache_that_goes_away_during_a_load_costs_nothing_but_the_fill() -> None:
    server = fakeredis.FakeServer()

    def lost() -> object:
        server.connected = False
        return 1

    assert TaggedCache(fakeredis.FakeRedis(server=server)).read(KEY, [TAG], lost) == Read(1, "miss")

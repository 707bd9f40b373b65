"""Cache invalidation: held in the queue until it can be applied, and harmless when applied twice."""

from __future__ import annotations

from actors.events import CacheInvalidationRequested, SubscriptionChanged, UserCreated, UserDeleted, UserUpdated
from workers.cache import TaggedCache
from workers.handlers import handler

Stale = CacheInvalidationRequested | UserCreated | UserUpdated | UserDeleted | SubscriptionChanged


@handler("cache.invalidate", max_retries=None, min_backoff=250, max_backoff=30_000)
def invalidate(data: Stale, cache: TaggedCache) -> None:
    """Make stale what is cached about a user or under the tags. Raises UnavailableError while the cache is away."""
    tags = list(getattr(data, "tags", []))
    if data.user_id is not None:
        tags.append(f"user:{data.user_id}")
    cache.invalidate(tags)


HANDLERS = (invalidate,)

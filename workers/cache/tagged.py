"""Tag-versioned cache: an entry holds the nonces its tags had before its value was loaded.

Invalidating a tag replaces its nonce, O(1) whatever it covers; a lost key is a miss, never a stale hit. The nonces
are taken before the load: a value that was being loaded while its tag was invalidated can never be read back.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import Any, Literal, NamedTuple

import orjson
import structlog
from redis import Redis, RedisError

from workers import keys
from workers.errors import UnavailableError

TTL_S = 300
TTL_JITTER = 0.1  # entries that were filled together do not expire together
TAG_TTL_S = 24 * 3600  # a tag outlives every entry under it
SCRIPT = files("workers.cache").joinpath("read.lua").read_text()

log = structlog.get_logger(__name__)


class Read(NamedTuple):
    """A value and how it was come by: from the cache, loaded past it, or loaded because the cache is away."""

    value: Any
    how: Literal["hit", "miss", "bypass"]


class TaggedCache:
    """A cache of JSON values on one Redis; thread-safe."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._script = client.register_script(SCRIPT)

    def read(self, key: str, tags: Iterable[str], load: Callable[[], Any]) -> Read:
        """The value of `key`, loaded (and kept, unless it is None) on a miss. Raises only what `load` raises."""
        names = [keys.cache_tag(tag) for tag in tags]
        try:
            found, *nonces = self._script(keys=[keys.cache_entry(key), *names], args=[_nonce(), TAG_TTL_S])
        except RedisError as error:
            log.warning("cache.unreadable", error=str(error))
            return Read(load(), "bypass")
        if found is not None:
            try:
                return Read(orjson.loads(found), "hit")
            except orjson.JSONDecodeError:
                self._drop(key)
        value = load()
        if value is not None and nonces:  # none came with a corrupt entry: the next read fills
            self._keep(key, nonces, value)
        return Read(value, "miss")

    def invalidate(self, tags: Iterable[str]) -> None:
        """Make every entry under these tags a miss. Raises UnavailableError when the cache cannot be reached."""
        try:
            pipeline = self._client.pipeline(transaction=False)
            for tag in tags:
                pipeline.set(keys.cache_tag(tag), _nonce(), ex=TAG_TTL_S)
            pipeline.execute()
        except RedisError as error:
            raise UnavailableError("the cache", str(error)) from error

    def _keep(self, key: str, nonces: list[bytes], value: Any) -> None:
        ttl = round(TTL_S * random.uniform(1 - TTL_JITTER, 1))  # noqa: S311 spreads load, guards nothing
        try:
            self._client.set(keys.cache_entry(key), b",".join(nonces) + b"\n" + orjson.dumps(value), ex=ttl)
        except RedisError as error:
            log.warning("cache.unwritable", error=str(error))

    def _drop(self, key: str) -> None:
        log.warning("cache.corrupt", key=key)
        try:
            self._client.delete(keys.cache_entry(key))
        except RedisError as error:
            log.warning("cache.unwritable", error=str(error))


def _nonce() -> str:
    return secrets.token_hex(8)

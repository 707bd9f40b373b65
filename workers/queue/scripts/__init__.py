"""The Lua scripts of the queue: each is one atomic step on the keys of one queue, declared in KEYS."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import redis.asyncio
from redis import Redis
from redis.exceptions import NoScriptError

Argument = str | bytes | int | float


class Script:
    """A script, run by its digest; a server that has lost it (SCRIPT FLUSH, failover) is sent it again."""

    def __init__(self, name: str) -> None:
        self.source = files(__name__).joinpath(f"{name}.lua").read_text()
        self.digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()  # Redis names scripts so

    def run(self, client: Redis, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Its answer. Raises redis.RedisError."""
        try:
            return client.evalsha(self.digest, len(keys), *keys, *args)
        except NoScriptError:
            return client.eval(self.source, len(keys), *keys, *args)

    async def run_async(self, client: redis.asyncio.Redis, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """The same for asyncio."""
        try:
            return await client.evalsha(self.digest, len(keys), *keys, *args)
        except NoScriptError:
            return await client.eval(self.source, len(keys), *keys, *args)


PUBLISH = Script("publish")
DELAY = Script("delay")
TEND = Script("tend")
RENEW = Script("renew")
BEGIN = Script("begin")
RELEASE = Script("release")
SETTLE = Script("settle")
BURY = Script("bury")
EXHUME = Script("exhume")
SWEEP = Script("sweep")

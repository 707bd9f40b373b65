"""Lua scripts: each is one atomic step on keys that share a hash tag, declared in KEYS."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import redis.asyncio
from redis import Redis, RedisError
from redis.exceptions import NoScriptError

Key = str | bytes
Argument = str | bytes | int | float


class Script:
    """A script, run by its digest; a server that has lost it (SCRIPT FLUSH, failover) is sent it again."""

    def __init__(self, package: str, name: str) -> None:
        """`name`.lua of a package."""
        self.source = files(package).joinpath(f"{name}.lua").read_text()
        self.digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()  # Redis names scripts so

    def run(self, client: Redis, keys: Sequence[Key], args: Sequence[Argument]) -> Any:
        """Its answer. Raises redis.RedisError."""
        try:
            return client.evalsha(self.digest, len(keys), *keys, *args)
        except NoScriptError:
            return client.eval(self.source, len(keys), *keys, *args)

    async def run_async(
        self,
        client: redis.asyncio.Redis,
        keys: Sequence[Key],
        args: Sequence[Argument],
        then: Sequence[str] | None = None,
    ) -> Any:
        """The same for asyncio. `then` is WAIT or WAITAOF, on the same connection: it confirms what was written.

        Raises UnconfirmedError when it does not.
        """
        if then:
            return await self._confirmed(client, keys, args, then)
        try:
            return await client.evalsha(self.digest, len(keys), *keys, *args)
        except NoScriptError:
            return await client.eval(self.source, len(keys), *keys, *args)

    async def _confirmed(
        self, client: redis.asyncio.Redis, keys: Sequence[Key], args: Sequence[Argument], then: Sequence[str]
    ) -> Any:
        async with client.pipeline(transaction=False) as pipeline:
            pipeline.execute_command("EVAL", self.source, len(keys), *keys, *args)
            pipeline.execute_command(*then)
            answer, confirmed = await pipeline.execute()
        wanted = [int(number) for number in then[1:-1]]
        if any(got < want for got, want in zip(_listed(confirmed), wanted, strict=True)):
            raise UnconfirmedError(f"{' '.join(then)} answered {confirmed}")
        return answer


class UnconfirmedError(RedisError):
    """What was written is not yet as safe as was asked for."""


def _listed(answer: Any) -> list[int]:
    return answer if isinstance(answer, list) else [answer]

"""How long the oldest message of each queue has waited: beyond a limit the gateway takes no more events for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import redis
import redis.asyncio
import structlog

from workers import keys
from workers.event import Route
from workers.queue.lane import GROUP
from workers.queue.scripts import NOW

LOOK_S = 1.0

log = structlog.get_logger(__name__)


class Backlog:
    """Looks once a second, for a process that takes events."""

    def __init__(
        self, client: redis.asyncio.Redis, routes: Mapping[str, Sequence[Route]], longest_wait_s: float
    ) -> None:
        """`longest_wait_s` is how long a message may wait until its queue takes no more; 0 for ever."""
        self._client = client
        self._queue_of = {type_: entries[0].queue for type_, entries in routes.items()}
        self._longest_wait_s = longest_wait_s
        self._behind: frozenset[str] = frozenset()

    def behind(self, type_: str) -> bool:
        """Whether the queue of this event, by its first route, is past the limit."""
        return self._queue_of[type_] in self._behind

    async def run(self) -> None:
        """Until cancelled. While the server is away its publishers say so themselves."""
        while self._longest_wait_s:
            try:
                await self.look()
            except redis.RedisError:
                self._behind = frozenset()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask now. Raises redis.RedisError."""
        behind = frozenset(
            {queue for queue in set(self._queue_of.values()) if await self._waited_s(queue) > self._longest_wait_s}
        )
        if behind - self._behind:
            log.warning("queue.behind", queues=sorted(behind), longest_wait_s=self._longest_wait_s)
        self._behind = behind

    async def _waited_s(self, queue: str) -> float:
        """How long the oldest message that no worker has taken has waited, by the server's clock."""
        stream = keys.stream(queue)
        try:
            groups: Any = await self._client.xinfo_groups(stream)
        except redis.ResponseError:  # no such key: nothing was ever sent
            return 0.0
        ours = [group["last-delivered-id"] for group in groups if _text(group["name"]) == GROUP]
        after = _text(ours[0]) if ours else "0-0"
        waiting: Any = await self._client.xrange(stream, min=f"({after}", count=1)
        if not waiting:
            return 0.0
        now = int(await NOW.run_async(self._client, [stream], []))
        return (now - int(_text(waiting[0][0]).partition("-")[0])) / 1000


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value

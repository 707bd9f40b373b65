"""What the Redis server promises: whether it evicts, whether a write is on disk before it is confirmed, how full it is.

The levels are those of LUNA_DURABILITY. `fsync` survives restart and crash of that server; across a failover the
promise needs `replica:N`, and still rests on which replica is promoted.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, NamedTuple

import redis
import redis.asyncio
import structlog

from workers import keys
from workers.errors import SettingsError
from workers.queue.scripts import NOW

FULL = 0.8
"""The share of `maxmemory` beyond which no event from outside is taken; the rest is for what follows from them."""
LOOK_S = 1.0
CONFIRM_MS = 2_000
WAITAOF_SINCE = (7, 2)

log = structlog.get_logger(__name__)

Confirmation = tuple[str, ...]
"""The command that makes the server wait until what was written is safe."""


class Facts(NamedTuple):
    """What a server says of itself. `config` is None where it forbids CONFIG, as managed services do."""

    product: str
    version: tuple[int, ...]
    config: dict[str, str] | None
    memory_used: int
    memory_limit: int
    clustered: bool = False
    replicas: int = 0

    @property
    def name(self) -> str:
        """Product and version."""
        return f"{self.product} {'.'.join(map(str, self.version))}"

    @property
    def evicts(self) -> str | None:
        """The policy under which it drops keys, or None."""
        policy = (self.config or {}).get("maxmemory-policy", "noeviction")
        return None if policy == "noeviction" else policy

    @property
    def synced(self) -> bool | None:
        """Whether every write is on disk before it is confirmed; None where it does not say."""
        if self.config is None:
            return None
        return (
            self.config["appendonly"] == "yes"
            and self.config["appendfsync"] == "always"
            and self.config["no-appendfsync-on-rewrite"] == "no"  # else a rewrite suspends it
        )

    @property
    def full(self) -> bool:
        """Whether it takes no event from outside any more."""
        return self.memory_limit > 0 and self.memory_used > FULL * self.memory_limit

    @property
    def can_wait(self) -> bool:
        """Whether it has WAITAOF: Redis since 7.2, and every Valkey. On a Cluster it would go to another node."""
        return not self.clustered and (self.product == "valkey" or self.version >= WAITAOF_SINCE)


CONFIG = {
    "maxmemory-policy": "noeviction",
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
}
"""What is asked for, and the strongest answer."""

SECTIONS = ("server", "memory", "replication")


def examine(client: redis.Redis) -> Facts:
    """Ask the server, or every shard of a Cluster. Raises redis.RedisError when one cannot be reached."""
    return _weakest([_examine(client, **shard) for shard in _shards(client)])


def _examine(client: redis.Redis, **shard: Any) -> Facts:
    config: dict[str, str] | None
    try:
        config = _merged([client.config_get(name, **shard) for name in CONFIG])
    except redis.ResponseError:
        config = None
    sections: list[Any] = [client.info(section, **shard) for section in SECTIONS]
    return _facts(sections, config)._replace(clustered=bool(shard))


async def examine_async(client: redis.asyncio.Redis) -> Facts:
    """The same for asyncio."""
    if isinstance(client, redis.asyncio.RedisCluster):
        await client.initialize()
    return _weakest([await _examine_async(client, **shard) for shard in _shards(client)])


async def _examine_async(client: redis.asyncio.Redis, **shard: Any) -> Facts:
    config: dict[str, str] | None
    try:
        config = _merged([await client.config_get(name, **shard) for name in CONFIG])
    except redis.ResponseError:
        config = None
    sections: list[Any] = [await client.info(section, **shard) for section in SECTIONS]
    return _facts(sections, config)._replace(clustered=bool(shard))


def _shards(client: Any) -> list[dict[str, Any]]:
    if isinstance(client, redis.RedisCluster | redis.asyncio.RedisCluster):
        return [{"target_nodes": node} for node in client.get_primaries()]
    return [{}]


def _weakest(shards: list[Facts]) -> Facts:
    """What all of them keep."""
    fullest = max(shards, key=lambda facts: facts.memory_used / (facts.memory_limit or math.inf))
    configs = [facts.config for facts in shards if facts.config is not None]
    config = {
        name: next((config[name] for config in configs if config[name] != strongest), strongest)
        for name, strongest in CONFIG.items()
    }
    return fullest._replace(config=config if len(configs) == len(shards) else None)


def clock(client: redis.Redis) -> float:
    """The server's clock, seconds since the epoch. Raises redis.RedisError."""
    return int(NOW.run(client, [keys.stream("")], [])) / 1000


def refuse_eviction(facts: Facts) -> None:
    """Raise SettingsError for a server that may drop what was accepted."""
    if facts.evicts:
        raise SettingsError(
            f"REDIS_URL: the server's maxmemory-policy is {facts.evicts}; a queue must never evict, "
            "set maxmemory-policy noeviction"
        )


def verdict(facts: Facts, durability: str) -> tuple[bool | None, str]:  # noqa: PLR0911 one return for each case
    """Whether this level is kept (None: nobody can tell), and a sentence that says so."""
    if facts.evicts:
        return False, f"maxmemory-policy {facts.evicts}: the server drops accepted events when it is full"
    if durability == "memory":
        return True, "memory: a crash of the server can lose accepted events, as LUNA_DURABILITY says"
    confirmation, wanted = confirm(facts, durability), _replicas(durability)
    if wanted > facts.replicas:
        return False, f"{wanted} replica(s) must confirm and {facts.replicas} are connected: no event is accepted"
    replicas = f", and on {wanted} replica(s)" if wanted else ""
    if facts.synced is None:
        return (
            (True, f"WAITAOF confirms every write{replicas}")
            if confirmation
            else (
                None,
                "unverified: the server forbids CONFIG and has no WAITAOF",
            )
        )
    if facts.synced:
        return True, f"every write is on disk{replicas} before it is confirmed"
    config = facts.config or {}
    if _syncs(config) and confirmation and facts.can_wait:
        return True, f"WAITAOF confirms every write{replicas}; appendfsync always, never suspended, would be faster"
    weak = ", ".join(f"{name} {config[name]}" for name in list(CONFIG)[1:])
    return False, f"{weak}: a crash of the server can lose accepted events"


def confirm(facts: Facts, durability: str) -> Confirmation | None:
    """What must follow each write so that this level is kept, or None when nothing must or can."""
    replicas = _replicas(durability)
    on_disk = facts.can_wait and (facts.config is None or _syncs(facts.config))
    if durability == "memory" or (facts.synced and not replicas):
        return None
    if on_disk:
        return ("WAITAOF", "1", str(replicas), str(CONFIRM_MS))
    return ("WAIT", str(replicas), str(CONFIRM_MS)) if replicas else None


class Watch:
    """Looks at the server once a second, for a process that takes events: what it must confirm, whether it is full."""

    def __init__(self, client: redis.asyncio.Redis, durability: str) -> None:
        self.durability = durability
        self.facts: Facts | None = None
        self._confirmation: Confirmation | None = None
        self._client = client

    async def run(self) -> None:
        """Until cancelled. A server that is away is looked at again; its publishers say so themselves."""
        while True:
            try:
                await self.look()
            except redis.RedisError:
                self.facts = None
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask now. Raises redis.RedisError."""
        before, facts = self.facts, await examine_async(self._client)
        self.facts, self._confirmation = facts, confirm(facts, self.durability)
        kept, sentence = verdict(facts, self.durability)
        if not kept and (before is None or verdict(before, self.durability)[0]):
            log.warning("server.weak", durability=self.durability, seen=sentence)
        if facts.full and not (before and before.full):
            log.warning("server.full", used=facts.memory_used, limit=facts.memory_limit)

    async def confirmation(self) -> Confirmation | None:
        """What must follow a write. A server that nobody has looked at, as after a failover, is looked at first.

        Raises redis.RedisError.
        """
        if self.facts is None and not isinstance(self._client, redis.asyncio.RedisCluster):  # there nothing ever must
            await self.look()
        return self._confirmation

    @property
    def full(self) -> bool:
        """Whether the server takes no event from outside just now."""
        return self.facts is not None and self.facts.full


def _facts(sections: list[Any], config: dict[str, str] | None) -> Facts:
    server, memory, replication = sections
    product = str(server.get("server_name", "redis"))
    version = str(server.get("valkey_version") or server["redis_version"])
    return Facts(
        product,
        tuple(int(part) for part in version.split(".")[:3]),
        config,
        int(memory["used_memory"]),
        int(memory.get("maxmemory", 0)),
        replicas=int(replication.get("connected_slaves", 0)),
    )


def _replicas(durability: str) -> int:
    return int(durability.partition(":")[2] or 0)


def _syncs(config: dict[str, str]) -> bool:
    """Whether it brings its writes to disk by itself, sooner or later; with `appendfsync no` WAITAOF waits in vain."""
    return config["appendonly"] == "yes" and config["appendfsync"] != "no"


def _merged(answers: list[Any]) -> dict[str, str]:
    return {_string(name): _string(value) for answer in answers for name, value in answer.items()}


def _string(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value

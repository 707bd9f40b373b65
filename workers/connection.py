"""Redis clients with deadlines. Opening one does no I/O: connections are made on first use.

Addresses: redis://, rediss://, unix://, redis+cluster://host:port,host:port and redis+sentinel://host:port,…/name/db.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit, urlunsplit

import hiredis
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from workers.errors import UnavailableError

CONNECT_TIMEOUT_S = 1.0
CALL_TIMEOUT_S = 5.0
RETRIES = 2  # a dropped idle connection is opened again at once; an absent server is reported within a second,
# and one that hangs after one call's time: waiting again would not help

RECONNECT_AFTER = (redis.ConnectionError, redis.ReadOnlyError)
"""The second: it was the primary, and whoever is now may answer at the same address."""

CLUSTER, SENTINEL = "redis+cluster", "redis+sentinel"


class Address(NamedTuple):
    """The parts of a URL that names several servers."""

    scheme: str
    nodes: list[tuple[str, int]]
    user: str | None
    password: str | None
    path: list[str]


def connect(url: str) -> redis.Redis:
    """A synchronous client; thread-safe.

    Raises nothing until it is used, but for a Cluster, which is asked for its nodes at once: UnavailableError.
    """
    address = _address(url)
    backoff = ExponentialBackoff(cap=0.2, base=0.02)
    options: dict[str, Any] = {"retry": Retry(backoff, RETRIES, RECONNECT_AFTER), **_deadlines()}
    if address.scheme == CLUSTER:
        nodes = [redis.cluster.ClusterNode(*node) for node in address.nodes]
        try:
            cluster = _Cluster(startup_nodes=nodes, **_login(address), **options)
        except (redis.RedisError, RedisClusterException) as error:
            raise UnavailableError(f"Redis at {masked(url)}", str(error)) from None
        return cast("redis.Redis", cluster)  # it answers what a Redis answers, for keys that share a slot
    if address.scheme == SENTINEL:
        name, database = _master(address)
        sentinel = redis.Sentinel(address.nodes, sentinel_kwargs=_deadlines())
        return cast("redis.Redis", sentinel.master_for(name, db=database, **_login(address), **options))
    return redis.Redis.from_url(url, **options)


def connect_async(url: str) -> redis.asyncio.Redis:
    """The same for asyncio; one event loop each."""
    address = _address(url)
    backoff = ExponentialBackoff(cap=0.2, base=0.02)
    options: dict[str, Any] = {"retry": AsyncRetry(backoff, RETRIES, RECONNECT_AFTER), **_deadlines()}
    if address.scheme == CLUSTER:
        nodes = [redis.asyncio.cluster.ClusterNode(*node) for node in address.nodes]
        client = _AsyncCluster(startup_nodes=nodes, **_login(address), **options)
        return cast("redis.asyncio.Redis", client)
    if address.scheme == SENTINEL:
        name, database = _master(address)
        sentinel = redis.asyncio.Sentinel(address.nodes, sentinel_kwargs=_deadlines())
        return cast("redis.asyncio.Redis", sentinel.master_for(name, db=database, **_login(address), **options))
    single = redis.asyncio.Redis.from_url(url, **options)
    pool = single.connection_pool
    pool.connection_class = type("Packing", (_Packing, pool.connection_class), {})
    return single


class _Packing(redis.asyncio.connection.AbstractConnection):
    """Mixed into a connection: commands are packed by hiredis, as redis-py's synchronous connections do.

    And what can be written at once is, without the task that redis-py makes for each command to give it a deadline.
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Write it. Raises redis.RedisError."""
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size() or self.health_check_interval:
            await super().send_packed_command(command, check_health)
        else:
            writer.writelines(command)

    def pack_command(self, *args: Any) -> list[bytes]:
        """One command as bytes; what hiredis does not know is refused as redis-py refuses it."""
        name, *rest = args
        words = name.encode().split() if isinstance(name, str) else name.split()  # CONFIG GET is two arguments
        try:
            return [hiredis.pack_command((*words, *rest))]
        except TypeError as error:
            raise redis.DataError(str(error)) from None


class _Cluster(redis.RedisCluster):
    """What goes wrong is a RedisError: redis-py's RedisClusterException, of a Cluster that is away, is none."""

    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        with _redis_errors():
            return super().execute_command(*args, **kwargs)  # type: ignore[no-untyped-call]  # redis-py's

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> Any:
        pipeline: Any = super().pipeline(transaction, shard_hint)  # type: ignore[no-untyped-call]  # redis-py's
        execute = pipeline.execute

        def executed(*args: Any, **kwargs: Any) -> Any:
            with _redis_errors():
                return execute(*args, **kwargs)

        pipeline.execute = executed
        return pipeline


class _AsyncCluster(redis.asyncio.RedisCluster):
    """The same for asyncio."""

    async def initialize(self, *args: Any, **kwargs: Any) -> Any:
        with _redis_errors():
            return await super().initialize(*args, **kwargs)

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        with _redis_errors():
            return await super().execute_command(*args, **kwargs)

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> Any:
        pipeline: Any = super().pipeline(transaction, shard_hint)
        execute = pipeline.execute

        async def executed(*args: Any, **kwargs: Any) -> Any:
            with _redis_errors():
                return await execute(*args, **kwargs)

        pipeline.execute = executed
        return pipeline


@contextmanager
def _redis_errors() -> Iterator[None]:
    try:
        yield
    except RedisClusterException as error:
        raise redis.ConnectionError(str(error)) from error


def ping(url: str) -> None:
    """Raise UnavailableError, in one line, unless the server answers."""
    try:
        client = connect(url)
        try:
            client.ping()
        finally:
            client.close()
    except redis.RedisError as error:
        raise UnavailableError(f"Redis at {masked(url)}", str(error)) from None


def masked(url: str) -> str:
    """The URL with its password hidden, for logs and people."""
    url = re.sub(r"(?<=[?&]password=)[^&]*", "***", url)  # redis-py reads a password there too
    parts = urlsplit(url)
    if "@" not in parts.netloc or ":" not in parts.netloc.rpartition("@")[0]:
        return url
    user, host = parts.netloc.partition(":")[0], parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:***@{host}"))


def _deadlines() -> dict[str, Any]:
    return {"socket_connect_timeout": CONNECT_TIMEOUT_S, "socket_timeout": CALL_TIMEOUT_S}


def _address(url: str) -> Address:
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    default = 26379 if parts.scheme == SENTINEL else 6379
    nodes = [
        (host, int(port or default)) for host, _, port in (node.partition(":") for node in hosts.split(",") if node)
    ]
    path = [part for part in parts.path.split("/") if part]
    return Address(parts.scheme, nodes, unquote(user) or None, unquote(password) or None, path)


def _login(address: Address) -> dict[str, Any]:
    return {"username": address.user, "password": address.password}


def _master(address: Address) -> tuple[str, int]:
    name, database, *_ = [*address.path, "mymaster", "0"] if not address.path else [*address.path, "0"]
    return name, int(database)

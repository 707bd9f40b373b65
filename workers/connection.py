"""Redis clients with deadlines. Opening one does no I/O: connections are made on first use."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from workers.errors import UnavailableError

CONNECT_TIMEOUT_S = 1.0
CALL_TIMEOUT_S = 5.0
RETRIES = 2  # a dropped idle connection is opened again at once; an absent server is reported within a second


def connect(url: str) -> redis.Redis:
    """A synchronous client; thread-safe. Raises nothing until it is used."""
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=CALL_TIMEOUT_S,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), RETRIES),
    )


def connect_async(url: str) -> redis.asyncio.Redis:
    """The same for asyncio; one event loop each."""
    return redis.asyncio.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=CALL_TIMEOUT_S,
        retry=AsyncRetry(ExponentialBackoff(cap=0.2, base=0.02), RETRIES),
    )


def ping(url: str) -> None:
    """Raise UnavailableError, in one line, unless the server answers."""
    client = connect(url)
    try:
        client.ping()
    except redis.RedisError as error:
        raise UnavailableError(f"Redis at {masked(url)}", str(error)) from None
    finally:
        client.close()


def masked(url: str) -> str:
    """The URL with its password hidden, for logs and people."""
    url = re.sub(r"(?<=[?&]password=)[^&]*", "***", url)  # redis-py reads a password there too
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, host = parts.username or "", parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:***@{host}"))

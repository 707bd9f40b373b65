"""Fixtures for the tests of the queue on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.queues import Brokers, Log
from tests.servers import Valkey
from workers.queue.broker import StreamsBroker


@pytest.fixture
def client(valkey: Valkey) -> Iterator[redis.Redis]:
    """A client of the shared server, which is empty."""
    with valkey.client() as client:
        yield client


@pytest.fixture
def new_broker(valkey: Valkey) -> Iterator[Brokers]:
    """Makes brokers on the shared server."""
    brokers = Brokers(valkey.url)
    yield brokers
    brokers.close()


@pytest.fixture
def broker(new_broker: Brokers) -> StreamsBroker:
    """One broker, with Luna's middleware and a lease of 2 s."""
    return new_broker()


@pytest.fixture
def log(client: redis.Redis) -> Log:
    """What actors did."""
    return Log(client)

"""Fixtures for the tests of the queue on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A server of the test's own, which it may stop, kill and start again."""
    server = Valkey(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture
def own_broker(own_valkey: Valkey) -> Iterator[Brokers]:
    """Makes brokers on the test's own server."""
    brokers = Brokers(own_valkey.url)
    yield brokers
    brokers.close()

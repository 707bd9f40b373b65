"""After a failover, a connection that is still open to the old primary must not be written to for ever."""

from __future__ import annotations

import asyncio

import pytest
import redis

from tests.servers import Valkey
from workers.connection import connect, connect_async
from workers.queue.scripts import STORE

KEYS, MESSAGES = ["luna:{default}:stream"], [b"x"]


def test_a_connection_to_a_server_that_has_become_a_replica_is_given_up(own_valkey: Valkey) -> None:
    with connect(own_valkey.url) as client:
        before = client.client_id()
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(redis.ReadOnlyError):
            STORE.run(client, KEYS, MESSAGES)
        assert client.client_id() != before


def test_so_is_one_of_asyncio(own_valkey: Valkey) -> None:
    async def run() -> None:
        async with connect_async(own_valkey.url) as client:
            before = await client.client_id()
            await client.replicaof("127.0.0.1", 1)
            with pytest.raises(redis.ReadOnlyError):
                await STORE.run_async(client, KEYS, MESSAGES)
            assert await client.client_id() != before

    asyncio.run(run())

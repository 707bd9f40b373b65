from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import httpx
import pytest

from tests.fake_gateway import FakeGateway, Fault, accepted, events_in, problem
from workers.client import Accepted, InvalidEventError, NewEvent, Refused, Unavailable
from workers.client.calls import Calls, Renew, Send, Steps, Wait
from workers.client.credentials import Credentials
from workers.client.event import Outgoing
from workers.client.results import Reply

T = TypeVar("T")


class World:
    """Runs steps against a fake gateway by a clock that only waiting moves."""

    def __init__(self, *faults: Fault, token: str | Callable[[], str] = "token", **options: Any) -> None:
        self.gateway = FakeGateway(*faults)
        self.time = 0.0
        self.waits: list[float] = []
        self.sends: list[Send] = []
        self.tokens: list[str | None] = []
        self.credentials = Credentials(token)
        options = {"deadline_s": 30.0, "timeout_s": 10.0, **options}
        self.calls = Calls(self.credentials, now=lambda: self.time, uniform=lambda _low, high: high, **options)

    def run(self, steps: Steps[T]) -> T:
        reply: Reply | None = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = None
            match step:
                case Wait(seconds):
                    self.waits.append(seconds)
                    self.time += seconds
                case Renew(stale):
                    self.credentials.renew(stale)
                case Send():
                    reply = self._reply(step)

    def deliver(self, events: list[Outgoing], **options: Any) -> list[Any]:
        return list(self.run(self.calls.deliver(events, **options)))

    def _reply(self, send: Send) -> Reply:
        self.sends.append(send)
        self.tokens.append(self.credentials.token)
        try:
            return self.gateway.answer(httpx.Request(send.method, f"http://gateway{send.path}", content=send.content))
        except httpx.RequestError as error:
            return error


def events(*types: str) -> list[Outgoing]:
    return [NewEvent(type_, {}, id=str(number)).outgoing for number, type_ in enumerate(types)]


def many(count: int) -> list[Outgoing]:
    return events(*["a.b"] * count)


def test_one_event_goes_as_an_object_and_several_as_a_list() -> None:
    world = World()
    world.deliver(many(1))
    world.deliver(many(2))
    assert [send.content[:1] for send in world.sends if send.content] == [b"{", b"["]


def test_what_is_accepted_is_told_with_its_address() -> None:
    (result,) = World().deliver(many(1))
    assert result == Accepted("0", "/callers/ada", "a.b", None, False, "http://gateway.test/v1/events/0")


def test_nothing_to_send_sends_nothing() -> None:
    world = World()
    assert world.deliver([]) == []
    assert world.sends == []


@pytest.mark.parametrize(
    "fault",
    [
        problem(503),
        problem(429),
        problem(409),
        problem(408),
        problem(425),
        problem(500),
        httpx.Response(502, html="<h1>Bad Gateway</h1>"),
        httpx.Response(504),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
        httpx.Response(200, html="<h1>Welcome to the hotel's network</h1>"),
        httpx.Response(202),
        httpx.Response(202, json={"status": "accepted"}),
        httpx.Response(202, json=[]),
        httpx.Response(202, json=accepted({"id": "another", "type": "a.b"})),
        httpx.Response(202, json=[accepted({"id": "0", "type": "a.b"})] * 2),
        httpx.Response(204),
    ],
    ids=str,
)
def test_what_does_not_say_that_this_event_is_stored_is_tried_again_with_the_same_bytes(fault: Fault) -> None:
    world = World(fault)
    (result,) = world.deliver(many(1))
    assert isinstance(result, Accepted)
    assert len(world.sends) == 2
    assert len({send.content for send in world.sends}) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 415, 422, 301, 307])
def test_what_the_gateway_refuses_for_good_is_not_tried_again(status: int) -> None:
    world = World(problem(status, "not so"))
    (result,) = world.deliver(many(1))
    assert isinstance(result, Refused)
    assert (result.status, result.detail, result.id) == (status, "not so", "0")
    assert (len(world.sends), world.waits) == (1, [])


def test_a_refusal_names_the_fields() -> None:
    errors = [{"detail": "must be an address", "pointer": "/data/email"}]
    (result,) = World(httpx.Response(422, json={"status": 422, "detail": "No.", "errors": errors})).deliver(many(1))
    assert result.errors == errors
    assert str(result) == "422: No.; /data/email: must be an address"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"errors": 5}', b'{"errors": [1, {}]}'])
def test_a_refusal_without_a_problem_document_is_one_too(body: bytes) -> None:
    (result,) = World(httpx.Response(403, content=body)).deliver(many(1))
    assert result.status == 403
    assert str(result).startswith("403: no reason given")


def test_the_gateway_is_left_alone_for_as_long_as_it_asks() -> None:
    world = World(problem(503, Retry_After="4"), problem(429, Retry_After="2"))
    world.deliver(many(1))
    assert world.waits == [5.0, 2.5]


def test_past_the_deadline_the_event_is_unavailable_and_says_how_to_go_on() -> None:
    world = World(*[problem(503, "The queue is full.") for _ in range(100)], deadline_s=3.0)
    (result,) = world.deliver(many(1))
    assert isinstance(result, Unavailable)
    assert str(result) == "the gateway answered 503: The queue is full.; it is safe to repeat under the id 0"
    assert world.time <= 3.0


def test_a_wait_that_would_end_past_the_deadline_is_not_begun() -> None:
    world = World(problem(503, Retry_After="60"))
    (result,) = world.deliver(many(1))
    assert isinstance(result, Unavailable)
    assert (result.retry_after, world.waits) == (60.0, [])


def test_no_try_is_given_more_time_than_the_call_has_left() -> None:
    world = World(problem(503, Retry_After="20"), deadline_s=30.0, timeout_s=10.0)
    world.deliver(many(1))
    assert [send.timeout_s for send in world.sends] == [10.0, 5.0]


def test_of_a_mixed_answer_only_what_was_put_off_is_sent_again() -> None:
    world = World()
    world.gateway.refuse, world.gateway.put_off = {"bad.one"}, {"full.queue"}
    world.gateway.faults.extend([world.gateway.store, lambda events: _opened(world, events)])
    results = world.deliver(events("a.b", "bad.one", "full.queue", "a.b"))
    assert [type(result) for result in results] == [Accepted, Refused, Accepted, Accepted]
    assert [result.id for result in results] == ["0", "1", "2", "3"]
    assert world.gateway.sent() == [["0", "1", "2", "3"], ["2"]]


def _opened(world: World, events: list[dict[str, Any]]) -> httpx.Response:
    world.gateway.put_off.clear()
    return world.gateway.store(events, batch=False)


def test_many_go_in_batches_in_order() -> None:
    world = World()
    results = world.deliver(many(2500))
    assert [len(ids) for ids in world.gateway.sent()] == [1000, 1000, 500]
    assert [result.id for result in results] == [str(number) for number in range(2500)] == world.gateway.ids


def test_a_smaller_batch_can_be_asked_for() -> None:
    world = World(most=3)
    world.deliver(many(7))
    assert [len(ids) for ids in world.gateway.sent()] == [3, 3, 1]


def test_a_batch_that_was_lost_is_sent_again_as_it_was_before_the_next() -> None:
    world = World(httpx.ReadError("reset"), most=2)
    world.deliver(many(4))
    assert world.gateway.sent() == [["0", "1"], ["0", "1"], ["2", "3"]]


def test_a_batch_that_was_stored_while_its_answer_was_lost_is_a_duplicate() -> None:
    world = World()

    def lost(events: list[dict[str, Any]]) -> httpx.Response:
        world.gateway.store(events)
        raise httpx.ReadError("reset")

    world.gateway.faults.append(lost)
    assert [result.duplicate for result in world.deliver(many(3))] == [True] * 3


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_one_event_that_spoils_its_batch_is_found_and_its_neighbours_are_stored(status: int) -> None:
    world = World()

    def spoilt(events: list[dict[str, Any]]) -> httpx.Response:
        world.gateway.faults.append(spoilt)
        if "5" in {event["id"] for event in events}:
            return problem(status)
        return world.gateway.store(events, batch=len(events) > 1)

    world.gateway.faults.append(spoilt)
    results = world.deliver(many(16))
    assert [number for number, result in enumerate(results) if isinstance(result, Refused)] == [5]
    assert len(world.gateway.stored) == 15
    assert world.gateway.ids == sorted(world.gateway.ids, key=int)


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_refusal_of_the_caller_or_the_address_is_told_of_each_event_without_trying_them_one_by_one(
    status: int,
) -> None:
    world = World(problem(status))
    results = world.deliver(many(8))
    assert [(result.status, result.about_event) for result in results] == [(status, False)] * 8
    assert len(world.sends) == 1


def test_a_batch_that_costs_more_than_the_rate_limit_ever_allows_passes_in_parts() -> None:
    world = World()

    def limited(events: list[dict[str, Any]]) -> httpx.Response:
        world.gateway.faults.append(limited)
        return problem(429, Retry_After="1") if len(events) > 3 else world.gateway.store(events, batch=len(events) > 1)

    world.gateway.faults.append(limited)
    assert {type(result) for result in world.deliver(many(10))} == {Accepted}


def test_what_was_not_settled_by_the_deadline_is_unavailable_and_the_rest_keeps_its_result() -> None:
    world = World(most=2)
    world.gateway.put_off = {"full.queue"}
    results = world.deliver(events("a.b", "full.queue", "a.b", "a.b"))
    assert [type(result) for result in results] == [Accepted, Unavailable, Unavailable, Unavailable]
    assert [result.id for result in results] == ["0", "1", "2", "3"]
    assert [result.reason for result in results[1:]] == [
        "the gateway answered 503: The queue is full.",
        *[results[2].reason] * 2,
    ]
    assert "took all the time" in results[2].reason


def test_a_caller_without_patience_gets_what_is_settled_at_the_first_pause() -> None:
    world = World()
    world.gateway.put_off = {"full.queue"}
    steps = world.calls.deliver(events("a.b", "full.queue"), patient=False)
    results = world.run(steps)
    assert isinstance(results[0], Accepted)
    assert isinstance(results[1], Unavailable)
    assert (results[1].status, world.waits) == (503, [])


def test_a_broken_connection_is_replaced_at_once_also_without_patience() -> None:
    world = World(httpx.ReadError("reset"))
    assert isinstance(world.run(world.calls.deliver(many(1), patient=False))[0], Accepted)


class Tokens:
    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> str:
        self.made += 1
        return f"token-{self.made}"


def test_a_token_function_is_asked_once_and_its_token_kept() -> None:
    world = World(token=(tokens := Tokens()))
    for _ in range(3):
        world.deliver(many(1))
    assert (tokens.made, world.tokens) == (1, ["token-1"] * 3)


def test_a_token_that_is_refused_is_replaced_once() -> None:
    world = World(problem(401), token=Tokens())
    assert isinstance(world.deliver(many(1))[0], Accepted)
    assert (world.tokens, world.waits) == (["token-1", "token-2"], [])
    world = World(problem(401), problem(401), token=Tokens())
    assert world.deliver(many(1))[0].status == 401
    assert world.tokens == ["token-1", "token-2"]


def test_a_token_that_another_thread_replaced_meanwhile_is_not_replaced_again() -> None:
    credentials = Credentials(tokens := Tokens())
    credentials.renew(None)
    credentials.renew("token-1")
    credentials.renew("token-1")
    assert (credentials.token, tokens.made) == ("token-2", 2)


@pytest.mark.parametrize("token", ["", " ", "two words", "a\nb", "Ünicode", "a\0b"])
def test_what_cannot_be_a_token_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(Exception, match="one word of ASCII") as raised:
        Credentials(token)
    assert not token.strip() or token not in str(raised.value)


def test_the_new_line_at_the_end_of_a_token_file_does_no_harm() -> None:
    assert Credentials("token\n").token == "token"


def test_a_correlation_id_travels_with_the_call() -> None:
    world = World()
    world.deliver(many(1), correlation_id="c-1")
    assert world.sends[0].correlation_id == "c-1"


@pytest.mark.parametrize("correlation", ["", "a b", "a\r\nX-Admin: 1", "x" * 201])
def test_a_correlation_id_that_could_break_out_of_its_header_is_refused(correlation: str) -> None:
    world = World()
    with pytest.raises(InvalidEventError):
        world.deliver(many(1), correlation_id=correlation)
    assert world.sends == []


def trace(status: str, *follow_ups: dict[str, Any]) -> dict[str, Any]:
    return {"id": "e", "status": status, "actors": [], "follow_ups": list(follow_ups)}


def test_a_trace_is_asked_for_by_id_and_source() -> None:
    world = World(problem(503))
    world.gateway.traces.append(trace("done"))
    assert world.run(world.calls.trace("a/b", "/shop"))["status"] == "done"
    assert [send.path for send in world.sends] == ["/v1/events/a%2Fb?source=%2Fshop"] * 2


def test_a_trace_that_is_not_there_is_refused() -> None:
    world = World(problem(404, "There is no such event."))
    with pytest.raises(Refused, match="404: There is no such event") as raised:
        world.run(world.calls.trace("e"))
    assert raised.value.id == "e"


def test_a_trace_that_cannot_be_had_is_unavailable() -> None:
    world = World(*[httpx.ConnectError("refused") for _ in range(100)])
    with pytest.raises(Unavailable, match="ConnectError"):
        world.run(world.calls.trace("e"))


def test_waiting_ends_when_all_of_the_tree_is_done_or_dead() -> None:
    world = World()
    world.gateway.traces.extend(
        [trace("running"), trace("done", trace("queued")), trace("done", trace("done", trace("retrying")))]
    )
    world.gateway.traces.append(trace("done", trace("done", trace("dead"))))
    assert world.run(world.calls.wait("e", None, 60))["follow_ups"][0]["follow_ups"][0]["status"] == "dead"
    assert not world.gateway.traces


def test_waiting_has_an_end() -> None:
    world = World()
    world.gateway.traces.extend([trace("running")] * 1000)
    with pytest.raises(TimeoutError, match="not all of event e"):
        world.run(world.calls.wait("e", None, 10))
    assert world.time <= 10


def test_the_fake_reads_what_is_sent() -> None:
    assert events_in(httpx.Request("POST", "http://x", content=b'{"id": "1"}')) == [{"id": "1"}]

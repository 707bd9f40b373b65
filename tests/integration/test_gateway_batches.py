"""Many events in one request: each stored or refused by itself, answered in order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import waiting
from tests.gateway import ADA, SIGNED_UP, Gateway
from tests.servers import Valkey

UNKNOWN = {**SIGNED_UP, "type": "user.vanished"}


def event(number: int, **attributes: Any) -> dict[str, Any]:
    return {"type": "user.signed_up", "data": {"email": f"ada{number}@example.com", "name": "Ada"}, **attributes}


def stored(valkey: Valkey, queue: str = "users") -> list[str]:
    """The addresses of those that signed up, in the order of their queue."""
    with valkey.client() as client:
        return [each.data.get("email", "") for each in waiting(client, queue)]


def test_a_batch_that_is_accepted_is_answered_with_each_event_in_order(gateway: Gateway, valkey: Valkey) -> None:
    answer = gateway.post([event(number, id=f"e-{number}") for number in range(1_000)])
    assert answer.status_code == 202
    assert [each["id"] for each in answer.json()] == [f"e-{number}" for number in range(1_000)]
    assert {(each["status"], each["duplicate"]) for each in answer.json()} == {("accepted", False)}
    assert stored(valkey) == [f"ada{number}@example.com" for number in range(1_000)]
    assert gateway.get(answer.json()[7]["status_url"], ADA).json()["status"] == "queued"


def test_of_a_batch_each_event_is_refused_by_itself(gateway: Gateway, valkey: Valkey) -> None:
    answer = gateway.post([event(0), UNKNOWN, event(2, data={"email": "nobody"}), "no event", event(4)])
    accepted, unknown, wrong, text, last = answer.json()
    assert answer.status_code == 207
    assert accepted["status"] == last["status"] == "accepted"
    assert [each["status"] for each in (unknown, wrong, text)] == ["refused"] * 3
    assert [each["problem"]["status"] for each in (unknown, wrong, text)] == [422] * 3
    assert {error["pointer"] for error in wrong["problem"]["errors"]} == {"/data/email", "/data/name"}
    assert stored(valkey) == ["ada0@example.com", "ada4@example.com"]


def test_the_same_event_twice_in_a_batch_is_stored_once(gateway: Gateway, valkey: Valkey) -> None:
    answer = gateway.post([event(0, id="1"), event(0, id="1"), event(1, id="1")])
    assert [each.get("duplicate") for each in answer.json()] == [False, True, None]
    assert answer.json()[2]["problem"]["status"] == 422
    assert stored(valkey) == ["ada0@example.com"]


def test_a_batch_sent_again_has_no_second_effect(gateway: Gateway, valkey: Valkey) -> None:
    batch = [event(number, id=str(number)) for number in range(20)]
    gateway.post(batch)
    assert {each["duplicate"] for each in gateway.post(batch).json()} == {True}
    assert len(stored(valkey)) == 20


def test_events_of_several_queues_are_stored_on_each(gateway: Gateway, valkey: Valkey) -> None:
    mail = {"type": "email.requested", "data": {"to": "ada@example.com", "template": "welcome"}}
    assert gateway.post([event(0), mail, event(1)]).status_code == 202
    assert (len(stored(valkey)), len(stored(valkey, "email"))) == (2, 1)


def test_an_empty_batch_is_nothing_to_do(gateway: Gateway) -> None:
    answer = gateway.post([])
    assert (answer.status_code, answer.json()) == (202, [])


def test_a_batch_of_more_than_a_thousand_is_refused_whole(gateway: Gateway, valkey: Valkey) -> None:
    answer = gateway.post([event(number) for number in range(1_001)])
    assert (answer.status_code, "1000" in answer.json()["detail"]) == (413, True)
    assert stored(valkey) == []


def test_an_event_of_a_batch_may_be_as_large_as_one_alone_and_no_larger(gateway: Gateway, valkey: Valkey) -> None:
    huge = event(0, data={"email": "ada@example.com", "name": "Ada", "preferences": {}}, subject="s")
    huge["data"]["preferences"] = {f"{number:02}{'k' * 60}": "x" * 1_000 for number in range(50)}
    assert gateway.post([huge] * 50).status_code == 202
    assert len(stored(valkey)) == 50


@pytest.mark.parametrize("results", [1, 3])
def test_a_batch_that_nothing_can_be_stored_of_is_to_be_sent_again(gateway: Gateway, results: int) -> None:
    gateway.lose_the_store()
    answer = gateway.post([event(number) for number in range(results)])
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    problems = [each["problem"] for each in answer.json()["results"]]
    assert [problem["status"] for problem in problems] == [503] * results
    assert all(problem["id"] and problem["source"] == "/callers/ada" for problem in problems)


def test_of_a_batch_that_can_be_stored_in_part_the_rest_is_told_when_to_come_again(gateway: Gateway) -> None:
    gateway.lose_the_store()
    answer = gateway.post([UNKNOWN, event(1)])
    assert (answer.status_code, answer.headers["Retry-After"]) == (207, "1")
    assert [each["problem"]["status"] for each in answer.json()] == [422, 503]

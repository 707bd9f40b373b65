from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import pytest

from actors.routes import QUEUES
from tests.builders import waiting
from tests.gateway import ADA, BOB, SIGNED_UP, Gateway
from tests.servers import Valkey
from workers.event import NAMESPACE


def stored(valkey: Valkey) -> int:
    """How many messages workers would get."""
    with valkey.client() as client:
        return sum(len(waiting(client, name)) for name in QUEUES)


def test_an_accepted_event_is_answered_with_what_it_became_and_is_stored(gateway: Gateway, valkey: Valkey) -> None:
    answer = gateway.post({**SIGNED_UP, "id": "signup-1"})
    user_id = str(uuid5(NAMESPACE, "/callers/ada\nsignup-1"))
    status_url = answer.json().pop("status_url")
    assert (answer.status_code, answer.headers["Content-Type"]) == (202, "application/json")
    assert {name: value for name, value in answer.json().items() if name != "status_url"} == {
        "id": "signup-1",
        "source": "/callers/ada",
        "type": "user.signed_up",
        "subject": user_id,
        "status": "accepted",
        "duplicate": False,
    }
    assert gateway.get(status_url, ADA).json()["status"] == "queued"
    assert stored(valkey) == 1


def test_an_event_without_an_id_gets_a_fresh_one_each_time(gateway: Gateway, valkey: Valkey) -> None:
    first, second = gateway.post(SIGNED_UP).json(), gateway.post(SIGNED_UP).json()
    assert UUID(first["id"]) != UUID(second["id"])
    assert first["subject"] != second["subject"]
    assert stored(valkey) == 2


def test_the_derived_user_depends_on_source_and_id_only(gateway: Gateway) -> None:
    mine = {**SIGNED_UP, "id": "1", "source": "/shop"}
    subjects = [
        gateway.post(mine).json()["subject"],
        gateway.post(mine).json()["subject"],
        gateway.post({**mine, "source": "/shop/b"}).json()["subject"],
        gateway.post({**mine, "id": "2"}).json()["subject"],
    ]
    assert subjects[0] == subjects[1]
    assert len(set(subjects)) == 3


def test_a_given_user_id_stays(gateway: Gateway) -> None:
    user_id = "0b0e7a4e-3c1d-4a55-9d57-0a8d4d0a1f11"
    data = {**SIGNED_UP["data"], "user_id": user_id}
    assert gateway.post({**SIGNED_UP, "data": data}).json()["subject"] == user_id


def test_the_same_event_again_is_a_duplicate_and_not_stored_again(gateway: Gateway, valkey: Valkey) -> None:
    event = {**SIGNED_UP, "id": "1"}
    first, again = gateway.post(event), gateway.post(event)
    assert (again.status_code, again.json()) == (202, {**first.json(), "duplicate": True})
    assert stored(valkey) == 1


def test_the_order_of_fields_and_the_time_do_not_make_another_event(gateway: Gateway, valkey: Valkey) -> None:
    gateway.post({**SIGNED_UP, "id": "1", "time": "2026-01-01T00:00:00Z"})
    data = dict(reversed(SIGNED_UP["data"].items()))
    again = gateway.post({"id": "1", "time": "2026-01-02T00:00:00Z", "data": data, "type": "user.signed_up"})
    assert again.json()["duplicate"] is True
    assert stored(valkey) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"data": {**SIGNED_UP["data"], "name": "Countess"}},
        {"subject": "somebody"},
        {"type": "email.requested", "data": {"to": "ada@example.com", "template": "notice"}},
    ],
    ids=["data", "subject", "type"],
)
def test_an_id_that_was_used_for_other_content_is_refused(
    gateway: Gateway, valkey: Valkey, other: dict[str, Any]
) -> None:
    gateway.post({**SIGNED_UP, "id": "1"})
    refused = gateway.post({**SIGNED_UP, "id": "1", **other})
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/id"]
    assert stored(valkey) == 1


def test_another_caller_may_use_the_same_source_and_id(gateway: Gateway, valkey: Valkey) -> None:
    event = {**SIGNED_UP, "id": "1", "source": "/shop"}
    answers = [
        gateway.post(event, ADA),
        gateway.post({**event, "data": {**SIGNED_UP["data"], "name": "Bob"}}, BOB),
    ]
    assert [(answer.status_code, answer.json()["duplicate"]) for answer in answers] == [(202, False), (202, False)]
    assert stored(valkey) == 2


def test_of_many_posts_of_one_event_at_the_same_time_one_is_stored(gateway: Gateway, valkey: Valkey) -> None:
    answers = gateway.post_together([{**SIGNED_UP, "id": "1"}] * 40)
    assert {answer.status_code for answer in answers} == {202}
    assert sorted(answer.json()["duplicate"] for answer in answers) == [False] + [True] * 39
    assert stored(valkey) == 1


def test_of_many_different_events_at_the_same_time_each_is_stored(gateway: Gateway, valkey: Valkey) -> None:
    answers = gateway.post_together([{**SIGNED_UP, "id": str(number)} for number in range(40)])
    assert {answer.json()["duplicate"] for answer in answers} == {False}
    assert stored(valkey) == 40

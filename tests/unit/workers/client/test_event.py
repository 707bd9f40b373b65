from __future__ import annotations

import itertools
import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from workers.client import InvalidEventError, NewEvent
from workers.client.event import MAX_EVENT_BYTES


def nested(depth: int) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for _ in range(depth):
        data = {"in": data}
    return data


def test_an_event_is_sent_as_it_was_when_it_was_made() -> None:
    data = {"name": "Ada"}
    event = NewEvent(
        "user.signed_up", data, id="e-1", source="/shop", subject="ada", time=datetime(2026, 1, 2, tzinfo=UTC)
    )
    data["name"] = "Bob"
    assert json.loads(event.outgoing.body) == {
        "type": "user.signed_up",
        "id": "e-1",
        "source": "/shop",
        "subject": "ada",
        "time": "2026-01-02T00:00:00.000Z",
        "data": {"name": "Ada"},
    }


def test_an_event_without_an_id_is_given_one_of_its_own() -> None:
    one, other = NewEvent("a.b", {}), NewEvent("a.b", {})
    assert one.id != other.id
    assert json.loads(one.outgoing.body)["id"] == one.id == one.outgoing.id


def test_what_is_not_given_is_not_sent_for_the_gateway_fills_it_in() -> None:
    assert json.loads(NewEvent("a.b", {}).outgoing.body).keys() == {"type", "id", "time", "data"}


def test_a_time_is_sent_in_utc() -> None:
    summer = datetime(2026, 7, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert json.loads(NewEvent("a.b", {}, time=summer).outgoing.body)["time"] == "2026-07-01T12:00:00.000Z"


@pytest.mark.parametrize(
    "data",
    [
        {"n": math.nan},
        {"n": math.inf},
        {"n": -math.inf},
        {"text": "\ud800"},
        {"\udfff": 1},
        {"n": object()},
        {"n": {1, 2}},
        {"n": b"bytes"},
        {("a", "b"): 1},
        nested(100_000),
        {"text": "x" * MAX_EVENT_BYTES},
        5,
        [("a", 1)],
        "",
    ],
    ids=itertools.count(),
)
def test_what_the_gateway_could_not_take_is_refused_before_it_is_sent(data: Any) -> None:
    with pytest.raises(InvalidEventError):
        NewEvent("a.b", data)


def test_data_that_holds_itself_is_refused() -> None:
    data: dict[str, Any] = {}
    data["self"] = data
    with pytest.raises(ValueError, match="not JSON"):
        NewEvent("a.b", data)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidEventError, match="time zone"):
        NewEvent("a.b", {}, time=datetime(2026, 1, 2))  # noqa: DTZ001 that is the point


def test_neither_a_print_nor_an_error_shows_the_data() -> None:
    assert "secret" not in repr(NewEvent("a.b", {"word": "secret"}))
    with pytest.raises(InvalidEventError) as raised:
        NewEvent("a.b", {"word": "secret \ud800"})
    assert "secret" not in str(raised.value)

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid5

import pytest

from api_gateway import bodies
from api_gateway.admission import admit
from api_gateway.cloudevents import Sent, plain
from api_gateway.problems import MAX_ERRORS, Problem
from tests.gateway import SIGNED_UP
from workers.event import NAMESPACE, Event
from workers.security.callers import Caller

NOW = "2026-01-31T12:00:00.000Z"
ADA = Caller("ada", frozenset({"events:write"}))
USER = "0b0e7a4e-3c1d-4a55-9d57-0a8d4d0a1f11"


def parse(body: bytes) -> Sent:
    return plain(bodies.parse(body))


def admitted(caller: Caller = ADA, **posted: Any) -> Event:
    return admit(parse(json.dumps({**SIGNED_UP, **posted}).encode()), caller.subject, "correlation", NOW).event


def fingerprint(**posted: Any) -> str:
    return admit(parse(json.dumps({**SIGNED_UP, **posted}).encode()), "ada", "correlation", NOW).sent


def refused(**posted: Any) -> list[str]:
    with pytest.raises(Problem) as problem:
        admitted(**posted)
    assert problem.value.status == 422
    return [error["pointer"] for error in problem.value.errors]


def data(**fields: Any) -> dict[str, Any]:
    return {**SIGNED_UP["data"], **fields}


def test_what_the_caller_leaves_out_is_filled_in() -> None:
    event = admitted()
    assert UUID(event.id).version == 4
    assert (event.source, event.caller, event.correlation) == ("/callers/ada", "ada", "correlation")
    assert event.data["user_id"] == event.subject == str(uuid5(NAMESPACE, f"/callers/ada\n{event.id}"))
    assert event.time == NOW


def test_what_the_caller_gives_stays() -> None:
    event = admitted(id="1", source="/shop", subject="s", time="2026-01-31T14:00:00+02:00", data=data(user_id=USER))
    assert (event.id, event.source, event.subject) == ("1", "/shop", "s")
    assert (event.time, event.data["user_id"]) == ("2026-01-31T12:00:00.000Z", USER)


def test_a_user_id_is_only_derived_for_a_new_user() -> None:
    event = admitted(type="email.requested", data={"to": "ada@example.com", "template": "notice"})
    assert event.subject is None
    assert "user_id" not in event.data


def test_the_fingerprint_is_of_what_was_sent_not_of_what_was_filled_in() -> None:
    assert fingerprint(id="1") == fingerprint(id="2") == fingerprint(source="/shop")
    assert fingerprint() != fingerprint(data=data(user_id=USER))


@pytest.mark.parametrize("source", ["/luna/", "/luna/actors/users.create", "/luna/scheduler", "/callers/eve"])
def test_no_caller_speaks_for_luna_or_for_another_caller(source: str) -> None:
    assert refused(source=source) == ["/source"]


@pytest.mark.parametrize("type_", ["user.created", "job.due", "user.vanished", "", "x" * 500])
def test_an_internal_type_is_refused_like_an_unknown_one(type_: str) -> None:
    assert refused(type=type_, data={}) == ["/type"]


@pytest.mark.parametrize(
    ("posted", "pointers"),
    [
        ({"data": {}}, ["/data/email", "/data/name"]),
        ({"data": data(email="nobody")}, ["/data/email"]),
        ({"data": data(email=5)}, ["/data/email"]),
        ({"data": data(name="a\u0000b")}, ["/data/name"]),
        ({"data": data(name=" ")}, ["/data/name"]),
        ({"data": data(is_admin=True)}, ["/data/is_admin"]),
        ({"data": data(user_id="1")}, ["/data/user_id"]),
        ({"data": data(preferences={"a/b~c": []})}, ["/data/preferences/a~1b~0c"]),
        ({"data": data(preferences={"": 1})}, ["/data/preferences/"]),
        ({"data": []}, ["/data"]),
        ({"type": "cache.invalidation_requested", "data": {"tags": ["ok", "NOT OK"]}}, ["/data/tags/1"]),
        ({"type": "user.profile_changed", "data": {"user_id": USER}}, ["/data"]),
        ({"type": 5}, ["/type"]),
        ({"specversion": "1.0"}, ["/specversion"]),
        ({"id": ""}, ["/id"]),
        ({"id": "two words"}, ["/id"]),
        ({"id": "1\n"}, ["/id"]),
        ({"id": "é"}, ["/id"]),
        ({"id": "x" * 201}, ["/id"]),
        ({"source": "/a b"}, ["/source"]),
        ({"subject": ""}, ["/subject"]),
        ({"time": "2026-01-31T12:00:00"}, ["/time"]),
        ({"time": "yesterday"}, ["/time"]),
        ({"time": "0001-01-01T00:00:00+14:00"}, ["/time"]),
    ],
)
def test_a_wrong_field_is_refused_by_its_pointer(posted: dict[str, Any], pointers: list[str]) -> None:
    assert refused(**posted) == pointers


@pytest.mark.parametrize("depth", [10, 200, 900])
def test_deep_nesting_is_refused_at_the_field_that_holds_it(depth: int) -> None:
    nested: Any = 1
    for level in range(depth):
        nested = [nested] if level % 2 else {"a": nested}
    assert refused(data=data(nested=nested)) == ["/data/nested"]
    assert refused(data=data(preferences={"theme": nested})) == ["/data/preferences/theme"]


def test_a_missing_type_and_data_are_both_named() -> None:
    with pytest.raises(Problem) as problem:
        parse(b"{}")
    assert [error["pointer"] for error in problem.value.errors] == ["/type", "/data"]


def test_a_body_of_wrong_fields_is_answered_with_a_few_of_them() -> None:
    assert len(refused(data={f"field-{number}": 1 for number in range(10_000)})) == MAX_ERRORS


@pytest.mark.parametrize(
    "body", [b"", b"{", b"NaN", b'{"a": Infinity}', b"\xff", b'"\\ud800"', b"[" * 100_000, b"1e999"]
)
def test_what_is_not_json_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(Problem) as problem:
        parse(body)
    assert problem.value.status == 400


@pytest.mark.parametrize("body", [b"null", b"5", b'"text"', b"[]", b"[1]"])
def test_json_that_is_no_object_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(Problem) as problem:
        parse(body)
    assert (problem.value.status, [error["pointer"] for error in problem.value.errors]) == (422, [""])

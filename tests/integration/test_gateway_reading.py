from __future__ import annotations

from typing import Any

import pytest

from actors.events import CONTRACTS
from tests.gateway import ADA, BOB, OPERATOR, SIGNED_UP, Gateway, bearer


def test_an_event_is_shown_to_who_posted_it(gateway: Gateway) -> None:
    accepted = gateway.call(
        "POST", "/v1/events", headers={**ADA, "X-Correlation-ID": "trace-1"}, json={**SIGNED_UP, "id": "1"}
    )
    shown = gateway.get(accepted.json()["status_url"], ADA).json()
    assert shown.pop("accepted_at").endswith("Z")
    assert shown == {
        "id": "1",
        "source": "/callers/ada",
        "type": "user.signed_up",
        "status": "queued",
        "correlation": "trace-1",
        "actors": [{"actor": "users.create", "queue": "users", "status": "queued", "attempts": []}],
        "follow_ups": [],
    }


def test_anothers_event_looks_exactly_like_none(gateway: Gateway) -> None:
    gateway.post({**SIGNED_UP, "id": "adas"}, ADA)

    def seen_by_bob(path: str) -> tuple[int, dict[str, str], bytes]:
        answer = gateway.get(path, {**BOB, "X-Correlation-ID": "trace-1"})
        return answer.status_code, dict(answer.headers), answer.content

    nothing = seen_by_bob("/v1/events/none")
    assert nothing[0] == 404
    assert seen_by_bob("/v1/events/adas") == nothing
    assert seen_by_bob("/v1/events/adas?source=/callers/ada") == nothing
    assert gateway.get("/v1/events/adas", ADA).status_code == 200


def test_an_operator_sees_everybodys_events(gateway: Gateway) -> None:
    gateway.post({**SIGNED_UP, "id": "adas"}, ADA)
    assert gateway.get("/v1/events/adas", OPERATOR).json()["source"] == "/callers/ada"


def test_equal_ids_of_two_callers_are_kept_apart(gateway: Gateway) -> None:
    for caller in (ADA, BOB):
        gateway.post({**SIGNED_UP, "id": "1"}, caller)
    assert gateway.get("/v1/events/1", ADA).json()["source"] == "/callers/ada"
    assert gateway.get("/v1/events/1", BOB).json()["source"] == "/callers/bob"


def test_the_source_picks_among_equal_ids(gateway: Gateway) -> None:
    sources = ["/shop?a=1&b=2", "/callers/ada", "urn:shop:2"]
    for source in sources:
        gateway.post({**SIGNED_UP, "id": "1", "source": source})
    shown = [gateway.get("/v1/events/1", ADA, params={"source": source}).json()["source"] for source in sources]
    assert shown == sources
    assert gateway.get("/v1/events/1", ADA, params={"source": "/other"}).status_code == 404


@pytest.mark.parametrize(
    "id_", ["1", "a/b", "/a//b/", "100%", "%2F", "a?b#c", "a&b=c+d;e", "..x", "~:@!$'()*,", '"<>{}']
)
def test_a_status_url_leads_to_its_event_whatever_the_id(gateway: Gateway, id_: str) -> None:
    answers = [
        gateway.post({**SIGNED_UP, "id": id_, **source})
        for source in ({}, {"source": "/shop?a=1&b=2"}, {"source": "urn:shop:%C3%BC"})
    ]
    shown = [gateway.get(answer.json()["status_url"], ADA).json() for answer in answers]
    assert [(each["id"], each["source"]) for each in shown] == [(id_, answer.json()["source"]) for answer in answers]


def test_status_urls_begin_with_the_public_url(gateway: Gateway) -> None:
    url: str = gateway.post({**SIGNED_UP, "id": "1"}).json()["status_url"]
    assert url.startswith("http://127.0.0.1:8000/v1/events/1")


def test_event_types_are_those_that_can_be_posted_each_with_a_schema(gateway: Gateway) -> None:
    types: list[dict[str, Any]] = gateway.get("/v1/event-types", ADA).json()
    assert [each["type"] for each in types] == sorted(name for name, kind in CONTRACTS.items() if kind.external)
    assert all(each["description"] and each["data_schema"]["properties"] for each in types)
    (signed_up,) = (each for each in types if each["type"] == "user.signed_up")
    assert signed_up["data_schema"]["required"] == ["email", "name"]


@pytest.mark.parametrize("type_", sorted(name for name, kind in CONTRACTS.items() if kind.external))
def test_the_example_of_a_type_can_be_posted(gateway: Gateway, type_: str) -> None:
    types = gateway.get("/v1/event-types", ADA).json()
    (example,) = (each["example"] for each in types if each["type"] == type_)
    assert gateway.post({"type": type_, "data": example}).status_code == 202


def test_reading_needs_a_reading_scope(gateway: Gateway) -> None:
    writer = bearer("ada", "events:write")
    gateway.post({**SIGNED_UP, "id": "1"}, writer)
    answers = [gateway.get("/v1/events/1", writer), gateway.get("/v1/events/none", writer)]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert "events:read" in answers[0].json()["detail"]

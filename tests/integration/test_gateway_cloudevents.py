"""CloudEvents 1.0 in every mode, as the official SDK sends them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from tests.builders import waiting
from tests.gateway import ADA, Gateway
from tests.servers import Valkey
from workers.event import Event

DATA = {"email": "ada@example.com", "name": "Ada Lovelace"}
EXTENSIONS = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tenant": "Ærø & sons, 100%"}
ATTRIBUTES: dict[str, Any] = {
    "id": "A234-1234",
    "source": "/shop/checkout",
    "type": "user.signed_up",
    "subject": "Ada ☃",
    "time": datetime(2026, 1, 31, 12, tzinfo=UTC),
    "datacontenttype": "application/json",
    "dataschema": "https://example.com/schemas/user",
    **EXTENSIONS,
}


def sent(gateway: Gateway, mode: str) -> httpx.Response:
    event = CloudEvent(ATTRIBUTES, DATA)
    if mode == "batch":
        body = b"[" + JSONFormat().write(event) + b"]"
        headers = {"content-type": "application/cloudevents-batch+json"}
    else:
        message = (to_binary_event if mode == "binary" else to_structured_event)(event)
        body, headers = message.body, dict(message.headers)
    return gateway.call("POST", "/v1/events", headers={**ADA, **headers}, content=body)


def stored(valkey: Valkey) -> list[Event]:
    with valkey.client() as client:
        return waiting(client, "users")


@pytest.mark.parametrize("mode", ["structured", "binary", "batch"])
def test_an_event_of_the_sdk_is_stored_with_all_its_attributes(gateway: Gateway, valkey: Valkey, mode: str) -> None:
    answer = sent(gateway, mode)
    assert answer.status_code == 202, answer.text
    (event,) = stored(valkey)
    assert (event.id, event.source, event.type, event.subject) == ("A234-1234", "/shop/checkout", event.type, "Ada ☃")
    assert (event.time, event.data["email"]) == ("2026-01-31T12:00:00.000Z", "ada@example.com")
    assert event.extensions == {**EXTENSIONS, "dataschema": "https://example.com/schemas/user"}


def test_the_same_event_is_the_same_in_every_mode(gateway: Gateway, valkey: Valkey) -> None:
    sent(gateway, "structured")
    plain = {"type": "user.signed_up", "id": "A234-1234", "source": "/shop/checkout", "subject": "Ada ☃", "data": DATA}
    again = [sent(gateway, "binary").json(), sent(gateway, "batch").json()[0], gateway.post(plain).json()]
    assert [each["duplicate"] for each in again] == [True, True, True]
    assert len(stored(valkey)) == 1


def test_what_is_wrong_in_binary_mode_is_told_by_its_field(gateway: Gateway) -> None:
    message = to_binary_event(CloudEvent({**ATTRIBUTES, "type": "user.vanished"}, DATA))
    answer = gateway.call("POST", "/v1/events", headers={**ADA, **message.headers}, content=message.body)
    assert (answer.status_code, answer.json()["errors"][0]["header"]) == (422, "ce-type")
    bad = json.dumps({"email": "nobody"})
    message = to_binary_event(CloudEvent(ATTRIBUTES, DATA))
    answer = gateway.call("POST", "/v1/events", headers={**ADA, **message.headers}, content=bad)
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/email", "/name"}


@pytest.mark.parametrize("name", ["lunacaller", "correlationid"])
def test_nobody_sets_what_luna_writes_itself(gateway: Gateway, valkey: Valkey, name: str) -> None:
    document = {"specversion": "1.0", "id": "1", "source": "/s", "type": "user.signed_up", "data": DATA, name: "eve"}
    headers = {**ADA, "Content-Type": "application/cloudevents+json"}
    answer = gateway.call("POST", "/v1/events", headers=headers, content=json.dumps(document))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/{name}")
    assert stored(valkey) == []

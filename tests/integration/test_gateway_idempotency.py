"""`Idempotency-Key`, as draft-ietf-httpapi-idempotency-key-header-07 wants it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.builders import waiting
from tests.gateway import ADA, BOB, SIGNED_UP, Gateway
from tests.servers import Valkey

KEY = '"8e03978e-40d5-43dd-bc93-6894a57f9324"'


def posted(gateway: Gateway, key: str | bytes, event: Any = SIGNED_UP, caller: dict[str, str] = ADA) -> httpx.Response:
    return gateway.call("POST", "/v1/events", headers=[*caller.items(), ("Idempotency-Key", key)], json=event)


def stored(valkey: Valkey) -> int:
    with valkey.client() as client:
        return len(waiting(client, "users"))


def test_the_key_is_the_events_id_and_a_second_request_has_no_second_effect(gateway: Gateway, valkey: Valkey) -> None:
    first, again = posted(gateway, KEY), posted(gateway, KEY)
    assert first.json()["id"] == KEY.strip('"')
    assert (again.status_code, again.json()) == (202, {**first.json(), "duplicate": True})
    assert stored(valkey) == 1


def test_the_same_key_for_another_content_is_refused(gateway: Gateway, valkey: Valkey) -> None:
    posted(gateway, KEY)
    other = {**SIGNED_UP, "data": {**SIGNED_UP["data"], "name": "Bob"}}
    assert posted(gateway, KEY, other).status_code == 422
    assert stored(valkey) == 1


def test_keys_are_the_callers_own(gateway: Gateway, valkey: Valkey) -> None:
    assert [posted(gateway, KEY, caller=caller).json()["duplicate"] for caller in (ADA, BOB)] == [False, False]
    assert stored(valkey) == 2


def test_the_key_may_stand_beside_the_same_id_and_not_beside_another(gateway: Gateway) -> None:
    assert posted(gateway, '"1"', {**SIGNED_UP, "id": "1"}).status_code == 202
    assert posted(gateway, '"1"', {**SIGNED_UP, "id": "2"}).status_code == 400


def test_a_failure_of_the_store_does_not_use_up_the_key(gateway: Gateway, valkey: Valkey) -> None:
    working = gateway.app.state.intake
    gateway.lose_the_store()
    assert posted(gateway, KEY).status_code == 503
    gateway.app.state.intake = working
    assert posted(gateway, KEY).json()["duplicate"] is False
    assert stored(valkey) == 1


@pytest.mark.parametrize(
    "key",
    [
        "",
        '""',
        "8e03978e",
        "'a'",
        '"a',
        '"a b"',
        '"é"'.encode(),
        '"a"b',
        '"a", "b"',
        f'"{"x" * 201}"',
        '"a\\b"',
        ":YQ==:",
        "?1",
        "1",
    ],
)
def test_a_key_that_is_none_is_told_so(gateway: Gateway, valkey: Valkey, key: str | bytes) -> None:
    answer = posted(gateway, key)
    assert (answer.status_code, "Idempotency-Key" in answer.json()["detail"]) == (400, True)
    assert stored(valkey) == 0


def test_a_batch_has_no_key(gateway: Gateway, valkey: Valkey) -> None:
    assert posted(gateway, KEY, [SIGNED_UP]).status_code == 400
    assert stored(valkey) == 0


def test_an_escaped_key_is_what_it_stands_for(gateway: Gateway) -> None:
    assert posted(gateway, r'"a\"b\\c"').json()["id"] == r'a"b\c'

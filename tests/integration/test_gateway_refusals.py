from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from api_gateway.bodies import MAX_BODY_BYTES
from api_gateway.intake import MEDIA_TYPES
from tests.gateway import SIGNED_UP, Gateway, bearer

VALID = b'{"type": "user.signed_up", "data": {"email": "ada@example.com", "name": "Ada"}}'


def pieces(whole: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    """A body whose length is not announced."""

    async def sending() -> AsyncIterator[bytes]:
        for start in range(0, len(whole), size):
            yield whole[start : start + size]

    return sending()


@pytest.mark.parametrize("body", [b"", b"{", b'{"type": NaN}', b'{"type": "\xff"}', b"\x80", b"{'type': 1}"])
def test_what_is_not_json_is_a_bad_request(gateway: Gateway, body: bytes) -> None:
    answer = gateway.post_bytes(body)
    assert (answer.status_code, answer.json()["title"]) == (400, "Bad Request")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_another_media_type_is_unsupported(gateway: Gateway, media_type: str) -> None:
    answer = gateway.post_bytes(VALID, **{"Content-Type": media_type})
    assert (answer.status_code, answer.headers["Accept"]) == (415, MEDIA_TYPES)


@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_taken_however_its_media_type_is_written(gateway: Gateway, media_type: str) -> None:
    assert gateway.post_bytes(VALID, **{"Content-Type": media_type}).status_code == 202


@pytest.mark.parametrize("announced", [True, False], ids=["with Content-Length", "in chunks"])
def test_a_body_over_the_limit_is_refused_and_one_at_the_limit_is_read(gateway: Gateway, announced: bool) -> None:
    largest = VALID.ljust(MAX_BODY_BYTES)
    bodies = (largest, largest + b" ") if announced else (pieces(largest), pieces(largest + b" "))
    assert [gateway.post_bytes(body).status_code for body in bodies] == [202, 413]


def test_an_endless_body_is_read_no_further_than_the_limit(gateway: Gateway) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while taken < 100:
            taken += 1
            yield b" " * 10_000

    assert gateway.post_bytes(endless()).status_code == 413
    assert taken * 10_000 < MAX_BODY_BYTES + 20_000


@pytest.mark.parametrize(
    ("event", "pointers"),
    [
        ({**SIGNED_UP, "type": "user.vanished"}, ["/type"]),
        ({**SIGNED_UP, "type": "user.created"}, ["/type"]),
        ({**SIGNED_UP, "source": "/luna/scheduler"}, ["/source"]),
        ({**SIGNED_UP, "extra": 1}, ["/extra"]),
        (
            {"type": "user.signed_up", "data": {"email": "nobody", "role": "admin"}},
            ["/data/email", "/data/name", "/data/role"],
        ),
        ("no object", [""]),
    ],
)
def test_a_wrong_event_is_refused_with_pointers_to_its_fields(
    gateway: Gateway, event: Any, pointers: list[str]
) -> None:
    answer = gateway.post(event)
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
    assert [error["pointer"] for error in answer.json()["errors"]] == pointers
    assert all(error["detail"] for error in answer.json()["errors"])


@pytest.mark.parametrize("depth", [900, 2_000, 100_000])
def test_nesting_of_any_depth_is_the_callers_fault(gateway: Gateway, depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    answer = gateway.post_bytes(VALID[:-2] + b', "deep": ' + nested + b"}}")
    assert answer.status_code == (422 if depth < 1_000 else 400)


def test_every_refused_credential_gets_the_same_answer(gateway: Gateway) -> None:
    expired = bearer("ada", "events:write", ttl_s=-60)
    answers = [gateway.post(SIGNED_UP, headers) for headers in ({}, {"Authorization": "Bearer x"}, expired)]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {'Bearer realm="luna"'}
    assert len({answer.content for answer in answers}) == 1


def test_who_may_not_post_is_told_which_scope_is_missing(gateway: Gateway) -> None:
    answer = gateway.post(SIGNED_UP, bearer("ada", "events:read", "ops:write"))
    assert (answer.status_code, "events:write" in answer.json()["detail"]) == (403, True)


def test_who_may_not_post_learns_nothing_of_the_body(gateway: Gateway) -> None:
    refused = bearer("ada", "events:read")
    assert gateway.post_bytes(b"{", **refused).status_code == 403
    assert gateway.post_bytes(b"{", Authorization="Bearer x").status_code == 401


@pytest.mark.parametrize("path", ["/v1/events/1", "/v1/event-types", "/v1/users/0b0e7a4e-3c1d-4a55-9d57-0a8d4d0a1f11"])
def test_every_other_resource_needs_a_token_and_a_scope(gateway: Gateway, path: str) -> None:
    assert gateway.get(path, {}).status_code == 401
    assert gateway.get(path, bearer("ada", "events:write")).status_code == 403

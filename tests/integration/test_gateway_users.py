from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from actors.users import store, tags
from tests.gateway import Gateway, bearer, settings
from tests.servers import Valkey, free_port
from workers.cache import TaggedCache
from workers.database import Database

READER = bearer("service", "users:read")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def user(database: Database) -> str:
    """The id of a user that is there."""
    user_id = str(uuid4())
    with database.write() as connection:
        store.create(
            connection, user_id=user_id, email="Ada@example.com", name="Ada", preferences={"theme": "dark"}, now=NOW
        )
    return user_id


@pytest.fixture
def uncached(valkey: Valkey, database: Database) -> Iterator[Gateway]:
    """The application while its cache server is away."""
    away = f"redis://127.0.0.1:{free_port()}/0"
    with Gateway(settings(valkey.url, CACHE_REDIS_URL=away), database) as gateway:
        yield gateway


def test_a_profile_holds_the_chosen_fields_and_no_other(gateway: Gateway, user: str) -> None:
    assert gateway.get(f"/v1/users/{user}", READER).json() == {
        "id": user,
        "email": "Ada@example.com",
        "name": "Ada",
        "preferences": {"theme": "dark"},
        "plan": "free",
        "created_at": NOW.isoformat(),
        "updated_at": NOW.isoformat(),
    }


def test_users_see_themselves_and_nobody_else(gateway: Gateway, user: str) -> None:
    assert gateway.get(f"/v1/users/{user}", bearer(user)).status_code == 200
    assert gateway.get(f"/v1/users/{user.upper()}", bearer(user)).status_code == 200
    others = [gateway.get(f"/v1/users/{id_}", bearer(str(uuid4()), "events:read")) for id_ in (user, uuid4())]
    assert [answer.status_code for answer in others] == [403, 403]
    assert others[0].content == others[1].content


def test_nobody_is_not_found(gateway: Gateway) -> None:
    assert [gateway.get(f"/v1/users/{uuid4()}", READER).status_code for _ in range(2)] == [404, 404]


@pytest.mark.parametrize("user_id", ["1", "ada@example.com", "0b0e7a4e-3c1d-4a55-9d57-0a8d4d0a1f1g", "%00"])
def test_a_malformed_id_is_refused_by_name(gateway: Gateway, user_id: str) -> None:
    answer = gateway.get(f"/v1/users/{user_id}", READER)
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
    assert [error["parameter"] for error in answer.json()["errors"]] == ["user_id"]


def test_a_malformed_id_tells_nothing_to_who_has_no_token(gateway: Gateway) -> None:
    assert gateway.get("/v1/users/1", {}).status_code == 401


def test_the_first_read_misses_the_cache_and_the_next_hits_it(gateway: Gateway, user: str) -> None:
    answers = [gateway.get(f"/v1/users/{user}", READER) for _ in range(3)]
    assert [answer.headers["X-Cache"] for answer in answers] == ["miss", "hit", "hit"]
    assert len({(answer.content, answer.headers["ETag"]) for answer in answers}) == 1


def test_a_change_is_seen_once_the_tag_is_stale(
    gateway: Gateway, database: Database, valkey: Valkey, user: str
) -> None:
    before = gateway.get(f"/v1/users/{user}", READER)
    with database.write() as connection:
        store.change(connection, user, {"name": "Countess"}, NOW)
    with valkey.client() as client:
        TaggedCache(client).invalidate([tags.of_user(user)])
    after = gateway.get(f"/v1/users/{user}", {**READER, "If-None-Match": before.headers["ETag"]})
    assert (after.status_code, after.headers["X-Cache"], after.json()["name"]) == (200, "miss", "Countess")


def test_a_profile_is_read_past_a_cache_that_is_away(uncached: Gateway, user: str) -> None:
    answers = [uncached.get(f"/v1/users/{user}", READER) for _ in range(2)]
    assert [(answer.status_code, answer.headers["X-Cache"]) for answer in answers] == [(200, "bypass")] * 2
    assert answers[0].json()["name"] == "Ada"
    assert uncached.get(f"/v1/users/{uuid4()}", READER).status_code == 404


@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}', "*"])
def test_a_profile_that_the_caller_knows_is_not_sent_again(gateway: Gateway, user: str, known: str) -> None:
    etag = gateway.get(f"/v1/users/{user}", READER).headers["ETag"]
    answer = gateway.get(f"/v1/users/{user}", {**READER, "If-None-Match": known.format(etag)})
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)


def test_a_profile_that_the_caller_does_not_know_is_sent(gateway: Gateway, user: str) -> None:
    assert gateway.get(f"/v1/users/{user}", {**READER, "If-None-Match": '"other"'}).status_code == 200


def test_profiles_are_for_their_reader_alone(gateway: Gateway, user: str) -> None:
    assert gateway.get(f"/v1/users/{user}", READER).headers["Cache-Control"] == "private, no-cache"

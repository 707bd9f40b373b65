"""POST, PATCH and DELETE of users: thin, allow-listed, and silent about other people's accounts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from actors.users import store
from actors.users.actors import close, create, update
from tests.builders import business, waiting
from tests.gateway import Gateway, bearer
from tests.servers import Valkey
from workers.database import Database
from workers.errors import PermanentError

WRITER = bearer("service", "users:write", "users:read", "events:write")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
NEW = {"email": "grace@example.com", "name": "Grace"}


@pytest.fixture
def user(database: Database) -> str:
    """The id of a user that is there."""
    user_id = str(uuid4())
    with database.write() as connection:
        store.create(connection, user_id=user_id, email="ada@example.com", name="Ada", preferences={"a": 1}, now=NOW)
    return user_id


class Worker:
    """Does what waits on the queue of users, as a worker would; what is dead is counted."""

    def __init__(self, database: Database, valkey: Valkey) -> None:
        self._database, self._valkey = database, valkey
        self.dead: list[str] = []

    def works(self) -> None:
        handlers = {"user.signed_up": create, "user.profile_changed": update, "user.closed": close}
        with self._valkey.client() as client:
            runner = business(self._database, client)
            for event in waiting(client, "users"):
                try:
                    runner.run(handlers[event.type], event)
                except PermanentError as error:
                    self.dead.append(str(error))


@pytest.fixture
def worker(database: Database, valkey: Valkey) -> Worker:
    return Worker(database, valkey)


def send(
    gateway: Gateway, method: str, path: str, body: Any = None, headers: dict[str, str] = WRITER
) -> httpx.Response:
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    return gateway.call(method, path, headers={"Content-Type": "application/json", **headers}, content=content)


def queued(valkey: Valkey) -> list[tuple[str, dict[str, Any]]]:
    with valkey.client() as client:
        return [(event.type, event.data) for event in waiting(client, "users")]


def row(database: Database, user_id: str) -> dict[str, Any]:
    """Everything that is stored about a user."""
    with database.read() as connection:
        users = connection.execute(select(store.users).where(store.users.c.id == user_id)).mappings().one()
        counted = select(store.user_metrics).where(store.user_metrics.c.user_id == user_id)
        return {**users, **connection.execute(counted).mappings().one()}


def test_a_new_user_is_accepted_like_an_event_and_its_place_is_named(gateway: Gateway, worker: Worker) -> None:
    answer = send(gateway, "POST", "/v1/users", {**NEW, "preferences": {"theme": "dark"}})
    accepted = answer.json()
    assert (answer.status_code, accepted["type"], accepted["status"]) == (202, "user.signed_up", "accepted")
    assert accepted["status_url"].endswith(f"/v1/events/{accepted['id']}")
    assert answer.headers["Location"] == f"/v1/users/{accepted['subject']}"
    worker.works()
    profile = gateway.get(answer.headers["Location"], WRITER).json()
    assert (profile["email"], profile["name"], profile["preferences"], profile["plan"]) == (
        "grace@example.com",
        "Grace",
        {"theme": "dark"},
        "free",
    )
    metrics = gateway.get(f"{answer.headers['Location']}/metrics", WRITER)
    assert metrics.json() == {"profile_changes": 0, "last_active_at": profile["created_at"]}


def test_a_second_user_with_the_same_address_stays_a_dead_letter(gateway: Gateway, worker: Worker) -> None:
    for _ in range(2):
        assert send(gateway, "POST", "/v1/users", NEW).status_code == 202
    worker.works()
    assert worker.dead == ["a user with this id or e-mail address exists already"]


@pytest.mark.parametrize("media_type", ["application/json", "application/merge-patch+json; charset=utf-8"])
@pytest.mark.parametrize("itself", [True, False])
def test_a_change_sets_the_named_fields_only(
    gateway: Gateway, worker: Worker, user: str, media_type: str, itself: bool
) -> None:
    caller = bearer(user) if itself else WRITER
    before = gateway.get(f"/v1/users/{user}", WRITER).json()
    headers = {**caller, "Content-Type": media_type}
    answer = send(gateway, "PATCH", f"/v1/users/{user}", {"name": "Countess"}, headers)
    assert (answer.status_code, answer.json()["type"]) == (202, "user.profile_changed")
    worker.works()
    after = gateway.get(f"/v1/users/{user}", WRITER).json()
    assert after == {**before, "name": "Countess", "updated_at": after["updated_at"]}


def test_preferences_are_replaced_and_not_merged(gateway: Gateway, worker: Worker, user: str) -> None:
    change = {"preferences": {"b": 2}}
    merging = {**WRITER, "Content-Type": "application/merge-patch+json"}
    refused = send(gateway, "PATCH", f"/v1/users/{user}", change, merging)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/preferences")
    assert send(gateway, "PATCH", f"/v1/users/{user}", change).status_code == 202
    worker.works()
    assert gateway.get(f"/v1/users/{user}", WRITER).json()["preferences"] == {"b": 2}


def test_a_closed_user_is_gone_and_its_address_is_free(gateway: Gateway, worker: Worker, user: str) -> None:
    assert gateway.get(f"/v1/users/{user}", WRITER).headers["X-Cache"] == "miss"
    answer = send(gateway, "DELETE", f"/v1/users/{user}?reason=moved%20away")
    assert (answer.status_code, answer.json()["type"], answer.json()["subject"]) == (202, "user.closed", user)
    worker.works()
    for path in (f"/v1/users/{user}", f"/v1/users/{user}/metrics"):
        assert gateway.get(path, WRITER).status_code == 404
    assert send(gateway, "POST", "/v1/users", {"email": "ada@example.com", "name": "Ada"}).status_code == 202
    worker.works()
    assert worker.dead == []


def test_the_reason_travels_with_the_event(gateway: Gateway, valkey: Valkey, user: str) -> None:
    send(gateway, "DELETE", f"/v1/users/{user}?reason=moved%20away")
    send(gateway, "DELETE", f"/v1/users/{user}")
    assert queued(valkey) == [
        ("user.closed", {"user_id": user, "reason": "moved away"}),
        ("user.closed", {"user_id": user}),
    ]
    assert send(gateway, "DELETE", f"/v1/users/{user}?reason={'x' * 201}").status_code == 422


PRIVILEGED = ("role", "plan", "id", "user_id", "created_at", "updated_at", "closed_at", "email_key", "profile_changes")
SPELLINGS = (
    *("{}", " {}", "{} ", "{}\\n", "users.{}", "data.{}", "/{}", "${}", "{}[]"),
    *("{}\\u0000", "_{}", "{}__set", "-{}", "{}.x", "\\ufeff{}"),
)
LOOK_ALIKES = ("r\u043ele", "\uff52ole", "ROLE", "Role", "rol\u0435", "\u0440lan", "PLAN", "Plan", "ID", "\u0456d")
HOSTILE = {
    **{name: [f'"name": "Eve", "{spelling.format(name)}": "admin"' for spelling in SPELLINGS] for name in PRIVILEGED},
    "look-alikes": [f'"name": "Eve", "{name}": "admin"' for name in LOOK_ALIKES],
    "containers": [f'"name": "Eve", "{name}": {{"role": "admin"}}' for name in ("__proto__", "constructor", "data")],
    "nested": [
        '"name": {"role": "admin"}',
        '"email": {"role": "admin"}',
        '"name": {"$set": {"role": "admin"}}',
        '"name": ["Eve", {"role": "admin"}]',
        '"name": "Eve", "preferences": {"nested": {"role": "admin"}}',
        '"name": "Eve", "preferences": [["role", "admin"]]',
    ],
    "twice": ['"name": "Eve", "role": "admin", "role": null', '"name": "Eve", "role": null, "ro\\u006ce": "admin"'],
}
NO_OBJECT = ('[{"name": "Eve", "role": "admin"}]', '"name=Eve&role=admin"', "name=Eve&role=admin", "null", "1", "")


@pytest.mark.parametrize("group", [*HOSTILE.values(), ['"name": null', '"email": null', '"preferences": null']])
def test_no_spelling_sets_what_is_not_to_be_set(
    gateway: Gateway, valkey: Valkey, database: Database, user: str, group: list[str]
) -> None:
    before = row(database, user)
    for members in group:
        new = members if '"email"' in members else f'"email": "eve@example.com", {members}'
        for method, path, body in (("PATCH", f"/v1/users/{user}", members), ("POST", "/v1/users", new)):
            answer = send(gateway, method, path, f"{{{body}}}".encode())
            assert answer.status_code in {400, 422}, (method, body, answer.text)
            assert answer.headers["Content-Type"] == "application/problem+json"
    assert queued(valkey) == []
    assert row(database, user) == before


@pytest.mark.parametrize("group", [members for name, members in HOSTILE.items() if name != "user_id"])
def test_no_spelling_sets_it_by_an_event_either(
    gateway: Gateway, valkey: Valkey, database: Database, user: str, group: list[str]
) -> None:
    before = row(database, user)
    for members in group:
        body = f'{{"type": "user.profile_changed", "data": {{"user_id": "{user}", {members}}}}}'
        answer = send(gateway, "POST", "/v1/events", body.encode())
        assert answer.status_code in {400, 422}, (members, answer.text)
    assert queued(valkey) == []
    assert row(database, user) == before


@pytest.mark.parametrize("body", NO_OBJECT)
def test_a_body_that_is_no_object_is_refused(gateway: Gateway, valkey: Valkey, user: str, body: str) -> None:
    for method, path in (("PATCH", f"/v1/users/{user}"), ("POST", "/v1/users")):
        assert send(gateway, method, path, body.encode()).status_code in {400, 422}
    assert queued(valkey) == []


def test_a_preference_of_any_name_is_only_a_preference(
    gateway: Gateway, database: Database, worker: Worker, user: str
) -> None:
    before = row(database, user)
    change = {"preferences": {"role": "admin", "plan": "team", "id": 1}}
    assert send(gateway, "PATCH", f"/v1/users/{user}", change).status_code == 202
    worker.works()
    assert gateway.get(f"/v1/users/{user}", WRITER).json()["plan"] == "free"
    allowed = {"preferences", "updated_at", "profile_changes", "last_active_at"}
    assert {name for name, value in row(database, user).items() if before[name] != value} == allowed


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b'{"name": "\xff"}', {}, 400),
        (b'{"name": "\\ud800"}', {}, 400),
        (b'{"name": NaN}', {}, 400),
        (b'{"preferences": {"a": ' + b"9" * 5000 + b"}}", {}, 400),
        (b"[" * 100_000, {}, 400),
        (b'{"preferences":' + b'{"a":' * 900 + b"1" + b"}" * 901, {}, 422),
        (b'{"name": "' + b"x" * 256 * 1024 + b'"}', {}, 413),
        (b"name=Eve", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {"Content-Encoding": "gzip"}, 415),
        (b"{}", {}, 422),
    ],
)
def test_a_body_that_cannot_be_read_is_a_problem(
    gateway: Gateway, valkey: Valkey, user: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    for method, path in (("PATCH", f"/v1/users/{user}"), ("POST", "/v1/users")):
        answer = send(gateway, method, path, body, {**WRITER, **headers})
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert queued(valkey) == []


def test_wrong_fields_are_named_by_their_place(gateway: Gateway) -> None:
    answer = send(gateway, "POST", "/v1/users", {"email": "x", "preferences": {"a": []}, "role": "admin"})
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/email", "/name", "/preferences/a", "/role"}


ALL_VERBS = (("GET", ""), ("GET", "/metrics"), ("HEAD", ""), ("HEAD", "/metrics"), ("PATCH", ""), ("DELETE", ""))


@pytest.mark.parametrize(("method", "suffix"), ALL_VERBS)
@pytest.mark.parametrize("scope", ["", "events:write", "ops:read"])
def test_the_answer_to_anothers_account_does_not_tell_whether_it_exists(
    gateway: Gateway, valkey: Valkey, user: str, method: str, suffix: str, scope: str
) -> None:
    stranger = bearer(str(uuid4()), *scope.split())
    answers = [
        send(gateway, method, f"/v1/users/{id_}{suffix}", {"name": "Eve"}, {**stranger, "X-Correlation-ID": "1"})
        for id_ in (user, str(uuid4()))
    ]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert (answers[0].content, answers[0].headers) == (answers[1].content, answers[1].headers)
    assert queued(valkey) == []


@pytest.mark.parametrize(("method", "suffix"), ALL_VERBS)
def test_without_credentials_nothing_is_told(gateway: Gateway, user: str, method: str, suffix: str) -> None:
    for id_ in (user, str(uuid4()), "1"):
        assert send(gateway, method, f"/v1/users/{id_}{suffix}", b"{", {}).status_code == 401


def test_who_may_read_may_not_write_and_a_user_may_not_close_itself(gateway: Gateway, user: str) -> None:
    reader = bearer("service", "users:read")
    assert send(gateway, "PATCH", f"/v1/users/{user}", {"name": "Eve"}, reader).status_code == 403
    assert send(gateway, "POST", "/v1/users", NEW, reader).status_code == 403
    assert send(gateway, "POST", "/v1/users", NEW, bearer(user)).status_code == 403
    assert send(gateway, "DELETE", f"/v1/users/{user}", None, bearer(user)).status_code == 403


def test_head_tells_what_get_would(gateway: Gateway, user: str) -> None:
    for path in (f"/v1/users/{user}", f"/v1/users/{user}/metrics"):
        get, head = gateway.get(path, WRITER), gateway.call("HEAD", path, headers=WRITER)
        assert (head.status_code, head.headers["ETag"]) == (200, get.headers["ETag"])


def test_while_the_store_is_away_the_caller_is_told_to_come_again(gateway: Gateway, user: str) -> None:
    gateway.lose_the_store()
    for method, path, body in (
        ("POST", "/v1/users", NEW),
        ("PATCH", f"/v1/users/{user}", {"name": "Eve"}),
        ("DELETE", f"/v1/users/{user}", None),
    ):
        answer = send(gateway, method, path, body)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "redis.internal" not in answer.text

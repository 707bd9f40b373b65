"""What an operator sees and does over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import dramatiq
import httpx
import pytest
import redis

from actors.routes import QUEUES, ROUTES
from tests.builders import Told, an_event, buried, waiting
from tests.gateway import Gateway, bearer
from tests.servers import Valkey
from workers.errors import PermanentError
from workers.event import Event
from workers.queue.publisher import Publisher

READER = bearer("reader", "ops:read")
OPERATOR = bearer("olga", "ops:read", "ops:write")
NOBODY = "00000000-0000-4000-8000-000000000000"
CREATE = ROUTES["user.signed_up"][0]


@pytest.fixture
def store(valkey: Valkey) -> Iterator[redis.Redis]:
    with valkey.client() as client:
        yield client


class Graves:
    """Lets events die."""

    def __init__(self, store: redis.Redis) -> None:
        self._told, self._publisher = Told(store, ROUTES), Publisher(store, ROUTES)

    def die(self, name: str = "Ada", error: Exception | None = None) -> Event:
        event = an_event("user.signed_up", {"email": f"{uuid4()}@example.com", "name": name})
        self._publisher.publish(event)
        self._told.attempt(event, CREATE, error or PermanentError("never"))
        return event


@pytest.fixture
def graves(store: redis.Redis) -> Graves:
    return Graves(store)


def get(gateway: Gateway, path: str, **query: Any) -> Any:
    answer = gateway.call("GET", path, headers=READER, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(gateway: Gateway, path: str, body: Any = None) -> httpx.Response:
    return gateway.call("POST", path, headers=OPERATOR, **({} if body is None else {"json": body}))


def one(gateway: Gateway, path: str = "/v1/ops/dead") -> str:
    (letter,) = get(gateway, path)["items"]
    return f"/v1/ops/dead/{letter['id']}"


def test_queues_are_listed_and_shown_with_their_depth(gateway: Gateway, store: redis.Redis, graves: Graves) -> None:
    graves.die()
    Publisher(store, ROUTES).publish(an_event(data={"email": "ada@example.com", "name": "Ada"}))
    queues = {queue["queue"]: queue for queue in get(gateway, "/v1/ops/queues")}
    assert set(queues) == set(QUEUES)
    users = get(gateway, "/v1/ops/queues/users")
    assert users | {"oldest_age_s": 0} == {
        "queue": "users",
        "ready": 1,
        "running": 0,
        "delayed": 0,
        "dead": 1,
        "oldest_age_s": 0,
        "paused": False,
        "rate_1m": users["rate_1m"],
        "workers": 0,
    }


def test_a_queue_is_paused_and_resumed_and_the_audit_log_names_who_did_it(gateway: Gateway) -> None:
    assert post(gateway, "/v1/ops/queues/email/pause").json()["paused"] is True
    assert get(gateway, "/v1/ops/queues/email")["paused"] is True
    assert post(gateway, "/v1/ops/queues/email/resume").json()["paused"] is False
    actions = get(gateway, "/v1/ops/audit")["items"]
    assert [(each["by"], each["action"], each["target"]) for each in actions] == [
        ("olga", "queue.resume", "email"),
        ("olga", "queue.pause", "email"),
    ]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/ops/queues/post"),
        ("POST", "/v1/ops/queues/post/pause"),
        ("POST", "/v1/ops/queues/post/resume"),
        ("GET", "/v1/ops/dead?queue=post"),
        ("GET", "/v1/ops/dead/none"),
        ("DELETE", "/v1/ops/dead/none"),
        ("POST", "/v1/ops/dead/none/retry"),
        ("GET", f"/v1/ops/operations/{NOBODY}"),
        ("POST", f"/v1/ops/operations/{NOBODY}/stop"),
    ],
)
def test_what_is_not_there_is_a_problem_that_says_so(gateway: Gateway, method: str, path: str) -> None:
    answer = gateway.call(method, path, headers=OPERATOR)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert answer.json()["detail"].startswith("There is no ")


def test_a_bulk_on_a_queue_that_is_not_there_is_not_found_too(gateway: Gateway) -> None:
    assert post(gateway, "/v1/ops/dead/retry", {"queue": "post"}).status_code == 404


def test_dead_letters_are_listed_newest_first_page_by_page(gateway: Gateway, graves: Graves) -> None:
    died = [graves.die().id for _ in range(5)]
    listed: list[str] = []
    page: dict[str, Any] = {"next": None}
    for expected in (2, 2, 1):
        page = get(gateway, "/v1/ops/dead", limit=2, **({"cursor": page["next"]} if page["next"] else {}))
        assert len(page["items"]) == expected
        listed += [letter["event_id"] for letter in page["items"]]
    assert sorted(listed) == sorted(died)
    assert page["next"] is None
    moments = [letter["died_at"] for letter in get(gateway, "/v1/ops/dead")["items"]]
    assert moments == sorted(moments, reverse=True)


def test_a_listing_says_what_died_of_what_without_its_content(gateway: Gateway, graves: Graves) -> None:
    event = graves.die("Grace")
    (letter,) = get(gateway, "/v1/ops/dead")["items"]
    assert letter | {"id": "", "fingerprint": "", "died_at": ""} == {
        "id": "",
        "queue": "users",
        "actor": "users.create",
        "reason": "permanent",
        "fingerprint": "",
        "died_at": "",
        "event_id": event.id,
        "event_type": "user.signed_up",
        "attempts": 1,
        "last_error": {"type": "PermanentError", "message": "never"},
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, 2),
        ({"queue": "users"}, 2),
        ({"queue": "email"}, 0),
        ({"actor": "users.create"}, 2),
        ({"actor": "email.deliver"}, 0),
        ({"error": "EVER"}, 1),
        ({"reason": "permanent"}, 2),
        ({"since": "1h"}, 2),
        ({"since": "2000-01-01T00:00:00Z"}, 2),
        ({"since": "2999-01-01T00:00:00Z"}, 0),
        ({"fingerprint": "0"}, 0),
    ],
)
def test_a_listing_is_narrowed_by_its_filters(
    gateway: Gateway, graves: Graves, query: dict[str, str], found: int
) -> None:
    graves.die()
    graves.die(error=PermanentError("not now"))
    assert len(get(gateway, "/v1/ops/dead", **query)["items"]) == found


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-02-30T00:00:00Z"}, "since"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "1"}, "cursor"),
        ({"cursor": "-1.a"}, "cursor"),
        ({"cursor": "nan.a"}, "cursor"),
        ({"cursor": "99999999999999999.a"}, "cursor"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"queue": ""}, "queue"),
        ({"color": "red"}, "color"),
        ({"error": "x" * 201}, "error"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_by_its_name(
    gateway: Gateway, query: dict[str, str], parameter: str
) -> None:
    answer = gateway.call("GET", "/v1/ops/dead", headers=READER, params=query)
    assert (answer.status_code, [error["parameter"] for error in answer.json()["errors"]]) == (422, [parameter])


def test_one_letter_is_shown_with_its_message_and_every_attempt(gateway: Gateway, graves: Graves) -> None:
    event = graves.die()
    letter = get(gateway, one(gateway))
    assert (letter["event"], letter["kwargs"], letter["raw"], letter["original"]) == (event.to_dict(), {}, None, None)
    (attempt,) = letter["attempts"]
    assert (attempt["number"], attempt["type"], attempt["message"]) == (1, "PermanentError", "never")
    assert "PermanentError: never" in attempt["traceback"]


STRANGE = ["a/b", "retry", "retry/retry", "//", "a?b#c", "100%", "é ü", "a\0b", "x" * 300, "..", "%2e%2e"]


@pytest.mark.parametrize("name", STRANGE)
def test_a_letter_with_a_strange_id_is_read_retried_and_discarded(
    gateway: Gateway, store: redis.Redis, name: str
) -> None:
    message: dramatiq.Message[Any] = dramatiq.Message("users", "note", (1,), {"k": "v"}, {}, name)
    path = f"/v1/ops/dead/{quote(name, safe='').replace('.', '%2E')}"
    buried(store, message, PermanentError("never"))
    letter = get(gateway, path)
    assert (letter["id"], letter["args"], letter["kwargs"], letter["event"]) == (name, [1], {"k": "v"}, None)
    assert post(gateway, f"{path}/retry").json() == {"id": name, "done": "retried"}
    assert get(gateway, "/v1/ops/queues/users")["ready"] == 1
    buried(store, message, PermanentError("never"))
    discarded = gateway.call("DELETE", path, headers=OPERATOR)
    assert discarded.json() == {"id": name, "done": "discarded"}
    assert gateway.call("GET", path, headers=READER).status_code == 404


def test_bytes_that_are_no_message_are_shown_as_they_are(gateway: Gateway, store: redis.Redis, graves: Graves) -> None:
    graves.die()
    message: dramatiq.Message[Any] = dramatiq.Message("users", "note", ("\ud800",), {}, {}, "half")
    buried(store, message, PermanentError("never"))
    assert get(gateway, "/v1/ops/dead/half")["raw"]
    answer = post(gateway, "/v1/ops/dead/half/retry", {"data": {"k": "v"}})
    assert (answer.status_code, answer.json()["detail"][:30]) == (422, "This letter holds bytes that c")


def test_a_letter_is_retried_once(gateway: Gateway, store: redis.Redis, graves: Graves) -> None:
    event = graves.die()
    path = one(gateway)
    assert post(gateway, f"{path}/retry").json() == {"id": path.rpartition("/")[2], "done": "retried"}
    assert waiting(store, "users") == [event]
    assert post(gateway, f"{path}/retry").status_code == 404
    assert [(each["by"], each["action"]) for each in get(gateway, "/v1/ops/audit")["items"]] == [("olga", "dead.retry")]


def test_a_letter_is_discarded_once(gateway: Gateway, graves: Graves) -> None:
    graves.die()
    path = one(gateway)
    answers = [gateway.call("DELETE", path, headers=OPERATOR).status_code for _ in range(2)]
    assert answers == [200, 404]
    actions = [(each["by"], each["action"]) for each in get(gateway, "/v1/ops/audit")["items"]]
    assert actions == [("olga", "dead.discard")]


def test_a_letter_is_mended_and_retried_and_keeps_what_it_was(
    gateway: Gateway, store: redis.Redis, graves: Graves
) -> None:
    event = graves.die()
    path = one(gateway)
    answer = post(gateway, f"{path}/retry", {"data": {"name": "Grace"}})
    assert answer.json()["done"] == "edited"
    (again,) = waiting(store, "users")
    assert (again.id, again.data) == (event.id, {**event.data, "name": "Grace", "preferences": {}})
    graves._told.attempt(again, CREATE, PermanentError("never"))  # noqa: SLF001 it dies again
    assert get(gateway, one(gateway))["original"] == event.data
    assert [(each["by"], each["action"]) for each in get(gateway, "/v1/ops/audit")["items"]] == [("olga", "dead.edit")]


def test_new_data_that_breaks_the_contract_is_refused_with_its_places(gateway: Gateway, graves: Graves) -> None:
    graves.die()
    answer = post(gateway, f"{one(gateway)}/retry", {"data": {"email": "nobody", "role": "admin"}})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/data/email", "/data/role"]
    assert len(get(gateway, "/v1/ops/dead")["items"]) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"NaN", 400),
        (b'{"data": {"name": NaN}}', 400),
        (rb'{"data": {"name": "\ud800"}}', 400),
        (b"[" * 5_000, 400),
        (b"\xff", 400),
        (b"[]", 422),
        (b'{"data": []}', 422),
        (b'{"payload": {}}', 422),
        (b'{"data": {"name": "' + b"x" * 300_000 + b'"}}', 413),
    ],
)
@pytest.mark.parametrize("path", ["/v1/ops/dead/1/retry", "/v1/ops/dead/retry", "/v1/ops/dead/discard"])
def test_a_hostile_body_is_a_problem(gateway: Gateway, path: str, body: bytes, status: int) -> None:
    headers = {**OPERATOR, "Content-Type": "application/json"}
    answer = gateway.call("POST", path, headers=headers, content=body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")


def test_a_bulk_is_counted_before_anything_is_done(gateway: Gateway, graves: Graves) -> None:
    for _ in range(3):
        graves.die()
    for action in ("retry", "discard"):
        answer = post(gateway, f"/v1/ops/dead/{action}", {"actor": "users.create", "dry_run": True})
        assert (answer.status_code, answer.json()) == (200, {"count": 3})
    assert get(gateway, "/v1/ops/audit")["items"] == []


@pytest.mark.parametrize("action", ["retry", "discard"])
def test_a_bulk_is_stored_shown_where_it_says_and_handed_to_a_worker(
    gateway: Gateway, store: redis.Redis, graves: Graves, action: str
) -> None:
    graves.die()
    answer = post(gateway, f"/v1/ops/dead/{action}", {"queue": "users", "since": "1h", "rate": 20})
    operation = answer.json()
    assert (answer.status_code, operation["kind"], operation["total"]) == (202, action, 1)
    assert get(gateway, answer.headers["Location"]) == operation | {"state": "running", "done": 0, "note": ""}
    (event,) = waiting(store, "maintenance")
    assert (event.type, event.data) == ("operation.slice_due", {"operation_id": operation["id"]})
    (entry,) = get(gateway, "/v1/ops/audit")["items"]
    assert (entry["by"], entry["action"], entry["affected"]) == ("olga", f"dead.{action}_many", 1)


def test_a_bulk_is_stopped(gateway: Gateway, graves: Graves) -> None:
    graves.die()
    location = post(gateway, "/v1/ops/dead/discard", {"all": True}).headers["Location"]
    stopped = post(gateway, f"{location}/stop").json()
    assert (stopped["state"], stopped["note"]) == ("stopped", "stopped by olga")
    assert get(gateway, location) == stopped


def test_a_bulk_since_before_all_time_is_one_of_all_that_was_asked_for(gateway: Gateway, graves: Graves) -> None:
    graves.die()
    answer = post(gateway, "/v1/ops/dead/discard", {"since": "1237-08-15T05:06:46+09:54", "dry_run": True})
    assert answer.json() == {"count": 1}


@pytest.mark.parametrize("body", [None, {}, {"rate": 5}, {"dry_run": True}, {"queue": None}])
def test_a_bulk_of_all_wants_to_be_told_so(gateway: Gateway, graves: Graves, body: Any) -> None:
    graves.die()
    answer = post(gateway, "/v1/ops/dead/discard", body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/all")


def test_living_workers_are_listed_with_what_they_run(gateway: Gateway, store: redis.Redis) -> None:
    told = Told(store, ROUTES)
    with told.alive("users"):
        (worker,) = get(gateway, "/v1/ops/workers")
    assert (worker["queues"], worker["running"]) == (["users"], [])
    assert {"id", "host", "pid", "version", "seen_s_ago"} <= set(worker)
    assert get(gateway, "/v1/ops/workers") == []


def test_the_audit_log_is_read_page_by_page(gateway: Gateway) -> None:
    for queue in QUEUES[:3]:
        post(gateway, f"/v1/ops/queues/{queue}/pause")
    first = get(gateway, "/v1/ops/audit", limit=2)
    rest = get(gateway, "/v1/ops/audit", limit=2, cursor=first["next"])
    assert [each["target"] for each in first["items"] + rest["items"]] == list(reversed(QUEUES[:3]))
    assert rest["next"] is None

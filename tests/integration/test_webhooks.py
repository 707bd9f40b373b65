"""LemonSqueezy's webhooks at the door, and on their way to the plan of a user."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from actors.billing import lemonsqueezy
from actors.users import store as users
from api_gateway.routes import webhooks
from tests.builders import waiting
from tests.gateway import Gateway, bearer, settings
from tests.payments import PLANS, PRO, SECRET, TEAM, encoded, signed, webhook
from tests.processes import Process, Processes, procfile
from tests.servers import Valkey, eventually, free_port
from workers.database import Database
from workers.event import Event

PATH = "/webhooks/lemonsqueezy"
USER = "0b5a4c1e-8a52-4f0e-9d0a-6f7f3c6f1a11"
OLD = "an-older-secret"
BODY = encoded(webhook("subscription_created", USER))
LIMIT = 256 * 1024


@pytest.fixture
def shop(valkey: Valkey, database: Database) -> Iterator[Gateway]:
    """The application of somebody who sells, and has just changed the signing secret."""
    with Gateway(settings(valkey.url, LEMONSQUEEZY_WEBHOOK_SECRET=f"{SECRET},{OLD}"), database) as gateway:
        yield gateway


def send(gateway: Gateway, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    return gateway.call("POST", PATH, content=body, headers=signed(body) if headers is None else headers)


def queued(valkey: Valkey) -> list[Event]:
    with valkey.client() as client:
        return waiting(client, "billing")


@pytest.mark.parametrize("name", sorted(lemonsqueezy.EVENTS))
def test_every_documented_webhook_is_stored_and_then_acknowledged(shop: Gateway, valkey: Valkey, name: str) -> None:
    body = encoded(webhook(name, USER))
    answer = send(shop, body)
    assert (answer.status_code, answer.json()) == (200, {"status": "accepted", "duplicate": False})
    (event,) = queued(valkey)
    assert (event.id, event.source, event.type, event.caller) == (
        hashlib.sha256(body).hexdigest(),
        "/luna/webhooks/lemonsqueezy",
        "payment.received",
        "lemonsqueezy",
    )
    assert (event.data["event_name"], event.data["user_id"]) == (name, USER)
    assert ("subscription" in event.data) == (name in lemonsqueezy.STATES)


def test_the_same_body_is_one_event(shop: Gateway, valkey: Valkey) -> None:
    answers = [send(shop, BODY), send(shop, BODY, signed(BODY, OLD)), send(shop, BODY)]
    assert [(answer.status_code, answer.json()["duplicate"]) for answer in answers] == [
        (200, False),
        (200, True),
        (200, True),
    ]
    send(shop, BODY + b" ")
    assert len(queued(valkey)) == 2


def test_without_a_secret_there_is_no_such_path(gateway: Gateway, valkey: Valkey) -> None:
    answer = send(gateway, BODY)
    unknown = gateway.call("POST", "/webhooks/nothing", content=BODY)
    assert (answer.status_code, answer.content) == (404, unknown.content)
    assert queued(valkey) == []


RIGHT = signed(BODY)["X-Signature"]


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "0" * 64,
        RIGHT.upper(),
        RIGHT[:-1],
        RIGHT + "0",
        f" {RIGHT[:-1]}",
        f"sha256={RIGHT}",
        f"{RIGHT},{RIGHT}",
        RIGHT[:-1] + ("0" if RIGHT[-1] != "0" else "1"),
        "é" * 64,
        "\u0660" * 64,
        "x" * 60_000,
        signed(BODY, "another-secret")["X-Signature"],
        signed(BODY, f"{SECRET},{OLD}")["X-Signature"],
        signed(BODY, "")["X-Signature"],
        signed(BODY + b"\n")["X-Signature"],
        hashlib.sha256(SECRET.encode() + BODY).hexdigest(),
    ],
)
def test_only_the_right_signature_is_believed(shop: Gateway, valkey: Valkey, signature: str | None) -> None:
    headers = signed(BODY) | {"X-Correlation-ID": "1"}
    if signature is None:
        del headers["X-Signature"]
    else:
        headers["X-Signature"] = signature
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    answer = shop.call("POST", PATH, content=BODY, headers=raw)
    unauthorized = shop.call("GET", f"/v1/users/{USER}", headers={"X-Correlation-ID": "1"})
    assert (answer.status_code, answer.content) == (401, unauthorized.content)
    assert (answer.headers, queued(valkey)) == (unauthorized.headers, [])


def test_two_signatures_are_none(shop: Gateway) -> None:
    right = [("X-Signature", RIGHT), ("X-Signature", RIGHT)]
    assert shop.call("POST", PATH, content=BODY, headers=right).status_code == 401


@pytest.mark.parametrize("body", [b"{", b'{"meta": {}}', b"\xff", b"[" * 10_000, b"x" * (LIMIT + 1)])
def test_nothing_is_looked_at_before_the_signature(shop: Gateway, body: bytes) -> None:
    assert send(shop, body, {"X-Signature": "0" * 64}).status_code == (413 if len(body) > LIMIT else 401)
    assert send(shop, body, {}).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b"\xff\xfe",
        b'{"meta": NaN}',
        b"[" * 10_000,
        b"null",
        b"[]",
        b"{}",
        b'{"meta": {}}',
        b'{"meta": {"event_name": ["order_created"]}}',
    ],
)
def test_a_signed_body_that_is_no_webhook_is_told_so_and_not_stored(shop: Gateway, valkey: Valkey, body: bytes) -> None:
    answer = send(shop, body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert queued(valkey) == []


@pytest.mark.parametrize("name", ["affiliate_activated", "subscription_plan_changed", "", "ORDER_CREATED", "x" * 9000])
def test_an_unknown_name_is_acknowledged_and_counted(shop: Gateway, valkey: Valkey, name: str) -> None:
    before = webhooks.unknown["lemonsqueezy"]
    body = encoded({"meta": {"event_name": name}, "data": {"type": "affiliates", "id": "1", "attributes": {}}})
    with capture_logs() as lines:
        answer = send(shop, body)
    assert (answer.status_code, answer.json()["status"]) == (200, "ignored")
    assert webhooks.unknown["lemonsqueezy"] == before + 1
    assert [line["name"] for line in lines if line["event"] == "webhook.unknown"] == [name[:64]]
    assert queued(valkey) == []


def test_a_body_over_the_limit_is_read_no_further(shop: Gateway, valkey: Valkey) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 64 * 1024

    answer = send(shop, endless(), {"X-Signature": "0" * 64})
    assert (answer.status_code, queued(valkey)) == (413, [])
    assert sent <= 6


def test_until_it_is_stored_it_is_to_be_sent_again(shop: Gateway) -> None:
    shop.lose_the_store()
    answer = send(shop, BODY)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "redis.internal" not in answer.text


def test_the_trace_of_a_payment_is_the_operators(shop: Gateway) -> None:
    send(shop, BODY)
    url = f"/v1/events/{hashlib.sha256(BODY).hexdigest()}"
    assert shop.get(url, bearer("op", "ops:read")).json()["type"] == "payment.received"
    assert shop.get(url, bearer("shop", "events:read")).status_code == 404


class Shop:
    """A gateway and a worker of the Procfile beside servers of their own, with one user."""

    def __init__(self, processes: Processes, valkey: Valkey, database: Database) -> None:
        self._processes = processes
        self._variables = {
            "LUNA_PORT": free_port(),
            "REDIS_URL": valkey.url,
            "DATABASE_URL": database.url.render_as_string(hide_password=False),
            "LEMONSQUEEZY_WEBHOOK_SECRET": SECRET,
            "LEMONSQUEEZY_PLANS": ",".join(f"{variant}:{plan}" for variant, plan in PLANS.items()),
        }
        with database.write() as connection:
            now = datetime.now(UTC)
            users.create(connection, user_id=USER, email="a@example.com", name="Ada", preferences={}, now=now)
        commands = procfile()
        web, _ = (self._start(commands[name]) for name in ("web", "worker"))
        web.says("gateway.started")
        token = self._start(["luna", "token", "create", "--sub", "op", "--scope", "users:read ops:read"])
        assert token.ends() == 0
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self._variables['LUNA_PORT']}",
            headers={"Authorization": f"Bearer {token.output.strip()}"},
            timeout=30,
        )

    def _start(self, command: list[str]) -> Process:
        return self._processes.start(*command, **self._variables)

    def luna(self, *words: str) -> str:
        ran = self._start(["luna", *words])
        assert ran.ends() == 0, ran.output
        return ran.output

    def plan(self) -> tuple[str, str]:
        answer = self.http.get(f"/v1/users/{USER}")
        return answer.json()["plan"], answer.headers["X-Cache"]

    def receives(self, name: str, **attributes: Any) -> str:
        """Send a webhook and wait for the end of its event; the event's status."""
        body = encoded(webhook(name, attributes.pop("user_id", USER), **attributes))
        assert self.http.post(PATH, content=body, headers=signed(body)).status_code == 200
        url = f"/v1/events/{hashlib.sha256(body).hexdigest()}"

        def ended() -> str | None:
            status = str(self.http.get(url).json()["status"])
            return status if status in {"done", "dead"} else None

        return str(eventually(ended, what=f"the end of {name}"))


@pytest.fixture
def running(own_valkey: Valkey, database: Database, processes: Processes) -> Iterator[Shop]:
    shop = Shop(processes, own_valkey, database)
    yield shop
    shop.http.close()


def test_a_payment_changes_the_plan_that_everybody_sees(running: Shop) -> None:
    assert [running.plan(), running.plan()] == [("free", "miss"), ("free", "hit")]

    assert running.receives("order_created") == "done"
    assert running.receives("subscription_created", updated_at=moment(1)) == "done"
    eventually(lambda: running.plan() == ("pro", "hit"), what="the plan that was paid for")

    assert running.receives("subscription_updated", variant_id=TEAM, updated_at=moment(9)) == "done"
    assert running.receives("subscription_updated", variant_id=PRO, updated_at=moment(5)) == "done"
    assert running.receives("subscription_created", updated_at=moment(1)) == "done"
    assert running.receives("subscription_payment_failed", updated_at=moment(10)) == "done"
    assert running.plan()[0] == "team"

    assert running.receives("subscription_updated", variant_id=999, updated_at=moment(11)) == "dead"
    assert running.receives("subscription_created", id="2", user_id=None) == "dead"
    assert running.plan()[0] == "team"
    dead = json.loads(running.luna("dead", "list", "--json"))["letters"]
    reasons = {letter["attempts"][-1]["message"]: letter["id"] for letter in dead}
    assert any("add 999:PLAN to LEMONSQUEEZY_PLANS" in reason for reason in reasons)

    assert running.receives("subscription_expired", variant_id=TEAM, updated_at=moment(12)) == "done"
    eventually(lambda: running.plan() == ("free", "hit"), what="the end of the plan")
    (letter_id,) = (id_ for reason, id_ in reasons.items() if "whose subscription 2 is" in reason)
    running.luna("dead", "edit", letter_id, json.dumps({"user_id": USER}))
    eventually(lambda: running.plan() == ("pro", "hit"), what="the plan that an operator gave")


def moment(second: int) -> str:
    return f"2026-03-04T05:06:{second:02}.000000Z"

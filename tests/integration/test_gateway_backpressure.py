"""Past a queue's limit the gateway takes no more for it, says so, and goes on when it can."""

from __future__ import annotations

from tests.gateway import SIGNED_UP, Gateway, settings
from tests.servers import Valkey, eventually
from workers import keys
from workers.database import Database

MAIL = {"type": "email.requested", "data": {"to": "ada@example.com", "template": "welcome"}}


def test_a_queue_that_is_too_long_takes_no_more_and_others_do(valkey: Valkey, database: Database) -> None:
    with Gateway(settings(valkey.url, LUNA_QUEUE_MAX_LENGTH="2"), database) as gateway:
        assert gateway.post([SIGNED_UP, SIGNED_UP]).status_code == 202
        refused = gateway.post({**SIGNED_UP, "id": "late"})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json()["type"].endswith("#temporary-reduced-capacity")
        assert (refused.json()["id"], refused.json()["source"]) == ("late", "/callers/ada")
        assert gateway.post(MAIL).status_code == 202
        with valkey.client() as client:
            client.xtrim(keys.stream("users"), maxlen=0)
        assert gateway.post({**SIGNED_UP, "id": "late"}).json()["duplicate"] is False


def test_of_a_batch_what_fits_is_taken(valkey: Valkey, database: Database) -> None:
    with Gateway(settings(valkey.url, LUNA_QUEUE_MAX_LENGTH="2"), database) as gateway:
        answer = gateway.post([SIGNED_UP] * 3)
        assert (answer.status_code, answer.headers["Retry-After"]) == (207, "1")
        assert [each["status"] for each in answer.json()] == ["accepted", "accepted", "refused"]


def test_a_queue_whose_oldest_message_has_waited_too_long_takes_no_more(valkey: Valkey, database: Database) -> None:
    with valkey.client() as client, Gateway(settings(valkey.url, LUNA_QUEUE_MAX_WAIT="60"), database) as gateway:
        assert gateway.post(SIGNED_UP).status_code == 202
        client.delete(keys.stream("users"))
        client.xadd(keys.stream("users"), {"m": b"{}"}, id="1000-0")
        refused = eventually(lambda: (answer := gateway.post(SIGNED_UP)).status_code == 503 and answer)
        assert "waited too long" in refused.json()["detail"]
        assert gateway.post(MAIL).status_code == 202
        client.xtrim(keys.stream("users"), maxlen=0)
        eventually(lambda: gateway.post(SIGNED_UP).status_code == 202)

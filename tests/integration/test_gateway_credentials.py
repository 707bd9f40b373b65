"""Every hostile credential, sent to the gateway: one answer for all, whatever is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway import SECRET, Gateway, WebProcess, settings
from tests.hostile_credentials.forge import Row, World
from tests.hostile_credentials.table import FRIENDLY, HOSTILE
from tests.servers import Valkey
from workers.database import Database

PATH = "/v1/event-types"
LONGEST_HEADER = 60_000  # the server of the process refuses longer ones by itself, with no body of ours
SECRETS = (SECRET, "another-secret-of-the-tests-that-is-long-enough")


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return World(database, SECRETS, tmp_path / "jwks.json")


def configured(world: World, valkey: Valkey) -> dict[str, str]:
    return {
        "REDIS_URL": valkey.url,
        "JWT_SECRET": ",".join(world.secrets),
        "JWT_JWKS_FILE": str(world.jwks),
        "LUNA_RATE_LIMITS": "off",  # so many refusals would be refused for their number
    }


@pytest.fixture
def whole_gateway(world: World, database: Database, valkey: Valkey) -> Iterator[Gateway]:
    with Gateway(settings(valkey.url, **configured(world, valkey)), database) as gateway:
        yield gateway


@pytest.fixture
def whole_web(world: World, database: Database, valkey: Valkey, tmp_path: Path) -> Iterator[WebProcess]:
    url = database.url.render_as_string(hide_password=False)
    with WebProcess(tmp_path, **configured(world, valkey), DATABASE_URL=url, LUNA_ENV="production") as web:
        yield web


def credential(row: Row, world: World) -> bytes:
    """As it travels; space around it is no part of a header's value (RFC 9110, 5.5)."""
    return row.build(world).encode(errors="surrogatepass")


def trimmed(row: Row, world: World) -> bool:
    text = row.build(world)
    return text != text.strip()


def told(answer: httpx.Response) -> tuple[int, bytes, tuple[tuple[str, str], ...]]:
    """All that an answer says, but for the id of the request."""
    own = {"x-correlation-id", "date"}
    return answer.status_code, answer.content, tuple(item for item in answer.headers.items() if item[0] not in own)


def refusals(answers: dict[str, httpx.Response]) -> dict[str, tuple[int, bytes]]:
    """The answers that are not the one to everybody who shows nothing."""
    nothing = told(answers[""])
    assert nothing[0] == 401
    return {name: (answer.status_code, answer.content) for name, answer in answers.items() if told(answer) != nothing}


def test_every_hostile_credential_gets_the_answer_of_showing_none(whole_gateway: Gateway, world: World) -> None:
    answers = {"": whole_gateway.call("GET", PATH)}
    for row in HOSTILE:
        if not trimmed(row, world):
            shown = credential(row, world)
            for name, value in ((b"Authorization", b"Bearer " + shown), (b"X-API-Key", shown)):
                answers[f"{row.name}, {name.decode()}"] = whole_gateway.call("GET", PATH, headers=[(name, value)])
    assert len(answers) > 1_000
    assert refusals(answers) == {}


def test_over_the_network_as_well(whole_web: WebProcess, world: World) -> None:
    answers = {"": whole_web.http.get(PATH)}
    for row in HOSTILE:
        shown = credential(row, world)
        travels = re.fullmatch(rb"[\x20-\x7e\x80-\xff]+", shown) and len(shown) < LONGEST_HEADER
        if travels and not trimmed(row, world):
            header = b"X-API-Key" if row.name.startswith("key: ") else b"Authorization"
            value = shown if row.name.startswith("key: ") else b"Bearer " + shown
            answers[row.name] = whole_web.http.get(PATH, headers=[(header, value)])
    assert len(answers) > 500
    assert refusals(answers) == {}
    logged = [line for line in whole_web.lines() if line["event"] == "credential.refused"]
    assert len(logged) >= len(answers) - 5, "some are so empty that they are none"
    assert not any(world.good[18:] in str(line) or "eyJ" in str(line) for line in logged)


def test_every_good_credential_is_let_in(whole_gateway: Gateway, world: World) -> None:
    for row in FRIENDLY:
        headers = [(b"Authorization", b"Bearer " + credential(row, world))]
        assert whole_gateway.call("GET", PATH, headers=headers).status_code in {200, 403}, row.name
    answers = [whole_gateway.call("GET", PATH, headers={"X-API-Key": world.good}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [403, 403]


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Bear", "Bearer,", "luna"])
def test_another_scheme_is_no_credential(whole_gateway: Gateway, world: World, scheme: str) -> None:
    answer = whole_gateway.call("GET", PATH, headers={"Authorization": f"{scheme} {world.good}"})
    assert told(answer) == told(whole_gateway.call("GET", PATH))

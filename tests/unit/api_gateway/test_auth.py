from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from api_gateway import auth
from api_gateway.problems import Problem
from api_gateway.visit import Visit
from tests.gateway import Standing, state
from workers.security.callers import Caller
from workers.security.limits import Decision

ADA = Caller("ada", frozenset({"events:write"}))
KNOWN = {"good": ADA, "luna_good": ADA}
LIMITS = "ip=10/1m, user=5/1m, failed=2/1m, endpoint:POST /v1/events=4/1m"


def visit(*headers: tuple[str, str], client: Any = ("192.0.2.7", 1)) -> Visit:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return Visit({"type": "http", "method": "GET", "path": "/", "headers": raw, "client": client})


def identified(*headers: tuple[str, str], limits: str = "off", standing: Standing | None = None) -> Visit:
    found = visit(*headers)
    asyncio.run(auth.identify(found, state(limits, standing or Standing(KNOWN))))
    return found


REFUSED: dict[str, list[tuple[str, str]]] = {
    "empty": [("Authorization", "")],
    "another scheme": [("Authorization", "Basic YWRhOnBhc3N3b3Jk")],
    "no token": [("Authorization", "Bearer ")],
    "one that does not hold": [("Authorization", "Bearer nonsense")],
    "not ASCII": [("Authorization", "Bearer é.é.é")],
    "a key that does not hold": [("X-API-Key", "luna_bad")],
    "an empty key": [("X-API-Key", "")],
    "two at once": [("Authorization", "Bearer good"), ("X-API-Key", "luna_good")],
    "the same field twice": [("Authorization", "Bearer good"), ("Authorization", "Bearer good")],
    "two keys": [("X-API-Key", "luna_good"), ("X-API-Key", "luna_good")],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_does_not_hold_is_refused_the_same_way_for_every_reason(reason: str) -> None:
    with pytest.raises(Problem) as problem:
        identified(*REFUSED[reason])
    assert problem.value.document() == {
        "status": 401,
        "title": "Unauthorized",
        "detail": "A valid bearer token or API key is needed.",
    }
    assert problem.value.headers == {"WWW-Authenticate": 'Bearer realm="luna"'}


def test_the_reason_is_for_our_log_alone() -> None:
    with capture_logs() as lines, pytest.raises(Problem):
        identified(("Authorization", "Bearer nonsense"))
    assert [line["event"] for line in lines] == ["credential.refused"]
    assert "nonsense" not in str(lines)


@pytest.mark.parametrize(
    "header", [("Authorization", "Bearer good"), ("authorization", "BEARER  good "), ("X-API-Key", "luna_good")]
)
def test_what_holds_is_a_caller(header: tuple[str, str]) -> None:
    assert identified(header).caller == ADA


def test_who_shows_nothing_is_nobody() -> None:
    assert identified().caller is None


def test_a_refused_credential_counts_against_its_address_and_a_good_one_does_not() -> None:
    standing = Standing(KNOWN)
    identified(("Authorization", "Bearer good"), limits=LIMITS, standing=standing)
    assert standing.taken == []
    with pytest.raises(Problem):
        identified(("Authorization", "Bearer bad"), limits=LIMITS, standing=standing)
    assert standing.taken == [(("failed",), 1)]


def test_beyond_the_limit_of_failures_only_remembered_credentials_are_let_in() -> None:
    standing = Standing(KNOWN, refused=Decision(violated=("failed",)))
    assert identified(("Authorization", "Bearer good"), limits=LIMITS, standing=standing).caller == ADA
    with pytest.raises(Problem) as problem:
        identified(("Authorization", "Bearer bad"), limits=LIMITS, standing=standing)
    assert (problem.value.status, problem.value.members) == (429, {"violated-policies": ["failed"]})
    assert standing.taken == []


def test_a_request_counts_against_every_layer_that_applies() -> None:
    standing, caller = Standing(KNOWN), visit(("Authorization", "Bearer good"))

    async def charged() -> None:
        everything = state(LIMITS, standing)
        await auth.identify(caller, everything)
        await auth.charge(caller, everything, "POST /v1/events", 3)
        await auth.charge(caller, everything, "", 1)

    asyncio.run(charged())
    assert standing.taken == [(("ip", "user", "POST /v1/events"), 3), (("ip", "user"), 1)]


def test_who_is_over_a_limit_is_told_which() -> None:
    refused = state(LIMITS, Standing(refused=Decision(violated=("ip",))))
    with pytest.raises(Problem) as problem:
        asyncio.run(auth.charge(visit(), refused, "", 1))
    assert problem.value.document()["violated-policies"] == ["ip"]
    with pytest.raises(Problem):
        auth.refuse_known(visit(), refused, "")


def test_what_can_never_pass_is_not_told_to_wait() -> None:
    refused = state(LIMITS, Standing(refused=Decision(violated=("ip",), impossible=True)))
    with pytest.raises(Problem, match="fewer events") as problem:
        asyncio.run(auth.charge(visit(), refused, "", 100))
    assert problem.value.status == 413


@pytest.mark.parametrize(("scopes", "may"), [({"a"}, False), ({"a", "b"}, True), ({"admin"}, True), (set(), False)])
def test_a_scope_is_needed_or_the_administrators(scopes: set[str], may: bool) -> None:
    known = visit()
    known.caller = Caller("ada", frozenset(scopes))
    if may:
        assert auth.required(known, "b") is known.caller
    else:
        with pytest.raises(Problem, match="scope b") as problem:
            auth.required(known, "b")
        assert problem.value.status == 403


def test_who_is_unknown_is_unauthorized_before_scopes_matter() -> None:
    with pytest.raises(Problem) as problem:
        auth.required(visit(), "events:write")
    assert problem.value.status == 401


def test_a_peer_on_a_unix_socket_has_an_address_to_count_for() -> None:
    nobody = visit(client=None)
    asyncio.run(auth.identify(nobody, state(LIMITS)))
    assert nobody.address == "local"

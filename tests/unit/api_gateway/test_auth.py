from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from fastapi import Request
from structlog.testing import capture_logs

from api_gateway import auth
from api_gateway.problems import Problem
from tests.gateway import SECRET, bearer
from workers.database import Database
from workers.security.callers import Caller
from workers.security.credentials import Credentials
from workers.security.tokens import Tokens

KEYS = Tokens((SECRET,), issuer="luna", audience="luna")


@pytest.fixture
def authenticate(database: Database) -> Callable[[str | None], Caller]:
    return lambda authorization: asyncio.run(auth.authenticate(request(database, authorization)))


@pytest.fixture
def holds(database: Database) -> Callable[[str, str | None], Caller]:
    return lambda scope, authorization: asyncio.run(auth.needs(scope)(request(database, authorization)))


def request(database: Database, authorization: str | None) -> Request:
    headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
    app = SimpleNamespace(state=SimpleNamespace(credentials=Credentials(KEYS, database)))
    return Request({"type": "http", "headers": headers, "app": app})


def signed(secret: str = SECRET, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token like ours, but for these claims; None leaves one out."""
    whole = {"sub": "ada", "iss": "luna", "aud": "luna", "exp": time.time() + 600, "scope": "events:write", **claims}
    named = {name: value for name, value in whole.items() if value is not None}
    return "Bearer " + jwt.encode(named, secret, algorithm="HS256", headers=headers)


def unsigned(algorithm: str) -> str:
    """A token that says that it needs no signature."""
    claims = {"sub": "ada", "iss": "luna", "aud": "luna", "exp": time.time() + 600, "scope": "admin"}
    parts = (json.dumps(part).encode() for part in ({"alg": algorithm, "typ": "JWT"}, claims))
    return "Bearer " + ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


def tampered() -> str:
    head, _, signature = signed().split(".")
    _, body, _ = signed(scope="admin").split(".")
    return f"{head}.{body}.{signature}"


REFUSED = {
    "missing": None,
    "empty": "",
    "another scheme": "Basic YWRhOnBhc3N3b3Jk",
    "no token": "Bearer ",
    "not a token": "Bearer nonsense",
    "not ASCII": "Bearer é.é.é",
    "not a token of three parts": signed().rpartition(".")[0],
    "too long": "Bearer " + "a" * 10_000,
    "wrong signature": signed(secret="another secret that is also long enough"),
    "tampered": tampered(),
    "alg none": unsigned("none"),
    "alg nOnE": unsigned("nOnE"),
    "expired": signed(exp=time.time() - 60),
    "without exp": signed(exp=None),
    "exp is a string": signed(exp=str(int(time.time()) + 600)),
    "exp is a boolean": signed(exp=True),
    "exp is infinite": signed(exp=float("inf")),
    "not yet valid": signed(nbf=time.time() + 600),
    "wrong issuer": signed(iss="luna.example"),
    "without issuer": signed(iss=None),
    "wrong audience": signed(aud="moon"),
    "audience of another case": signed(aud="Luna"),
    "without audience": signed(aud=None),
    "without subject": signed(sub=None),
    "empty subject": signed(sub=""),
    "subject with a control character": signed(sub="a\nb"),
    "subject of half a character": signed(sub="a\ud800"),
    "scope is a list": signed(scope=["admin"]),
    "unknown critical header": signed(headers={"crit": ["cnf"], "cnf": 1}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_credential_that_does_not_hold_is_refused_the_same_way_for_every_reason(
    authenticate: Callable[[str | None], Caller], reason: str
) -> None:
    with pytest.raises(Problem) as problem:
        authenticate(REFUSED[reason])
    assert problem.value.status == 401
    assert (problem.value.detail, problem.value.errors) == ("A valid bearer token is needed.", ())
    assert problem.value.headers == {"WWW-Authenticate": 'Bearer realm="luna"'}


def test_the_reason_of_a_refusal_is_logged_without_the_token(authenticate: Callable[[str | None], Caller]) -> None:
    with capture_logs() as lines, pytest.raises(Problem):
        authenticate(REFUSED["expired"])
    assert [(line["event"], line["reason"]) for line in lines] == [("credential.refused", "the token has expired")]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_token_that_holds_is_a_caller(authenticate: Callable[[str | None], Caller], scheme: str) -> None:
    token = signed(scope="events:write events:read").removeprefix("Bearer ")
    expected = Caller("ada", frozenset({"events:write", "events:read"}))
    assert authenticate(f"{scheme} {token}") == expected


def test_a_token_for_several_audiences_holds_when_ours_is_among_them(
    authenticate: Callable[[str | None], Caller],
) -> None:
    assert authenticate(signed(aud=["moon", "luna"])).subject == "ada"


@pytest.mark.parametrize("scopes", [(), ("events:read",), ("ops:write", "users:write"), ("events:writer",)])
def test_a_caller_without_the_scope_is_forbidden(
    holds: Callable[[str, str | None], Caller], scopes: tuple[str, ...]
) -> None:
    with pytest.raises(Problem, match="events:write") as problem:
        holds("events:write", bearer("ada", *scopes)["Authorization"])
    assert problem.value.status == 403


@pytest.mark.parametrize("scope", ["events:write", "admin"])
def test_a_caller_with_the_scope_or_an_administrator_may(
    holds: Callable[[str, str | None], Caller], scope: str
) -> None:
    assert holds("events:write", bearer("ada", scope)["Authorization"]).subject == "ada"


def test_who_is_unknown_is_unauthorized_before_scopes_matter(holds: Callable[[str, str | None], Caller]) -> None:
    with pytest.raises(Problem) as problem:
        holds("events:write", None)
    assert problem.value.status == 401

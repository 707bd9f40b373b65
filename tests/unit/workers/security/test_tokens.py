from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest

from workers.security.callers import SCOPES, Caller, InvalidCredentialError
from workers.security.compact import MAX_TOKEN_CHARS
from workers.security.tokens import LEEWAY_S, Tokens

OLD, NEW, FOREIGN = "o" * 32, "n" * 32, "f" * 32
NOW = int(time.time())
GOOD: dict[str, Any] = {"sub": "shop", "iss": "luna", "aud": "luna", "exp": NOW + 600, "scope": "events:write"}


@pytest.fixture
def tokens() -> Tokens:
    return Tokens((NEW, OLD), issuer="luna", audience="luna")


def signed(*without: str, key: str = NEW, algorithm: str = "HS256", **claims: Any) -> str:
    """A token with the usual claims, but for these; PyJWT signs whatever it is given."""
    payload = {name: value for name, value in {**GOOD, **claims}.items() if name not in without}
    return jwt.api_jws.encode(json.dumps(payload).encode(), key, algorithm=algorithm)


def forged(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = json.dumps(header).encode(), json.dumps(claims).encode(), signature
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_an_issued_token_stands_for_its_caller(tokens: Tokens) -> None:
    token = tokens.issue("shop", frozenset({"events:write", "events:read"}), 60)
    assert tokens.verify(token).caller == Caller("shop", frozenset({"events:read", "events:write"}))


def test_no_two_tokens_are_the_same(tokens: Tokens) -> None:
    assert tokens.issue("shop", frozenset(), 60) != tokens.issue("shop", frozenset(), 60)


def test_the_first_key_signs(tokens: Tokens) -> None:
    token = tokens.issue("shop", frozenset(), 60)
    assert jwt.decode(token, NEW, algorithms=["HS256"], audience="luna")["sub"] == "shop"


def test_every_key_verifies_until_it_is_taken_away(tokens: Tokens) -> None:
    assert tokens.verify(signed(key=OLD)).caller.subject == "shop"
    with pytest.raises(InvalidCredentialError):
        Tokens((NEW,), issuer="luna", audience="luna").verify(signed(key=OLD))


def test_an_old_keys_token_is_held_to_the_same_rules(tokens: Tokens) -> None:
    with pytest.raises(InvalidCredentialError, match="expired"):
        tokens.verify(signed(key=OLD, exp=NOW - 600))


@pytest.mark.parametrize("name", ["sub", "iss", "aud", "exp"])
def test_a_token_without_a_needed_claim_is_refused(tokens: Tokens, name: str) -> None:
    with pytest.raises(InvalidCredentialError, match=name):
        tokens.verify(signed(name))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "moon"},
        {"iss": "luna "},
        {"iss": ["luna"]},
        {"aud": "moon"},
        {"aud": ["moon", "sun"]},
        {"aud": {"luna": 1}},
        {"sub": ""},
        {"sub": 7},
        {"sub": None},
        {"sub": ["shop"]},
        {"scope": ["admin"]},
        {"scope": None},
        {"exp": NOW - LEEWAY_S - 1},
        {"nbf": NOW + 600},
        {"iat": NOW + 600},
    ],
)
def test_a_claim_that_does_not_hold_is_refused(tokens: Tokens, claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidCredentialError):
        tokens.verify(signed(**claims))


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "value", [True, "4102444800", "soon", float("nan"), float("inf"), float("-inf"), None, [], {}, 10**400]
)
def test_a_time_that_is_not_a_finite_number_is_refused(tokens: Tokens, name: str, value: object) -> None:
    with pytest.raises(InvalidCredentialError):
        tokens.verify(signed(**{name: value}))


def test_a_time_may_have_a_fraction_and_a_clock_may_be_a_little_off(tokens: Tokens) -> None:
    assert tokens.verify(signed(exp=time.time() + 60.5)).caller.subject == "shop"
    assert tokens.verify(signed(exp=int(time.time()) - LEEWAY_S + 5)).caller.subject == "shop"


def test_one_audience_among_several_is_ours(tokens: Tokens) -> None:
    assert tokens.verify(signed(aud=["moon", "luna"])).caller.subject == "shop"


@pytest.mark.parametrize("name", ["none", "None", "NONE", "", "HS512", "RS256", "hs256"])
def test_another_algorithm_is_refused_whatever_the_signature(tokens: Tokens, name: str) -> None:
    with pytest.raises(InvalidCredentialError):
        tokens.verify(forged({"alg": name, "typ": "JWT"}, GOOD))


def test_our_own_key_under_another_algorithm_is_refused(tokens: Tokens) -> None:
    with pytest.raises(InvalidCredentialError, match="alg"):
        tokens.verify(signed(key="k" * 64, algorithm="HS512"))
    with pytest.raises(InvalidCredentialError, match="alg"):
        Tokens(("k" * 64,), issuer="luna", audience="luna").verify(signed(key="k" * 64, algorithm="HS512"))


def test_a_foreign_or_changed_signature_is_refused(tokens: Tokens) -> None:
    head, _, signature = signed().rpartition(".")
    changed = ("A" if signature[0] != "A" else "B") + signature[1:]
    for token in (signed(key=FOREIGN), f"{head}.{changed}", f"{head}.AA", f"{head}."):
        with pytest.raises(InvalidCredentialError, match=r"signature|three parts"):
            tokens.verify(token)


def test_changed_claims_are_refused(tokens: Tokens) -> None:
    header, _, signature = signed().split(".")
    claims = forged({}, {**GOOD, "scope": "admin"}).split(".")[1]
    with pytest.raises(InvalidCredentialError, match="signature"):
        tokens.verify(f"{header}.{claims}.{signature}")


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "a.b", "no token", "ü.ü.ü", "\ud800", "\x00", "e30.e30.e30", f"{'[' * 5000}.a.b"]
)
def test_what_is_no_token_is_refused(tokens: Tokens, token: str) -> None:
    with pytest.raises(InvalidCredentialError):
        tokens.verify(token)


@pytest.mark.parametrize("claims", [b"[]", b"7", b'"x"', b"null", b"{", b"\xff", b"[" * 5000])
def test_signed_claims_that_are_no_object_are_refused(tokens: Tokens, claims: bytes) -> None:
    with pytest.raises(InvalidCredentialError):
        tokens.verify(jwt.api_jws.encode(claims, NEW, algorithm="HS256"))


def test_a_header_nested_without_end_is_refused(tokens: Tokens) -> None:
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","x":' + b"[" * 5000).decode().rstrip("=")
    with pytest.raises(InvalidCredentialError):
        tokens.verify(f"{header}.e30.e30")


def test_a_token_that_is_too_long_is_refused_before_it_is_decoded(tokens: Tokens) -> None:
    token = signed(padding="x" * MAX_TOKEN_CHARS)
    with pytest.raises(InvalidCredentialError, match="too long"):
        tokens.verify(token)


@pytest.mark.parametrize(
    ("scope", "known"),
    [
        ("events:write  openid ops:read", {"events:write", "ops:read"}),
        ("Admin admin:all", set()),
        ("openid\u00a0admin", set()),  # RFC 6749, 3.3: only a space is between two
        ("openid\tadmin", set()),
        ("", set()),
    ],
)
def test_scopes_that_are_not_ours_are_left_out(tokens: Tokens, scope: str, known: set[str]) -> None:
    assert tokens.verify(signed(scope=scope)).caller.scopes == known


def test_a_token_without_a_jti_has_the_digest_of_what_is_signed_for_its_id(tokens: Tokens) -> None:
    one, other = signed(), signed(x=1)
    assert tokens.verify(one).id.startswith("sha256:")
    assert tokens.verify(one).id == tokens.verify(one).id != tokens.verify(other).id
    assert tokens.verify(signed(jti="7b0c")).id == "7b0c"


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_a_caller_may_what_its_scopes_say_and_admin_everything(scope: str) -> None:
    assert Caller("shop", frozenset({scope})).may(scope)
    assert not Caller("shop", frozenset()).may(scope)
    assert Caller("root", frozenset({"admin"})).may(scope)
    assert not Caller("shop", frozenset({f"{scope}s"})).may(scope)

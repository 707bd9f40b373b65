from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from workers.database import Database
from workers.errors import NotFoundError, RefusedError
from workers.operations import audit
from workers.operations.access import Access, NewKey
from workers.rates import Rate
from workers.security import revocations
from workers.security.api_keys import ApiKey, digest_of
from workers.security.tokens import MAX_ID_CHARS, Tokens

SCOPES = frozenset({"events:write"})
TOKENS = Tokens(["s" * 32], issuer="luna", audience="luna")


@pytest.fixture
def access(any_database: Database) -> Access:
    return Access(any_database)


@pytest.fixture
def made(access: Access) -> NewKey:
    return access.create_key("shop", SCOPES, Rate(7, 60), 3600, "cli:ada")


def log(database: Database) -> list[tuple[str, str, str, dict[str, Any]]]:
    """What stands in the audit log, oldest first."""
    with database.read() as connection:
        entries = audit.read(connection, 100)
    return [(entry.by, entry.action, entry.target, entry.detail) for entry in reversed(entries)]


def only(access: Access) -> ApiKey:
    (key,) = access.keys()
    return key


def test_a_new_key_is_stored_as_its_hash_only(access: Access, made: NewKey, any_database: Database) -> None:
    key = only(access)
    assert (key.id, key.subject, key.scopes, key.rate) == (made.id, "shop", SCOPES, Rate(7, 60))
    assert key.expires_at == made.expires_at
    assert (key.last_used_at, key.rotated_at, key.revoked_at) == (None, None, None)
    assert key.state(datetime.now(UTC)) == "active"
    assert key.digest == digest_of(made.key)
    with any_database.read() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM api_keys").all()
    assert made.key.rpartition("_")[2] not in str(rows)


def test_no_two_keys_are_alike(access: Access) -> None:
    keys = [access.create_key("shop", SCOPES, None, 3600, "me") for _ in range(3)]
    assert len({key.id for key in keys}) == len({key.key.rpartition("_")[2] for key in keys}) == 3


def test_every_change_is_in_the_audit_log_and_no_secret_is(
    access: Access, made: NewKey, any_database: Database
) -> None:
    rotated = access.rotate_key(made.id, 60, "cli:bob")
    access.revoke_key(made.id, "cli:eve")
    entries = log(any_database)
    assert [(by, action, target) for by, action, target, _ in entries] == [
        ("cli:ada", "key.create", made.id),
        ("cli:bob", "key.rotate", made.id),
        ("cli:eve", "key.revoke", made.id),
    ]
    assert entries[0][3]["subject"] == "shop"
    assert (entries[0][3]["rate"], entries[1][3]["overlap_s"]) == ("7/1m", 60)
    for shown in (made.key, rotated.key):
        assert shown.rpartition("_")[2] not in str(entries)
        assert digest_of(shown) not in str(entries)


@pytest.mark.parametrize("subject", ["", "a\nb", "x" * 256])
def test_a_key_without_a_fit_owner_is_refused(access: Access, subject: str) -> None:
    with pytest.raises(RefusedError, match="owner"):
        access.create_key(subject, SCOPES, None, 3600, "me")


def test_a_key_with_an_unknown_scope_is_refused(access: Access) -> None:
    with pytest.raises(RefusedError, match=r"unknown scopes: root\. These are: "):
        access.create_key("shop", frozenset({"root"}), None, 3600, "me")


def test_a_rotated_key_keeps_all_but_its_secret(access: Access, made: NewKey) -> None:
    before = only(access)
    rotated = access.rotate_key(made.id, 60, "me")
    after = only(access)
    assert (rotated.id, rotated.expires_at) == (made.id, made.expires_at)
    assert rotated.key != made.key
    assert (after.subject, after.scopes, after.rate, after.expires_at) == (
        before.subject,
        before.scopes,
        before.rate,
        before.expires_at,
    )
    assert (after.digest, after.old_digest) == (digest_of(rotated.key), digest_of(made.key))
    assert after.rotated_at
    assert after.old_until == after.rotated_at + timedelta(seconds=60)


def test_a_key_that_has_ended_is_not_rotated(access: Access, made: NewKey) -> None:
    over = access.create_key("shop", SCOPES, None, -1, "me")
    access.revoke_key(made.id, "me")
    for key_id, state in ((made.id, "revoked"), (over.id, "expired")):
        with pytest.raises(RefusedError, match=f"is {state}; `luna keys create` makes a new one"):
            access.rotate_key(key_id, 0, "me")


def test_revoking_twice_is_revoking_once(access: Access, made: NewKey, any_database: Database) -> None:
    access.revoke_key(made.id, "me")
    first = only(access).revoked_at
    access.revoke_key(made.id, "me")
    assert only(access).revoked_at == first
    assert [action for _, action, _, _ in log(any_database)].count("key.revoke") == 1


def test_a_key_that_is_not_there_is_said_so(access: Access) -> None:
    for act in (lambda: access.revoke_key("nothing", "me"), lambda: access.rotate_key("nothing", 0, "me")):
        with pytest.raises(NotFoundError, match="no API key 'nothing'; `luna keys list`"):
            act()


def revoked(database: Database) -> frozenset[str]:
    with database.read() as connection:
        return revocations.read(connection, datetime.now(UTC)).tokens


def test_a_token_is_revoked_by_its_jti_until_it_expires(access: Access, any_database: Database) -> None:
    token = TOKENS.issue("shop", SCOPES, 600)
    jti = access.revoke_token(token, TOKENS, "cli:ada")
    assert jti == TOKENS.verify(token).id
    assert revoked(any_database) == {jti}
    ((by, action, target, detail),) = log(any_database)
    assert (by, action, target, detail["subject"]) == ("cli:ada", "token.revoke", jti, "shop")
    assert datetime.fromisoformat(detail["expires_at"]).timestamp() == pytest.approx(time.time() + 600, abs=10)


def test_a_token_that_the_gateway_does_not_take_is_refused(access: Access, any_database: Database) -> None:
    for token in ("eyJ.a.b", TOKENS.issue("shop", SCOPES, -600)):
        with pytest.raises(RefusedError, match="does not take this token anyway: ") as refusal:
            access.revoke_token(token, TOKENS, "me")
        assert token not in str(refusal.value)
    assert revoked(any_database) == frozenset()


def test_a_jti_alone_is_revoked_for_the_given_time(access: Access, any_database: Database) -> None:
    access.revoke_token_id("7b0c", 600, "me")
    assert revoked(any_database) == {"7b0c"}
    later = datetime.now(UTC) + timedelta(seconds=600) + revocations.KEPT_PAST_EXPIRY + timedelta(seconds=60)
    with any_database.read() as connection:
        assert revocations.read(connection, later).tokens == frozenset()


@pytest.mark.parametrize("jti", ["", "a\nb", "x" * (MAX_ID_CHARS + 1)])
def test_what_no_jti_can_be_is_refused(access: Access, jti: str) -> None:
    with pytest.raises(RefusedError, match="a jti is"):
        access.revoke_token_id(jti, 600, "me")

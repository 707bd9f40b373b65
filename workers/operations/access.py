"""The operator API of credentials: who may call the gateway. What it changes, it writes to the audit log, together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection

from workers.database import Database
from workers.errors import NotFoundError, RefusedError
from workers.operations import audit
from workers.rates import Rate
from workers.security import api_keys, revocations
from workers.security.api_keys import ApiKey
from workers.security.callers import SCOPES, InvalidCredentialError, is_subject
from workers.security.tokens import MAX_ID_CHARS, Tokens


class NewKey(NamedTuple):
    """A key's id, and the key itself: this is the only time that it can be read."""

    id: str
    key: str
    expires_at: datetime


class Access:
    """What an operator can see and do about credentials. `by` is who does it.

    Every gateway acts on a change within two seconds. Every method raises UnavailableError when the database is away.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_key(self, subject: str, scopes: frozenset[str], rate: Rate | None, ttl_s: int, by: str) -> NewKey:
        """A new API key of that owner. Raises RefusedError."""
        _refuse_unfit(subject, scopes)
        now = _now()
        expires_at = now + timedelta(seconds=ttl_s)
        with self._database.write() as connection:
            key_id, key = api_keys.create(connection, subject, scopes, rate, expires_at, now)
            detail = {"subject": subject, "scopes": sorted(scopes), "expires_at": expires_at.isoformat()}
            _audit(connection, by, "key.create", key_id, detail | ({"rate": str(rate)} if rate else {}), now)
        return NewKey(key_id, key, expires_at)

    def keys(self) -> list[ApiKey]:
        """All API keys, newest first, those that ended lately included."""
        with self._database.read() as connection:
            return api_keys.every(connection)

    def rotate_key(self, key_id: str, overlap_s: int, by: str) -> NewKey:
        """A new secret for a key; the one before works for `overlap_s` more, and an older one no longer.

        Raises NotFoundError, and RefusedError for a key that has ended.
        """
        now = _now()
        with self._database.write() as connection:
            key = _found(connection, key_id)
            if key.state(now) != "active":
                raise RefusedError(f"the key {key_id} is {key.state(now)}; `luna keys create` makes a new one")
            new = api_keys.rotate(connection, key_id, now + timedelta(seconds=overlap_s), now)
            _audit(connection, by, "key.rotate", key_id, {"overlap_s": overlap_s}, now)
        return NewKey(key_id, new, key.expires_at)

    def revoke_key(self, key_id: str, by: str) -> None:
        """End a key, with all its secrets. Raises NotFoundError."""
        now = _now()
        with self._database.write() as connection:
            if _found(connection, key_id).revoked_at is None:
                api_keys.revoke(connection, key_id, now)
                _audit(connection, by, "key.revoke", key_id, {}, now)

    def revoke_token(self, token: str, tokens: Tokens, by: str) -> str:
        """End a token that the gateway takes; the id it is revoked by. Raises RefusedError for any other."""
        try:
            known = tokens.verify(token)
        except InvalidCredentialError as error:
            raise RefusedError(f"the gateway does not take this token anyway: {error}") from None
        self._revoke(known.id, datetime.fromtimestamp(known.expires_at, UTC), by, {"subject": known.caller.subject})
        return known.id

    def revoke_token_id(self, jti: str, ttl_s: int, by: str) -> None:
        """End the token of this `jti`, which expires within `ttl_s` seconds. Raises RefusedError."""
        if not 0 < len(jti) <= MAX_ID_CHARS or not jti.isprintable():
            raise RefusedError(f"a jti is printable text of at most {MAX_ID_CHARS} characters")
        self._revoke(jti, _now() + timedelta(seconds=ttl_s), by, {})

    def _revoke(self, token_id: str, expires_at: datetime, by: str, detail: Mapping[str, Any]) -> None:
        now = _now()
        with self._database.write() as connection:
            revocations.revoke(connection, token_id, expires_at, now)
            until = {"expires_at": expires_at.isoformat()}
            _audit(connection, by, "token.revoke", token_id, {**detail, **until}, now)


def _refuse_unfit(subject: str, scopes: frozenset[str]) -> None:
    if not is_subject(subject):
        raise RefusedError("the owner of a key is printable text of at most 255 characters")
    if unknown := scopes - SCOPES:
        raise RefusedError(f"unknown scopes: {', '.join(sorted(unknown))}. These are: {', '.join(sorted(SCOPES))}")


def _found(connection: Connection, key_id: str) -> ApiKey:
    key = api_keys.find(connection, [key_id]).get(key_id)
    if key is None:
        raise NotFoundError(f"there is no API key {key_id!r}; `luna keys list` shows those there are")
    return key


def _audit(connection: Connection, by: str, action: str, target: str, detail: Mapping[str, Any], now: datetime) -> None:
    audit.write(connection, by, action, target, 1, dict(detail), now)


def _now() -> datetime:
    return datetime.now(UTC)

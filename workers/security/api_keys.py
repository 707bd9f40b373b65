"""API keys, `luna_<id>_<secret>`: made, read, rotated, revoked, and their table.

Stored is the SHA-256 of the whole key. A fast hash is the right one here: the secret is 256 random bits, so there is
nothing to guess however fast guesses are, and a slow one (bcrypt, Argon2) would only let callers burn our time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Column, Connection, Index, String, Table, bindparam, delete, insert, or_, select, update

from workers.database import Moment, metadata
from workers.rates import Rate
from workers.security.callers import MAX_SUBJECT_CHARS, Caller, InvalidCredentialError

PREFIX = "luna_"
KEPT_FOR = timedelta(days=90)
"""How long a key is still listed after it has expired or was revoked."""

ID_ALPHABET, ID_CHARS = string.ascii_lowercase + "234567", 12
SECRET_ALPHABET, SECRET_CHARS = string.ascii_letters + string.digits, 43  # 62^43 is more than 2^256
FORM = re.compile(rf"{PREFIX}([{ID_ALPHABET}]{{{ID_CHARS}}})_[{SECRET_ALPHABET}]{{{SECRET_CHARS}}}")
IDS_AT_ONCE = 500  # bound parameters of one statement; SQLite's limit was 999 for long

State = Literal["active", "expired", "revoked"]

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("subject", String(MAX_SUBJECT_CHARS), nullable=False),
    Column("scopes", String(255), nullable=False),
    Column("rate", String(32), nullable=True),
    Column("digest", String(64), nullable=False),
    Column("old_digest", String(64), nullable=True),
    Column("old_until", Moment, nullable=True),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("rotated_at", Moment, nullable=True),
    Column("revoked_at", Moment, nullable=True),
    Column("last_used_at", Moment, nullable=True),
    Index("ix_api_keys_expires_at", "expires_at"),
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored. While `old_until` has not come, the secret before the last rotation works too."""

    id: str
    subject: str
    scopes: frozenset[str]
    rate: Rate | None
    digest: str = field(repr=False)
    old_digest: str | None = field(repr=False)
    old_until: datetime | None
    created_at: datetime
    expires_at: datetime
    rotated_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = field(compare=False)

    @property
    def caller(self) -> Caller:
        """Whom it stands for."""
        return Caller(self.subject, self.scopes, self.id, self.rate)

    def state(self, now: datetime) -> State:
        """Whether it works."""
        return "revoked" if self.revoked_at else "expired" if self.expires_at <= now else "active"

    def good_until(self, shown: str) -> datetime | None:
        """When the secret that was shown ends; None when it is none of this key's."""
        digest = digest_of(shown)
        current, old = _same(digest, self.digest), _same(digest, self.old_digest or NOBODYS)  # always both
        if current:
            return self.expires_at
        return min(self.expires_at, self.old_until) if old and self.old_until else None


def id_of(shown: str) -> str:
    """The id in an API key. Raises InvalidCredentialError for what does not look like one."""
    form = FORM.fullmatch(shown)
    if form is None:
        raise InvalidCredentialError("the API key is not of the form luna_<id>_<secret>")
    return form[1]


def compare_with_nobodys(shown: str) -> None:
    """Do over a key whose id is unknown what is done over one whose secret is wrong."""
    digest = digest_of(shown)
    for _ in ("current", "old"):
        _same(digest, NOBODYS)


def create(
    connection: Connection, subject: str, scopes: frozenset[str], rate: Rate | None, expires_at: datetime, now: datetime
) -> tuple[str, str]:
    """Store a new key; its id, and the key itself, which nobody can read again."""
    key_id = _random(ID_ALPHABET, ID_CHARS)
    shown = _new(key_id)
    connection.execute(
        insert(api_keys).values(
            id=key_id,
            subject=subject,
            scopes=" ".join(sorted(scopes)),
            rate=str(rate) if rate else None,
            digest=digest_of(shown),
            created_at=now,
            expires_at=expires_at,
        )
    )
    return key_id, shown


def every(connection: Connection) -> list[ApiKey]:
    """All keys, newest first."""
    return [_key(row) for row in connection.execute(_SELECT.order_by(api_keys.c.created_at.desc(), api_keys.c.id))]


def find(connection: Connection, ids: Sequence[str]) -> dict[str, ApiKey]:
    """Those of these keys that there are."""
    found = {}
    for start in range(0, len(ids), IDS_AT_ONCE):
        some = _SELECT.where(api_keys.c.id.in_(ids[start : start + IDS_AT_ONCE]))
        found.update({row.id: _key(row) for row in connection.execute(some)})
    return found


def rotate(connection: Connection, key_id: str, old_until: datetime, now: datetime) -> str:
    """Give the key a new secret; the key itself, which nobody can read again. Of the old ones only the last goes on."""
    shown = _new(key_id)
    connection.execute(
        update(api_keys)
        .where(api_keys.c.id == key_id)
        .values(digest=digest_of(shown), old_digest=api_keys.c.digest, old_until=old_until, rotated_at=now)
    )
    return shown


def revoke(connection: Connection, key_id: str, now: datetime) -> None:
    """End the key."""
    connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=now))


def note_use(connection: Connection, used: Mapping[str, datetime]) -> None:
    """Write down when keys were last used, unless something later stands there."""
    statement = (
        update(api_keys)
        .where(
            api_keys.c.id == bindparam("key"),
            or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < bindparam("used", type_=Moment)),
        )
        .values(last_used_at=bindparam("used", type_=Moment))
    )
    connection.execute(statement, [{"key": key, "used": moment} for key, moment in sorted(used.items())])


def purge(connection: Connection, before: datetime) -> int:
    """Delete the keys that ended before then; how many."""
    ended = or_(api_keys.c.expires_at < before, api_keys.c.revoked_at < before)
    return connection.execute(delete(api_keys).where(ended)).rowcount


def digest_of(shown: str) -> str:
    """What is stored in place of a key."""
    return hashlib.sha256(shown.encode()).hexdigest()


NOBODYS = digest_of("")
"""The digest of no key, for comparisons that only take their time."""

_SELECT = select(api_keys)


def _same(digest: str, stored: str) -> bool:
    return hmac.compare_digest(digest.encode(), stored.encode())


def _new(key_id: str) -> str:
    return f"{PREFIX}{key_id}_{_random(SECRET_ALPHABET, SECRET_CHARS)}"


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _key(row: Any) -> ApiKey:
    stored = row._asdict()
    scopes, rate = frozenset(stored["scopes"].split()), Rate.parse(stored["rate"]) if stored["rate"] else None
    return ApiKey(**{**stored, "scopes": scopes, "rate": rate})

"""JSON Web Tokens (RFC 7519, best current practice RFC 8725): issued by the command line, verified by the gateway.

Which key verifies a token is decided first, and the key decides the algorithm. A token with a `kid` is for the key of
that name in the JWKS file and no other; one without is for our own secrets, HS256. There is no trying of one after the
other: a `kid` that the file does not hold is refused. `jku`, `x5u`, `jwk` and `x5c` are ignored (RFC 8725, 3.10).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import uuid4

import jwt

from workers.errors import SettingsError
from workers.security import compact
from workers.security.callers import SCOPES, Caller, InvalidCredentialError, is_subject
from workers.security.compact import Compact
from workers.security.jwks import Key, KeyFile
from workers.settings import Settings

ALGORITHM = "HS256"
LEEWAY_S = 10
MAX_ID_CHARS = 200
END_OF_TIME = 253_402_300_799  # the year 9999: later moments are no dates in Python or PostgreSQL

TYPES = {"jwt", "at+jwt"}  # RFC 7519, 5.1; RFC 9068, 2.1
REFUSED_MEMBERS = {
    "crit",  # we know no extension that a token could insist on: RFC 7515, 4.1.11
    "b64",  # RFC 7797: the payload would be something else than what we read
    "cty",  # RFC 7519, 5.2: a token within the token
    "enc",  # RFC 7516: encrypted
    "zip",  # and compressed
}


class Verified(NamedTuple):
    """What a good token says. `id` is what it is revoked by; `expires_at` in seconds since the epoch."""

    caller: Caller
    id: str
    expires_at: float


class Tokens:
    """Issues and verifies tokens. The first secret signs; all verify, so that they can be rotated."""

    def __init__(
        self,
        secrets: Sequence[str],
        *,
        issuer: str,
        audience: str,
        jwks: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Reads the JWKS file. Raises SettingsError for a secret or a file that must not be used."""
        self._secrets = [_secret(secret) for secret in secrets]
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self.key_file = KeyFile(jwks)

    @classmethod
    def configured(cls, settings: Settings) -> Self:
        """As the settings say. Raises SettingsError."""
        return cls(
            settings.jwt_secrets,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            jwks=settings.jwt_jwks_file,
        )

    def issue(self, subject: str, scopes: frozenset[str], ttl_s: int) -> str:
        """A signed token that expires in `ttl_s` seconds."""
        now = int(self._clock())
        claims = {
            "sub": subject,
            "iss": self._issuer,
            "aud": self._audience,
            "iat": now,
            "exp": now + ttl_s,
            "jti": str(uuid4()),
            "scope": " ".join(sorted(scopes)),
        }
        return jwt.encode(claims, self._secrets[0].key, algorithm=ALGORITHM)

    def verify(self, token: str) -> Verified:
        """What a token says, if it is ours and its time is now. Raises InvalidCredentialError.

        Whether it was revoked is another question: `revocations` answers it.
        """
        read = compact.read(token)
        _check_header(read.header)
        if not any(key.signed(read.signed, read.signature) for key in self._keys(read.header)):
            raise InvalidCredentialError("the signature is not that of the key")
        claims = compact.json_object(read.payload, "payload")
        self._check_parties(claims)
        return Verified(_caller(claims), _id(claims, read), self._expiry(claims))

    def _keys(self, header: dict[str, Any]) -> Sequence[Key]:
        """The keys that may have signed it, all of the algorithm that it names."""
        keys: Sequence[Key] = self._secrets
        if "kid" in header:
            kid = header["kid"]
            key = self.key_file.keys.get(kid) if isinstance(kid, str) else None
            if key is None:
                raise InvalidCredentialError("there is no key of this kid")
            keys = [key]
        if header.get("alg") != keys[0].algorithm:
            raise InvalidCredentialError("alg is not that of the key")
        return keys

    def _check_parties(self, claims: dict[str, Any]) -> None:
        if claims.get("iss") != self._issuer:
            raise InvalidCredentialError("iss is not our issuer")
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        if not isinstance(audiences, list) or not all(isinstance(each, str) for each in audiences):
            raise InvalidCredentialError("aud is neither a string nor a list of strings")
        if self._audience not in audiences:
            raise InvalidCredentialError("aud does not name us")

    def _expiry(self, claims: dict[str, Any]) -> float:
        """When it expires, if its time has come and has not gone."""
        now, expires_at = self._clock(), _moment(claims, "exp")
        if expires_at is None:
            raise InvalidCredentialError("exp is missing")
        if expires_at + LEEWAY_S <= now:
            raise InvalidCredentialError("the token has expired")
        for name in ("nbf", "iat"):
            if (_moment(claims, name) or 0) - LEEWAY_S > now:
                raise InvalidCredentialError(f"{name} has not come yet")
        return expires_at


def _secret(secret: str) -> Key:
    algorithm = jwt.get_algorithm_by_name(ALGORITHM)
    try:
        return Key(ALGORITHM, algorithm, algorithm.prepare_key(secret))
    except jwt.InvalidKeyError:  # a public key, which everybody has
        raise SettingsError("JWT_SECRET: is a key or certificate of another kind, not a secret") from None


def _check_header(header: dict[str, Any]) -> None:
    if refused := REFUSED_MEMBERS & header.keys():
        raise InvalidCredentialError(f"the header holds {', '.join(sorted(refused))}")
    if "typ" in header:
        kind = header["typ"]
        if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in TYPES:  # RFC 7515, 4.1.9
            raise InvalidCredentialError("typ is that of something else")


def _caller(claims: dict[str, Any]) -> Caller:
    """Whom it stands for. Scopes that Luna does not know are left out: their issuer has other services too."""
    subject, scope = claims.get("sub"), claims.get("scope", "")
    if not is_subject(subject):
        raise InvalidCredentialError("sub is not a non-empty string of printable characters")
    if not isinstance(scope, str):
        raise InvalidCredentialError("scope is not a string")
    return Caller(str(subject), SCOPES.intersection(scope.split(" ")))


def _id(claims: dict[str, Any], read: Compact) -> str:
    """What it is revoked by: its jti, or without one the digest of what is signed.

    The signature does not count: of an ECDSA signature there is always a second one.
    """
    if "jti" not in claims:
        return f"sha256:{hashlib.sha256(read.signed).hexdigest()}"
    name = claims["jti"]
    if not isinstance(name, str) or not 0 < len(name) <= MAX_ID_CHARS or not name.isprintable():
        raise InvalidCredentialError("jti is not a non-empty string of printable characters")
    return name


def _moment(claims: dict[str, Any], name: str) -> float | None:
    """A JSON number (RFC 7519, 2), neither NaN nor infinite, within the years that there are; None if absent."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidCredentialError(f"{name} is not a number")
    if not 0 <= value <= END_OF_TIME:  # false for NaN and both infinities too
        raise InvalidCredentialError(f"{name} is no moment")
    return value

"""JSON Web Tokens (RFC 7519, best current practice RFC 8725): issued by the command line, verified by the gateway."""

from __future__ import annotations

import sys
import time
from typing import Any
from uuid import uuid4

import jwt

from workers.errors import LunaError
from workers.security.callers import Caller

ALGORITHM = "HS256"
LEEWAY_S = 10
MAX_TOKEN_CHARS = 8192  # checked before anything is decoded: RFC 8725, 3.7


class InvalidTokenError(LunaError):
    """The token is not one of ours, or no longer valid. The reason is for our logs, never for the caller."""


class Tokens:
    """Issues and verifies HS256 tokens. The first secret signs; all verify, so that they can be rotated."""

    def __init__(self, secrets: tuple[str, ...], *, issuer: str, audience: str) -> None:
        self._secrets = secrets
        self._issuer = issuer
        self._audience = audience

    def issue(self, subject: str, scopes: frozenset[str], ttl_s: int) -> str:
        """A signed token that expires in `ttl_s` seconds."""
        now = int(time.time())
        claims = {
            "sub": subject,
            "iss": self._issuer,
            "aud": self._audience,
            "iat": now,
            "exp": now + ttl_s,
            "jti": str(uuid4()),
            "scope": " ".join(sorted(scopes)),
        }
        return jwt.encode(claims, self._secrets[0], algorithm=ALGORITHM)

    def verify(self, token: str) -> Caller:
        """The caller a token stands for. Raises InvalidTokenError."""
        if len(token) > MAX_TOKEN_CHARS:
            raise InvalidTokenError("the token is too long")
        claims = self._claims(token)
        if not isinstance(claims["sub"], str) or not claims["sub"] or not claims["sub"].isprintable():
            raise InvalidTokenError("sub is not a non-empty string of printable characters")
        for name in ("exp", "iat", "nbf"):
            if not _is_time(claims.get(name, 0)):
                raise InvalidTokenError(f"{name} is not a finite number")
        scope = claims.get("scope", "")
        if not isinstance(scope, str):
            raise InvalidTokenError("scope is not a string")
        return Caller(claims["sub"], frozenset(scope.split()))

    def _claims(self, token: str) -> dict[str, Any]:
        failure: jwt.PyJWTError | ValueError = ValueError("there is no key")
        for secret in self._secrets:
            try:
                return jwt.decode(
                    token,
                    secret,
                    algorithms=[ALGORITHM],
                    audience=self._audience,
                    issuer=self._issuer,
                    leeway=LEEWAY_S,
                    options={"require": ["exp", "sub", "iss", "aud"]},
                )
            except jwt.InvalidSignatureError as error:
                failure = error
            except (jwt.PyJWTError, ValueError, OverflowError) as error:
                raise InvalidTokenError(str(error)) from None
        raise InvalidTokenError(str(failure))


def _is_time(value: Any) -> bool:
    """A JSON number, as RFC 7519, 2 defines NumericDate; PyJWT alone lets strings and booleans through."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max  # neither NaN nor infinite, nor an integer beyond all floats

"""Who is calling, and whether they may."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from fastapi import Request

from api_gateway.problems import Problem, unauthorized
from workers.security.callers import Caller
from workers.security.tokens import InvalidTokenError, Tokens

log = structlog.get_logger(__name__)


def authenticate(request: Request) -> Caller:
    """The caller that the bearer token stands for. Raises Problem 401."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    tokens: Tokens = request.app.state.tokens
    if scheme.lower() != "bearer" or not token:
        raise unauthorized()
    try:
        return tokens.verify(token.strip())
    except InvalidTokenError as error:
        log.info("token.refused", reason=str(error))
        raise unauthorized() from None


@dataclass(frozen=True)
class Needs:
    """A dependency: the caller, who holds `scope`. Raises Problem 401 or 403."""

    scope: str

    def __call__(self, request: Request) -> Caller:
        """The caller."""
        caller = authenticate(request)
        if not caller.may(self.scope):
            raise Problem(403, f"This needs the scope {self.scope}.")
        return caller


def needs(scope: str) -> Needs:
    """The dependency of a route that needs the scope; the OpenAPI document tells it."""
    return Needs(scope)

"""Who is calling, and whether they may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from fastapi import Request

from api_gateway.problems import Problem, unauthorized
from workers.security.callers import Caller, InvalidCredentialError
from workers.security.credentials import Credentials

log = structlog.get_logger(__name__)


async def authenticate(request: Request) -> Caller:
    """The caller that the bearer token or API key stands for. Raises Problem 401."""
    credential = _shown(request)
    credentials: Credentials = request.app.state.credentials
    if credential is None:
        raise unauthorized()
    try:
        return credentials.remembered(credential) or await credentials.verify(credential)
    except InvalidCredentialError as error:
        log.info("credential.refused", reason=str(error))
        raise unauthorized() from None


def _shown(request: Request) -> str | None:
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credential.strip():
        return credential.strip()
    return request.headers.get("X-API-Key") or None


def needs(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency: the caller, who holds `scope`. Raises Problem 401 or 403."""

    async def authorized(request: Request) -> Caller:
        caller = await authenticate(request)
        if not caller.may(scope):
            raise Problem(403, f"This needs the scope {scope}.")
        return caller

    return authorized

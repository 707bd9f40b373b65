"""Who is calling, whether they may, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import structlog
from fastapi import Request
from starlette.datastructures import State

from api_gateway.problems import Problem, over_limit, unauthorized
from api_gateway.visit import Visit
from workers.security.callers import Caller, InvalidCredentialError
from workers.security.limits import Decision

log = structlog.get_logger(__name__)


async def identify(visit: Visit, state: State) -> None:
    """Set the visit's address, and its caller if it shows a credential.

    Raises Problem 401 for one that does not hold, and 429 where too many did not: then only those that this process
    remembers are let in. Raises UnavailableError.
    """
    visit.address = state.proxies.client(visit.client[0] if visit.client else None, visit.fields)
    credential = _shown(visit)
    if credential is None:
        return
    visit.caller = state.credentials.remembered(credential)
    if visit.caller is None:
        failed = state.limits.failed(visit.address)
        if failed and (decision := state.limiter.known((failed,))):
            raise _over(visit, decision)
        try:
            visit.caller = await state.credentials.verify(credential)
        except InvalidCredentialError as error:
            log.info("credential.refused", reason=str(error))
            await refuse(visit, state)


async def refuse(visit: Visit, state: State) -> NoReturn:
    """Count a credential that does not hold against its address. Raises Problem 401, or 429 beyond the limit."""
    failed = state.limits.failed(visit.address)
    if failed and not (decision := await state.limiter.take((failed,))).allowed:
        raise _over(visit, decision)
    raise unauthorized()


async def charge(visit: Visit, state: State, endpoint: str, cost: int) -> None:
    """Count the request against every limit that applies. Raises Problem 429; then none has counted it."""
    buckets = state.limits.buckets(address=visit.address, caller=visit.caller, endpoint=endpoint)
    if buckets:
        decision = await state.limiter.take(buckets, cost)
        if not decision.allowed:
            raise _over(visit, decision)
        visit.limited = decision


def refuse_known(visit: Visit, state: State, endpoint: str) -> None:
    """Raise Problem 429 for a caller that is known to be over its limit, before anything is read."""
    buckets = state.limits.buckets(address=visit.address, caller=visit.caller, endpoint=endpoint)
    if buckets and (decision := state.limiter.known(buckets)):
        raise _over(visit, decision)


def required(visit: Visit, scope: str) -> Caller:
    """The caller, who holds `scope`. Raises Problem 401 or 403."""
    if visit.caller is None:
        raise unauthorized()
    if not visit.caller.may(scope):
        raise Problem(403, f"This needs the scope {scope}.")
    return visit.caller


async def authenticate(request: Request) -> Caller:
    """A dependency: the caller. Raises Problem 401."""
    caller: Caller | None = request.state.visit.caller
    if caller is None:
        raise unauthorized()
    return caller


@dataclass(frozen=True)
class Needs:
    """A dependency: the caller, who holds `scope`. Raises Problem 401 or 403."""

    scope: str

    async def __call__(self, request: Request) -> Caller:
        """The caller."""
        return required(request.state.visit, self.scope)


def needs(scope: str) -> Needs:
    """The dependency of a route that needs the scope; the OpenAPI document tells it."""
    return Needs(scope)


def _shown(visit: Visit) -> str | None:
    """The credential; one that cannot be read is one that does not hold."""
    authorization = visit.headers.get(b"authorization")
    key = visit.headers.get(b"x-api-key")
    if authorization is None and key is None:
        return None
    if (authorization is not None and key is not None) or visit.repeated(b"authorization", b"x-api-key"):
        return ""
    if authorization is None:
        return (key or b"").decode("latin-1")
    scheme, _, credential = authorization.decode("latin-1").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


def _over(visit: Visit, decision: Decision) -> Problem:
    visit.limited = decision
    return over_limit(decision)

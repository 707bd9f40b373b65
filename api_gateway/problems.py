"""Problem documents (RFC 9457): the one shape of every error this gateway answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException

from api_gateway.methods import allowed
from workers.errors import BrokenContractError, NotFoundError, RefusedError, UnavailableError
from workers.queue.limits import MessageTooLargeError
from workers.security.limits import Decision

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
MAX_ERRORS = 50  # a body of nothing but wrong fields is not answered with as many errors

# Types of draft-ietf-httpapi-ratelimit-headers-10, section 6
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
REDUCED_CAPACITY = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
TITLES = {QUOTA_EXCEEDED: "Request quota exceeded", REDUCED_CAPACITY: "Temporarily reduced capacity"}

log = structlog.get_logger(__name__)


class Problem(Exception):  # noqa: N818 a problem is what the RFC calls it
    """Raise this to answer with a problem document. `detail` helps the client; `errors` name fields by JSON Pointer.

    `members` are further ones of the document.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str | None = None,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind, self.errors = status, detail, kind, errors
        self.headers, self.members = headers or {}, members or {}

    def document(self) -> dict[str, Any]:
        """The problem document. Without a type (`kind`) it is about:blank, whose title is the HTTP phrase."""
        title = TITLES[self.kind] if self.kind else HTTPStatus(self.status).phrase
        document: dict[str, Any] = {"type": self.kind} if self.kind else {}
        document |= {"status": self.status, "title": title, "detail": self.detail, **self.members}
        if self.errors:
            document["errors"] = self.errors
        return document

    def response(self) -> Response:
        """The answer."""
        headers = {"Cache-Control": "no-store", **self.headers}
        return Response(orjson.dumps(self.document()), self.status, headers=headers, media_type=MEDIA_TYPE)


def unauthorized() -> Problem:
    """The same answer for every reason of refusal."""
    challenge = {"WWW-Authenticate": 'Bearer realm="luna"'}
    return Problem(401, "A valid bearer token or API key is needed.", headers=challenge)


UNCONFIRMED = "The event store cannot confirm just now. Send the same request again, under the same id."


def unavailable(detail: str = UNCONFIRMED, **members: Any) -> Problem:
    """The store cannot promise just now; the same request under the same id is safe to send again."""
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return Problem(503, detail, kind=REDUCED_CAPACITY, headers=headers, members=members)


def over_limit(decision: Decision) -> Problem:
    """The caller is over its limit: when to come again is in Retry-After, which the answer gets with all the fields.

    What no waiting would let pass is too large.
    """
    members = {"violated-policies": list(decision.violated)}
    if decision.impossible:
        detail = "This request counts more than the limit allows at any time. Send fewer events at once."
        return Problem(413, detail, kind=QUOTA_EXCEEDED, members=members)
    detail = f"Too many requests. The next one is welcome in {decision.retry_after_s} s."
    return Problem(429, detail, kind=QUOTA_EXCEEDED, members=members)


def unexpected() -> Problem:
    """A defect of ours, of which the caller learns nothing but that."""
    return Problem(500, "Something went wrong on our side; it has been logged.")


NOT_AN_OBJECT = "must be a JSON object"


BROKEN_CONTRACT = "Some fields are not what this type of event needs."


def invalid(
    errors: Sequence[ErrorDetails], document: Any, prefix: Sequence[str] = (), detail: str = BROKEN_CONTRACT
) -> Problem:
    """422 with a JSON Pointer (RFC 6901) for every wrong field of `document`, the first MAX_ERRORS of them."""
    details: dict[str, list[str]] = {}
    for error in errors:
        sentence = NOT_AN_OBJECT if error["type"] == "model_type" else _plain(error["msg"])
        place = pointer([*prefix, *_place(error, document)])
        if place not in details and len(details) == MAX_ERRORS:
            break
        details.setdefault(place, []).append(sentence)
    return Problem(
        422,
        detail,
        errors=[{"detail": "; ".join(messages), "pointer": place} for place, messages in details.items()],
    )


def pointer(location: Sequence[str | int]) -> str:
    """A JSON Pointer to the place."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _place(error: ErrorDetails, document: Any) -> Sequence[str | int]:
    """Where in the document the error is: pydantic's location goes on into the types that it tried there."""
    location = error["loc"]
    if error["type"] == "missing":
        return location
    for depth, part in enumerate(location):
        try:
            document = document[part]
        except (LookupError, TypeError):
            return location[:depth]
    return location


async def _unexpected(_request: Request, _error: Exception) -> Response:
    return unexpected().response()


def install(app: FastAPI) -> None:
    """Answer the errors that are expected, the framework's own included, with a problem document."""

    @app.exception_handler(Problem)
    async def problem(_request: Request, error: Problem) -> Response:
        return error.response()

    app.add_exception_handler(Exception, _unexpected)

    @app.exception_handler(UnavailableError)
    async def away(_request: Request, error: UnavailableError) -> Response:
        log.warning("request.refused", reason=str(error))
        return unavailable().response()

    @app.exception_handler(NotFoundError)
    async def absent(_request: Request, error: NotFoundError) -> Response:
        return Problem(404, _sentence(error)).response()

    @app.exception_handler(RefusedError)
    async def refused(_request: Request, error: RefusedError) -> Response:
        return Problem(422, _sentence(error)).response()

    @app.exception_handler(BrokenContractError)
    async def broken(_request: Request, error: BrokenContractError) -> Response:
        return invalid(error.errors, error.data, prefix=["data"]).response()

    @app.exception_handler(MessageTooLargeError)
    async def too_large(_request: Request, error: MessageTooLargeError) -> Response:
        return Problem(413, f"{error}.").response()

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = allowed(app, request.scope["path"])
        return Problem(error.status_code, str(error.detail), headers=headers).response()

    @app.exception_handler(RequestValidationError)
    async def parameters(_request: Request, error: RequestValidationError) -> Response:
        errors = [
            {"detail": _plain(each["msg"]), "parameter": str(each["loc"][-1])}
            for each in islice(error.errors(), MAX_ERRORS)
        ]
        return Problem(422, "Some parameters are not what this call needs.", errors=errors).response()

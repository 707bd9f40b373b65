"""Bodies: read no further than the limit, parsed as JSON that all behind the gateway can hold, held against a model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from api_gateway.problems import Problem, invalid, pointer
from api_gateway.visit import Visit

MAX_BODY_BYTES = 256 * 1024
MAX_BATCH_BYTES = 5 * 1024 * 1024

JSON = b"application/json"
ESCAPED_NUL = b"\\u0000"

WRONG_FIELDS = "Some fields are not what this call needs."

Responses = dict[int | str, dict[str, Any]]
"""What a route may answer, as FastAPI documents it."""

Model = TypeVar("Model", bound=BaseModel)


async def document(
    request: Request, model: type[Model], accepted: Collection[bytes] = (JSON,), *, empty: Any = None
) -> Model:
    """The body as a `model`; with `empty` no body stands for that. Raises Problem 400, 413, 415, or 422."""
    visit: Visit = request.state.visit
    if media_type(visit) not in accepted:
        kinds = [kind.decode() for kind in accepted]
        raise Problem(415, f"Send {' or '.join(kinds)}, in UTF-8.", headers={"Accept": ", ".join(kinds)})
    content = await read(visit, request.receive)
    given = empty if empty is not None and not content else parse(content)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), given, detail=WRONG_FIELDS) from None


def media_type(visit: Visit) -> bytes:
    """What the body is said to be, JSON if nothing is said; nothing for another charset than UTF-8."""
    given = visit.headers.get(b"content-type", JSON)
    if visit.repeated(b"content-type"):
        return b""
    if given == JSON:
        return JSON
    kind, _, parameters = given.lower().partition(b";")
    _, named, rest = parameters.partition(b"charset=")
    utf_8 = not named or rest.partition(b";")[0].strip(b' \t"') in {b"utf-8", b"utf8"}
    return kind.strip() if utf_8 else b""


async def read(visit: Visit, receive: Receive, *, batches: bool = False) -> bytes:
    """The body; with `batches` one that begins as a JSON list may have MAX_BATCH_BYTES. Raises Problem 413 or 415."""
    if visit.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Problem(
            415, "Send the body as it is, without a Content-Encoding.", headers={"Accept-Encoding": "identity"}
        )
    announced = visit.headers.get(b"content-length", b"0")
    if int(announced) > (MAX_BATCH_BYTES if batches else MAX_BODY_BYTES):  # digits: the server has parsed it
        raise _too_large(MAX_BATCH_BYTES if batches else MAX_BODY_BYTES)
    body, more = await _next(receive)
    limit = MAX_BATCH_BYTES if batches and body.lstrip()[:1] == b"[" else MAX_BODY_BYTES
    if more:
        parts = bytearray(body)
        while more and len(parts) <= limit:
            part, more = await _next(receive)
            parts += part
        body = bytes(parts)
    if len(body) > limit:
        raise _too_large(limit)
    return body


def parse(body: bytes) -> Any:
    """The JSON document. Raises Problem 400 for what is none, 422 where a string holds NUL."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"The body is not JSON: {error}." if body else "The body is empty.") from None
    if ESCAPED_NUL in body and (place := _nul(document)) is not None:
        raise Problem(
            422,
            "No text may hold NUL: not everything behind this gateway can keep it.",
            errors=[{"detail": "must not contain NUL", "pointer": pointer(place)}],
        )
    return document


async def _next(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def _too_large(limit: int) -> Problem:
    # the rest of it would have to be read before the next request on this connection
    return Problem(413, f"The body is larger than {limit} bytes.", headers={"Connection": "close"})


def _nul(document: Any) -> list[str | int] | None:
    """Where the first text with NUL is; not by recursion, since JSON may be nested deeper than that goes."""
    waiting: list[tuple[list[str | int], Any]] = [([], document)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, str):
            if "\0" in value:
                return place
        elif isinstance(value, dict):
            if any("\0" in name for name in value):
                return place
            waiting += [([*place, name], member) for name, member in value.items()]
        elif isinstance(value, list):
            waiting += [([*place, number], member) for number, member in enumerate(value)]
    return None


def body(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """A dependency: the body as that model; an empty one is an empty object. Raises Problem 400, 413, 415, 422.

    FastAPI's own parser takes NaN and halves of characters, which no event may hold.
    """

    async def parsed(request: Request) -> Model:
        return await document(request, model, empty={})

    return parsed


def documented(model: type[BaseModel], *, required: bool) -> dict[str, Any]:
    """The `openapi_extra` of a route with such a body."""
    return {
        "requestBody": {"required": required, "content": {"application/json": {"schema": model.model_json_schema()}}}
    }


REFUSALS: Responses = {
    400: {"description": "The body is not JSON"},
    413: {"description": "The body is too large"},
    415: {"description": "The body is not application/json"},
    422: {"description": "A field is not what this call needs"},
}
"""What a route with such a body may answer besides its own."""

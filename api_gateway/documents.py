"""Reading a request's document strictly: no more than the limit, no two members of one name, only known fields."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError

from api_gateway.problems import Problem, invalid

MAX_BODY_BYTES = 256 * 1024
JSON = "application/json"

Model = TypeVar("Model", bound=BaseModel)


def media_type(request: Request) -> str:
    """What the body is said to be; JSON if nothing is said."""
    return request.headers.get("Content-Type", JSON).partition(";")[0].strip().lower()


async def bytes_of(request: Request) -> bytes:
    """The body, read no further than the limit. Raises Problem 413."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Problem(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
    return bytes(body)


async def read(request: Request, model: type[Model], accepted: Collection[str] = (JSON,)) -> Model:
    """The body as a `model`. Raises Problem 400 for what is not JSON, 413, 415, or 422 for a wrong field."""
    if media_type(request) not in accepted:
        raise Problem(415, f"Send {' or '.join(accepted)}.", headers={"Accept": ", ".join(accepted)})
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        plain = {"Accept-Encoding": "identity"}
        raise Problem(415, "Send the body as it is, without a Content-Encoding.", headers=plain)
    document = decoded(await bytes_of(request))
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise invalid(error.errors(), document) from None


def decoded(body: bytes) -> Any:
    """The JSON value. Raises Problem 400, also where two members of an object share a name (RFC 7493, 2.3)."""
    try:
        document = orjson.loads(body)
        json.loads(body, object_pairs_hook=_unambiguous)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of more digits than Python converts
        raise Problem(400, f"The body is not JSON: {error}.") from None
    return document


def _unambiguous(members: list[tuple[str, Any]]) -> None:
    """One reader takes the first of two members, another the last: what is checked must be what is used."""
    names = [name for name, _ in members]
    if len(names) != len(set(names)):
        raise Problem(400, "An object of the body has two members of the same name.")

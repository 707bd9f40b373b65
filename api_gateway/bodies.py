"""JSON bodies of every route but the hot one: read no further than their limit, strictly, and held against a model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError

from api_gateway.admission import body_of
from api_gateway.problems import Problem, invalid

Responses = dict[int | str, dict[str, Any]]
"""What a route may answer, as FastAPI documents it."""

Model = TypeVar("Model", bound=BaseModel)


def body(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """A dependency: the body as that model; an empty one is an empty object. Raises Problem 400, 413, 415, 422.

    FastAPI's own parser takes NaN and halves of characters, which no event may hold.
    """

    async def parsed(request: Request) -> Model:
        content = await body_of(request) or b"{}"
        try:
            document = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise Problem(400, f"The body is not JSON: {error}.") from None
        try:
            return model.model_validate(document)
        except ValidationError as error:
            raise invalid(error.errors(), document, detail="Some fields are not what this call needs.") from None

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

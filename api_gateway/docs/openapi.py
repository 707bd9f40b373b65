"""The OpenAPI document, made true: who may call what, and every problem that a call may be answered with."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import RouteContext, iter_route_contexts

from api_gateway.auth import Needs, authenticate
from api_gateway.problems import MEDIA_TYPE

Operation = dict[str, Any]

SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A token, or an API key."},
    "signature": {"type": "apiKey", "in": "header", "name": "X-Signature", "description": "A provider's signature."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key: `luna_…`."},
}

ERROR = {
    "type": "object",
    "properties": {
        "detail": {"type": "string"},
        "pointer": {"type": "string", "description": "JSON Pointer into the body"},
        "parameter": {"type": "string", "description": "Name of the parameter"},
    },
    "required": ["detail"],
}
PROBLEM = {
    "type": "object",
    "description": "RFC 9457. Without a `type` it is `about:blank`.",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "status": {"type": "integer"},
        "title": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": ERROR},
    },
    "required": ["status", "title", "detail"],
}

REASONS = {
    401: "No valid credentials",
    403: "The credentials lack the scope",
    429: "Over a rate limit; `violated-policies` names it",
    431: "Too many or too large headers",
    500: "A defect of ours, which is logged",
    503: "Not possible just now; the same call is safe to repeat",
}
EVERYWHERE = (500,)
LIMITED = (429, 503)
"""Everywhere but under /health, which is not limited and says by itself when it answers 503."""

TEXT, COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": TEXT}},
    429: {
        "Retry-After": {"required": True, "description": "Seconds", "schema": COUNT},
        "RateLimit": {"description": "What is left of each policy", "schema": TEXT},
        "RateLimit-Policy": {"description": "The policies that apply", "schema": TEXT},
    },
    503: {"Retry-After": {"required": True, "description": "Seconds", "schema": COUNT}},
}


def document(app: FastAPI) -> dict[str, Any]:
    """The document of all routes; made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = made.setdefault("components", {})
        components["securitySchemes"] = SECURITY
        components["schemas"] = _used(components.get("schemas", {})) | {"Problem": PROBLEM}
        for route in iter_route_contexts(app.routes):
            for method in route.methods or ():
                _complete(made["paths"][route.path_format][method.lower()], route)
        app.openapi_schema = made
    return app.openapi_schema


def _complete(operation: Operation, route: RouteContext) -> None:
    """Who may call it, and what else it answers."""
    operation["operationId"] = route.name
    responses: dict[str, Any] = operation["responses"]
    scopes, authenticated = _access(route.dependant)
    if authenticated:
        operation.setdefault("security", [{name: scopes} for name in ("bearer", "apiKey")])
    if scopes:
        operation["description"] += f"\n\nNeeds the scope `{'`, `'.join(scopes)}`."
    limited = () if str(route.path_format).startswith("/health") else LIMITED
    for status in (*((401, 403) if authenticated else ()), *limited, *EVERYWHERE):
        responses.setdefault(str(status), {"description": REASONS[status]})
    for status in sorted(int(code) for code in responses if code.isdigit() and int(code) >= HTTPStatus.BAD_REQUEST):
        _as_problem(responses[str(status)], status)
    operation["responses"] = dict(sorted(responses.items()))


def _as_problem(response: dict[str, Any], status: int) -> None:
    """A problem document with its headers, unless the route says what else it is."""
    content = response.get("content", {})
    if not content or _frameworks_own(content):
        response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if status in HEADERS:
        response["headers"] = HEADERS[status] | response.get("headers", {})


def _frameworks_own(content: dict[str, Any]) -> bool:
    schema = content.get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "")).endswith("/HTTPValidationError")


def _used(schemas: dict[str, Any]) -> dict[str, Any]:
    return {name: schema for name, schema in schemas.items() if name not in {"HTTPValidationError", "ValidationError"}}


def _access(dependant: Dependant) -> tuple[list[str], bool]:
    """The scopes that a route needs, and whether it asks who is calling at all."""
    calls = list(_calls(dependant))
    scopes = [call.scope for call in calls if isinstance(call, Needs)]
    return sorted(set(scopes)), bool(scopes) or authenticate in calls


def _calls(dependant: Dependant) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each.call
        yield from _calls(each)

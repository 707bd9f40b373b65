"""HTTP methods that no route says by itself: HEAD wherever there is GET, and all that a path allows in a 405."""

from __future__ import annotations

import re

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.types import ASGIApp, Receive, Scope, Send

PARAMETER = re.compile(r"\{[^}]*\}")


class HeadAsGet:
    """Answers HEAD as GET (RFC 9110, 9.3.2). The server leaves the body out; whoever is around this sees HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        inner = {**scope, "method": "GET"}  # a copy: by the method that it knows the server leaves the body out
        try:
            await self._app(inner, receive, send)
        finally:
            scope.update({**inner, "method": "HEAD"})  # what the router noted is logged by whoever is around


def allowed(app: FastAPI, path: str) -> str:
    """The `Allow` of a path: the methods of all its routes, where the framework tells those of the first.

    A parameter may hold slashes: of routes that match the path in several ways, those count that say most of it.
    """
    by_length: dict[int, set[str]] = {}
    for route in iter_route_contexts(app.routes):
        if route.methods and route.path_regex.fullmatch(path):
            said = len(PARAMETER.sub("", str(route.path_format)))
            by_length.setdefault(said, set()).update(route.methods)
    found = by_length[max(by_length)] if by_length else set()
    return ", ".join(sorted(found | {"HEAD"} if "GET" in found else found))

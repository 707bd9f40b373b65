"""The reference: the OpenAPI document, and a page that shows it. Nothing of it comes from another host.

Open in development. In production both need `ops:read`: fetch the document with a token, and read it anywhere.
"""

from __future__ import annotations

from fastapi import FastAPI

from api_gateway.docs import openapi, pages


def install(app: FastAPI, *, public: bool) -> None:
    """Serve the reference of all that the application serves, this included; `public` to everybody."""
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]  # the framework's own way of saying so
    app.include_router(pages.router(public=public))

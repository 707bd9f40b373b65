"""The pages of the reference: Swagger UI from its package, started by a script of our own."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse

from api_gateway.auth import needs
from api_gateway.problems import Problem

HERE = Path(__file__).parent
PACKAGE = "fastapi_offline"
"""Only its files are used: it brings Swagger UI, and is released when Swagger UI is."""

SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""As strict as that of every answer, but that the page may load its own files and call this origin."""

ASSETS = {
    "start.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
"""All that is served beside the page, and as what."""


def router(*, public: bool) -> APIRouter:
    """The routes of the reference, for everybody or for who holds `ops:read`."""
    guarded = APIRouter(tags=["reference"], dependencies=[] if public else [Depends(needs("ops:read"))])
    guarded.get("/openapi.json", response_class=JSONResponse)(get_openapi)
    guarded.get("/docs", response_class=HTMLResponse)(get_reference)
    guarded.get("/docs/assets/{file}", response_class=FileResponse, responses=ASSET)(get_reference_asset)
    return guarded


def get_openapi(request: Request) -> dict[str, Any]:
    """Everything that is served here, as an OpenAPI 3.1 document."""
    return dict(request.app.openapi())


def get_reference() -> Response:
    """The page that shows the OpenAPI document."""
    headers = {"Content-Security-Policy": SECURITY_POLICY, "Cache-Control": "no-cache"}
    return HTMLResponse((HERE / "page.html").read_bytes(), headers=headers)


def get_reference_asset(file: str) -> Response:
    """A file that the page needs."""
    if file not in ASSETS:
        raise Problem(404, "The page has no such file.")
    folder = HERE if (HERE / file).exists() else _swagger_ui()
    return FileResponse(folder / file, media_type=ASSETS[file], headers={"Cache-Control": "private, max-age=3600"})


ASSET: dict[int | str, dict[str, Any]] = {
    200: {"content": {media_type: {} for media_type in set(ASSETS.values())}},
    304: {"description": "Unchanged since the given ETag"},
    404: {"description": "The page has no such file"},
}


@cache
def _swagger_ui() -> Path:
    return Path(str(files(PACKAGE))) / "static"

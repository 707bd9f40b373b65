"""The endpoints that have limits of their own: which one a request is for, before the framework has routed it."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.routing import compile_path
from starlette.types import Scope


class Endpoints:
    """Finds them by method and path, as routes write it: `GET /v1/events/{id}`."""

    def __init__(self, names: Iterable[str]) -> None:
        parts = [name.partition(" ") for name in names]
        self._patterns = [(method, compile_path(path)[0], f"{method} {path}") for method, _, path in parts]

    def of(self, scope: Scope) -> str:
        """The endpoint's name, or nothing for one without a limit. HEAD counts as GET."""
        if not self._patterns:
            return ""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        for wanted, pattern, name in self._patterns:
            if wanted == method and pattern.match(scope["path"]):
                return name
        return ""

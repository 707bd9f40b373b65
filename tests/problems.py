"""A strict reader of problem documents (RFC 9457): what does not keep to the letter is not one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

MEDIA_TYPE = "application/problem+json"
POINTER = re.compile(r"(/([^~/]|~[01])*)*", re.DOTALL)  # RFC 6901, 3
EXTENSION = re.compile(r"[A-Za-z][A-Za-z0-9_]{2,}")  # RFC 9457, 3.2
STANDARD = {"type": str, "title": str, "status": int, "detail": str, "instance": str}
NEEDED_HEADER = {401: "www-authenticate", 405: "allow", 429: "retry-after", 503: "retry-after"}
TRACES = ("Traceback", 'File "', "site-packages", ".py", "pydantic", "orjson", "redis://", "0x7f", "eyJ")


def problem(status: int, headers: Mapping[str, str], body: bytes, *, head: bool = False) -> dict[str, Any]:
    """The document of an answer, which must be a problem by the RFC and by our own rules. Fails with what is wrong."""
    assert 400 <= status < 600, status
    assert headers["content-type"] == MEDIA_TYPE
    assert headers["cache-control"] == "no-store"
    needed = NEEDED_HEADER.get(status)
    assert needed is None or headers[needed], needed
    assert not headers.get("retry-after") or re.fullmatch(r"[0-9]+", headers["retry-after"])
    if head:
        assert body == b""
        return {}
    document: dict[str, Any] = json.loads(body, object_pairs_hook=_object, parse_constant=_no_constant)
    assert isinstance(document, dict)
    _standard_members(status, document)
    _extensions({name: value for name, value in document.items() if name not in STANDARD})
    text = body.decode()
    assert [trace for trace in TRACES if trace in text] == []
    return document


def _standard_members(status: int, document: dict[str, Any]) -> None:
    for name, kind in STANDARD.items():
        assert name not in document or type(document[name]) is kind, name
    assert document["status"] == status
    type_ = document.get("type", "about:blank")
    if type_ == "about:blank":
        assert document["title"] == HTTPStatus(status).phrase
    assert urlsplit(type_).scheme, type_
    assert document["detail"].strip()


def _extensions(members: dict[str, Any]) -> None:
    for name in members:
        assert EXTENSION.fullmatch(name), name
    for error in members.get("errors", []):
        assert isinstance(error["detail"], str)
        assert error["detail"].strip()
        assert len(error.keys() & {"pointer", "parameter", "header"}) == 1, error
        if "pointer" in error:
            assert POINTER.fullmatch(error["pointer"]), error


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(members)) == len(members), "a name stands twice"
    return dict(members)


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")

"""CloudEvents 1.0 over HTTP: the structured mode, the binary mode, and the plain form of this gateway.

Sources: CloudEvents 1.0.2 (spec.md, bindings/http-protocol-binding.md, formats/json-format.md). Whatever the mode, what
comes out is a `PostedEvent`, and what is wrong is told at its place in that mode.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple
from urllib.parse import unquote_to_bytes

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from api_gateway.problems import Problem, invalid
from api_gateway.uris import is_uri, is_uri_reference
from api_gateway.visit import Fields

MAX_ATTRIBUTE_CHARS = 200
MAX_EXTENSIONS = 20
MAX_EXTENSION_CHARS = 1_000
REQUIRED = ("specversion", "id", "source", "type")
CORE = frozenset({*REQUIRED, "subject", "time", "datacontenttype", "dataschema", "data"})
RESERVED = frozenset({"lunacaller", "correlationid"})
"""Extension attributes that Luna writes itself; X-Correlation-ID sets the second."""

RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII)
JSON_TYPE = re.compile(r'application/(?:[a-z0-9.+-]+\+)?json(?:\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)
NAME = re.compile(r"[a-z0-9]{1,20}")
CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\ufdd0-\\ufdef\\ufffe\\uffff]")
INTEGER = range(-(2**31), 2**31)  # spec.md, "Type System"


def _rfc_3339(value: object) -> object:
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        raise ValueError("must be a time as RFC 3339 writes it, such as 2026-01-31T12:00:00Z")
    return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be within the years 1 to 9999 in UTC") from None


def _no_control(text: str) -> str:
    if CONTROL.search(text):
        raise ValueError("must not contain control characters")
    return text


def _uri_reference(text: str) -> str:
    if not is_uri_reference(text):
        raise ValueError("must be a URI reference (RFC 3986), such as /shop")
    return text


Identifier = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$", max_length=MAX_ATTRIBUTE_CHARS)]
SourceUri = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_ATTRIBUTE_CHARS),
    AfterValidator(_uri_reference),
    Field(json_schema_extra={"format": "uri-reference"}),
]
Subject = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ATTRIBUTE_CHARS), AfterValidator(_no_control)]
Time = Annotated[AwareDatetime, BeforeValidator(_rfc_3339), AfterValidator(_in_utc)]


class PostedEvent(BaseModel):
    """An event as a caller posts it. Absent parts are filled in: id at random, source from the caller, time now."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(max_length=128)
    data: dict[str, Any]
    id: Identifier | None = None
    source: SourceUri | None = None
    subject: Subject | None = None
    time: Time | None = None


POSTED = PostedEvent.__pydantic_validator__
"""`PostedEvent.model_validate` without what it does around it, a third of its time."""


class Places(NamedTuple):
    """Where in the request an attribute is, and the data: what the errors of a problem document point to."""

    attribute: Callable[[str], dict[str, str]]
    data: tuple[str, ...]


class Sent(NamedTuple):
    """A posted event, its extension attributes, and where its parts were."""

    posted: PostedEvent
    extensions: dict[str, Any]
    places: Places


IN_BODY = Places(lambda name: {"pointer": f"/{name}"}, ("data",))
IN_HEADERS = Places(lambda name: {"header": f"ce-{name}"}, ())


def plain(document: Any) -> Sent:
    """`{"type": …, "data": …}`, all else optional. Raises Problem 422."""
    try:
        return Sent(POSTED.validate_python(document), {}, IN_BODY)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), document) from None


def structured(document: Any) -> Sent:
    """A CloudEvent in JSON. Raises Problem 422."""
    if not isinstance(document, dict):
        return plain(document)  # which says so
    return _event(document, IN_BODY)


def binary(fields: Fields, data: Any) -> Sent:
    """A CloudEvent whose attributes are `ce-` fields and whose data is the body. Raises Problem 400 or 422."""
    ours = [(name, value) for name, value in fields if name[:3] == b"ce-"]
    attributes = {name[3:].decode("latin-1"): _text(name, value) for name, value in ours}
    if len(attributes) < len(ours):
        raise Problem(400, "A ce- field came more than once.")
    for name in ("data", "datacontenttype"):
        if name in attributes:
            raise _wrong([_error(IN_HEADERS, name, "is not a field of the binary mode")])
    return _event({**attributes, "data": data}, IN_HEADERS)


def _event(document: dict[str, Any], places: Places) -> Sent:
    errors = [
        _error(places, name, "is required by CloudEvents 1.0")
        for name in REQUIRED
        if document.get(name) is None or document[name] == ""
    ]
    if not errors and document["specversion"] != "1.0":
        errors.append(_error(places, "specversion", "must be 1.0"))
    media_type = document.get("datacontenttype")
    if media_type is None:
        media_type = "application/json"
    if not isinstance(media_type, str) or not JSON_TYPE.fullmatch(media_type):
        errors.append(_error(places, "datacontenttype", "must be JSON in UTF-8: the data of every event is"))
    extensions = {name: value for name, value in document.items() if name not in CORE and value is not None}
    if document.get("dataschema") is not None:
        extensions["dataschema"] = document["dataschema"]
    errors += _extension_errors(extensions, places)
    if errors:
        raise _wrong(errors)
    core = {name: document[name] for name in PostedEvent.model_fields if document.get(name) is not None}
    try:
        return Sent(PostedEvent.model_validate(core), extensions, places)
    except ValidationError as error:
        problem = invalid(error.errors(include_url=False), core)
        if places is IN_BODY:
            raise problem from None
        raise _wrong([_in_header(each) for each in problem.errors]) from None


def _extension_errors(extensions: dict[str, Any], places: Places) -> list[dict[str, str]]:
    if len(extensions) > MAX_EXTENSIONS:
        return [_error(places, "", f"there may be {MAX_EXTENSIONS} extension attributes")]
    found = ((name, _why_not(name, value)) for name, value in extensions.items())
    return [_error(places, name, why) for name, why in found if why]


def _why_not(name: str, value: Any) -> str:
    """What is wrong with an extension attribute, or nothing."""
    if name == "dataschema":
        fits = isinstance(value, str) and len(value) <= MAX_EXTENSION_CHARS and is_uri(value)
        return "" if fits else f"must be a URI (RFC 3986) of at most {MAX_EXTENSION_CHARS} characters"
    if name == "data_base64":
        return "is not taken: the data of every event is JSON"
    if name in RESERVED:
        return "is written by Luna itself"
    if not NAME.fullmatch(name):
        return "is no name of an attribute: these are 1 to 20 lower-case letters and digits"
    if isinstance(value, str):
        fits = 0 < len(value) <= MAX_EXTENSION_CHARS and not CONTROL.search(value)
        return "" if fits else f"must be 1 to {MAX_EXTENSION_CHARS} characters, none of them control characters"
    fits = isinstance(value, bool) or (isinstance(value, int) and value in INTEGER)
    return "" if fits else "must be a string, a boolean or a 32-bit integer"


def _text(name: bytes, value: bytes) -> str:
    """The value of a `ce-` field: percent-encoded UTF-8 (HTTP binding, 3.1.3.2)."""
    try:
        if not value.isascii() or re.search(rb"%(?![0-9A-Fa-f]{2})", value):
            raise ValueError  # noqa: TRY301 one sentence for all that is no such text
        return unquote_to_bytes(value).decode()
    except ValueError:
        raise Problem(
            400,
            "A ce- field is not percent-encoded UTF-8.",
            errors=[{"detail": "must be percent-encoded UTF-8", "header": name.decode("latin-1")}],
        ) from None


def _in_header(error: Any) -> dict[str, str]:
    name = error["pointer"].split("/")[1]
    return error if name == "data" else {"detail": error["detail"], **IN_HEADERS.attribute(name)}


def _error(places: Places, name: str, detail: str) -> dict[str, str]:
    return {"detail": detail, **places.attribute(name)}


def _wrong(errors: list[dict[str, str]]) -> Problem:
    return Problem(422, "This is not a CloudEvent that may be posted.", errors=errors)

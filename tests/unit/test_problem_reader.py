"""The reader of problem documents that the tests trust: it takes a good one, and nothing else."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest

from tests.problems import problem

HEADERS = {"content-type": "application/problem+json", "cache-control": "no-store"}
GOOD: dict[str, Any] = {
    "status": 422,
    "title": HTTPStatus(422).phrase,
    "detail": "A field is wrong.",
    "errors": [{"detail": "must be a string", "pointer": "/a~1b/0"}],
}


def test_a_good_one_is_read() -> None:
    assert problem(422, HEADERS, json.dumps(GOOD).encode()) == GOOD


@pytest.mark.parametrize(
    "changed",
    [
        {"status": 400},
        {"status": "422"},
        {"status": True},
        {"title": "Wrong"},
        {"title": None},
        {"detail": ""},
        {"detail": 'Traceback (most recent call last): File "x"'},
        {"type": "relative"},
        {"instance": 1},
        {"a-b": 1},
        {"ab": 1},
        {"errors": [{"detail": "x"}]},
        {"errors": [{"detail": "x", "pointer": "a"}]},
        {"errors": [{"detail": "x", "pointer": "/~2"}]},
        {"errors": [{"detail": "", "pointer": "/a"}]},
        {"errors": [{"detail": "x", "pointer": "/a", "header": "b"}]},
        {"more": float("nan")},
    ],
)
def test_what_keeps_not_to_the_letter_is_none(changed: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        problem(422, HEADERS, json.dumps({**GOOD, **changed}).encode())


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (422, {"content-type": "application/json"}),
        (422, {"cache-control": "private"}),
        (401, {"www-authenticate": ""}),
        (405, {"allow": ""}),
        (503, {"retry-after": "soon"}),
        (200, {}),
    ],
)
def test_the_fields_of_the_answer_count_too(status: int, headers: dict[str, str]) -> None:
    document = {"status": status, "type": "https://example.com/x", "title": "x", "detail": "x"}
    with pytest.raises(AssertionError):
        problem(status, {**HEADERS, **headers}, json.dumps(document).encode())


def test_a_name_may_not_stand_twice() -> None:
    body = json.dumps(GOOD).encode().replace(b"{", b'{"status": 422, ', 1)
    with pytest.raises(AssertionError, match="twice"):
        problem(422, HEADERS, body)

"""A gateway in the place of httpx's network: it stores events once per id, and fails as it is told to."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

import httpx

URL = "http://gateway.test"
Fault: TypeAlias = httpx.Response | httpx.RequestError | Callable[[list[dict[str, Any]]], httpx.Response]


class FakeGateway:
    """`faults` are answered first, one for each request; `refuse` and `put_off` name types of events."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = deque(faults)
        self.stored: dict[str, dict[str, Any]] = {}
        self.requests: list[httpx.Request] = []
        self.refuse: set[str] = set()
        self.put_off: set[str] = set()
        self.traces: deque[dict[str, Any]] = deque()
        self.away = False
        self.lock = threading.Lock()

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    @property
    def ids(self) -> list[str]:
        """Of what is stored, in the order of its arrival."""
        return list(self.stored)

    def sent(self) -> list[list[str]]:
        """The ids in each request."""
        return [[event["id"] for event in events_in(request)] for request in self.requests]

    def answer(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.requests.append(request)
            fault = self.faults.popleft() if self.faults else None
            if self.away:
                raise httpx.ConnectError("connection refused")
            if isinstance(fault, httpx.RequestError):
                raise fault
            if isinstance(fault, httpx.Response):
                return fault
            if request.method == "GET":
                return httpx.Response(200, json=self.traces.popleft())
            events = events_in(request)
            return fault(events) if fault else self.store(events, batch=request.content.startswith(b"["))

    def store(self, events: list[dict[str, Any]], *, batch: bool = True) -> httpx.Response:
        results = [self._one(event) for event in events]
        if batch:
            all_in = all(result["status"] == "accepted" for result in results)
            return httpx.Response(202 if all_in else 207, json=results)
        (result,) = results
        return httpx.Response(202, json=result) if result["status"] == "accepted" else problem_of(result["problem"])

    def _one(self, event: dict[str, Any]) -> dict[str, Any]:
        if event["type"] in self.refuse:
            return {"status": "refused", "problem": {"status": 422, "detail": "There is no such event to post."}}
        if event["type"] in self.put_off:
            return {"status": "refused", "problem": {"status": 503, "detail": "The queue is full."}}
        duplicate = event["id"] in self.stored
        self.stored.setdefault(event["id"], event)
        return accepted(event, duplicate=duplicate)


def accepted(event: dict[str, Any], *, duplicate: bool = False) -> dict[str, Any]:
    return {
        "id": event["id"],
        "source": event.get("source", "/callers/ada"),
        "type": event["type"],
        "status": "accepted",
        "duplicate": duplicate,
        "status_url": f"{URL}/v1/events/{event['id']}",
    }


def problem(status: int, detail: str = "no", **headers: str) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={"status": status, "detail": detail}, headers=given)


def problem_of(document: dict[str, Any]) -> httpx.Response:
    return httpx.Response(document["status"], json=document)


def events_in(request: httpx.Request) -> list[dict[str, Any]]:
    document = json.loads(request.content or b"[]")
    return document if isinstance(document, list) else [document]

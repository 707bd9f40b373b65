"""`luna publish`: post one event through the gateway, and follow it to its end."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated, Any
from uuid import uuid4

import httpx
import typer

from workers import settings
from workers.cli.output import console, print_json, print_trace
from workers.cli.token import issue
from workers.errors import LunaError
from workers.settings import Settings

SCOPES = frozenset({"events:write", "events:read"})
TIMEOUT_S = 10.0
POLL_S = 0.1


def publish(
    event_type: Annotated[
        str, typer.Argument(metavar="TYPE", help="The event's type; `luna events types` lists them.")
    ],
    data: Annotated[
        str, typer.Argument(metavar="[JSON]", help="Its data; - reads it from standard input.", show_default=False)
    ] = "{}",
    event_id: Annotated[str | None, typer.Option("--id", help="Its id; the same id twice has one effect.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it, and all that comes of it, to the end.")] = False,
    timeout: Annotated[float, typer.Option(help="With --wait: give up after this many seconds.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Publish an event. With --wait the exit status says whether everything succeeded.

    `luna events types` shows an example of every type's data.

    Example: luna publish TYPE '{"field": "value"}' --wait
    """
    loaded = settings.load()
    identifier = event_id or str(uuid4())  # ours, so that it can be sent again under the same one
    try:
        document = {"type": event_type, "id": identifier, "data": json.loads(sys.stdin.read() if data == "-" else data)}
    except json.JSONDecodeError as error:
        raise LunaError(f"the data is not JSON: {error}") from None
    with _gateway(loaded) as gateway:
        accepted = _call(gateway, "POST", "/v1/events", json=document)
        if not wait:
            _report(accepted, as_json=as_json)
            return
        path = accepted["status_url"].removeprefix(loaded.gateway_url)
        trace = _follow(gateway, path, time.monotonic() + timeout)
    print_json(trace) if as_json else print_trace(trace)
    if not _all(trace, {"done"}):
        sys.exit(1)


def _gateway(loaded: Settings) -> httpx.Client:
    headers = {"Authorization": f"Bearer {issue(loaded, 'luna-cli', SCOPES, 3600)}"}
    return httpx.Client(base_url=loaded.local_url, headers=headers, timeout=TIMEOUT_S)


def _call(gateway: httpx.Client, method: str, path: str, **options: Any) -> dict[str, Any]:
    try:
        answer = gateway.request(method, path, **options)
    except httpx.TransportError:
        raise LunaError(f"no gateway answers at {gateway.base_url}; start one with `luna up`") from None
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and "json" in options:
        raise LunaError(f"{_reason(answer)}\n  it is safe to repeat with --id {options['json']['id']}")
    if answer.is_error:
        raise LunaError(_reason(answer))
    return dict(answer.json())


def _reason(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
    except ValueError:
        return f"the gateway answered {answer.status_code}"
    places = "".join(f"\n  {error['pointer'] or '/'}: {error['detail']}" for error in problem.get("errors", []))
    return f"{answer.status_code} {problem.get('title')}: {problem.get('detail')}{places}"


def _follow(gateway: httpx.Client, path: str, deadline: float) -> dict[str, Any]:
    with console.status("waiting; Ctrl-C stops the waiting, not the event"):
        while not _all(trace := _call(gateway, "GET", path), {"done", "dead"}):
            if time.monotonic() > deadline:
                raise LunaError(f"not all is done yet; `luna events trace {trace['id']}` shows how far it is")
            time.sleep(POLL_S)
    return trace


def _all(trace: dict[str, Any], statuses: set[str]) -> bool:
    return trace["status"] in statuses and all(_all(child, statuses) for child in trace["follow_ups"])


def _report(accepted: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(accepted)
    else:
        print(f"{'already there' if accepted['duplicate'] else 'accepted'}  {accepted['id']}  {accepted['status_url']}")

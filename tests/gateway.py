"""The gateway as the tests call it: `Gateway` inside this process, `WebProcess` as the process that serves it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Self, cast

import httpx
from starlette.datastructures import State
from starlette.types import ASGIApp

from api_gateway.app import create_app
from api_gateway.door import Door
from api_gateway.endpoints import Endpoints
from api_gateway.intake import Intake
from tests.servers import eventually, free_port
from workers.database import Database
from workers.errors import UnavailableError
from workers.queue.backlog import Backlog
from workers.queue.publisher import Answer, AsyncPublisher, Posting
from workers.security.addresses import Proxies
from workers.security.callers import Caller, InvalidCredentialError
from workers.security.limits import Bucket, Decision, Limits
from workers.security.tokens import Tokens
from workers.settings import Settings

SECRET = "a-secret-of-the-tests-that-is-long-enough"
SIGNED_UP: dict[str, Any] = {"type": "user.signed_up", "data": {"email": "ada@example.com", "name": "Ada Lovelace"}}


def bearer(subject: str, *scopes: str, ttl_s: int = 600) -> dict[str, str]:
    """The header of a caller."""
    token = Tokens((SECRET,), issuer="luna", audience="luna").issue(subject, frozenset(scopes), ttl_s)
    return {"Authorization": f"Bearer {token}"}


ADA = bearer("ada", "events:write", "events:read")
BOB = bearer("bob", "events:write", "events:read")
OPERATOR = bearer("op", "ops:read")


def settings(redis_url: str, **others: str) -> Settings:
    """Those of a gateway without limits: most tests ask more often than a caller may."""
    given = {"REDIS_URL": redis_url, "JWT_SECRET": SECRET, "LUNA_RATE_LIMITS": "off", **others}
    return Settings.model_validate(given)


class Standing:
    """Credentials and limits that a test sets: who each credential stands for, and what is refused."""

    def __init__(self, callers: dict[str, Caller] | None = None, refused: Decision | None = None) -> None:
        self.callers, self.refused = callers or {}, refused
        self.taken: list[tuple[tuple[str, ...], int]] = []

    def remembered(self, credential: str) -> Caller | None:
        return self.callers.get(credential)

    async def verify(self, credential: str) -> Caller:
        raise InvalidCredentialError(f"a reason that is ours alone, {len(credential)} characters")

    def known(self, _buckets: Sequence[Bucket], _cost: int = 1) -> Decision | None:
        return self.refused

    async def take(self, buckets: Sequence[Bucket], cost: int = 1) -> Decision:
        self.taken.append((tuple(bucket.policy.name for bucket in buckets), cost))
        return self.refused or Decision()


def state(limits: str = "off", standing: Standing | None = None) -> State:
    """What the door needs of an application's state."""
    standing = standing or Standing()
    return State({"proxies": Proxies(), "limits": Limits.parse(limits), "limiter": standing, "credentials": standing})


def door(app: ASGIApp, limits: str = "off", standing: Standing | None = None) -> Door:
    """The door before an application."""
    return Door(app, state=state(limits, standing), endpoints=Endpoints([]), secure=False)


class _Away:
    async def publish_all(self, postings: Sequence[Posting]) -> list[Answer]:
        return [UnavailableError("Redis", "Error 111 connecting to redis.internal") for _ in postings]

    put_all = publish_all


class _Calm:
    def behind(self, _type: str) -> bool:
        return False


class Gateway:
    """The whole application, lifespan included; requests reach it without a network."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.app = create_app(settings, database)
        self._runner = asyncio.Runner()
        self._lifespan: AbstractAsyncContextManager[Any] = self.app.router.lifespan_context(self.app)
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False), base_url="http://gateway"
        )

    def __enter__(self) -> Self:
        self._runner.run(self._lifespan.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.aclose())
        self._runner.run(self._lifespan.__aexit__(None, None, None))
        self._runner.close()

    def lose_the_store(self) -> None:
        """From now on nothing can be stored."""
        self.app.state.intake = Intake(cast("AsyncPublisher", _Away()), cast("Backlog", _Calm()), "http://gateway")

    def call(self, method: str, url: str, **options: Any) -> httpx.Response:
        return self._runner.run(self._client.request(method, url, **options))

    def get(self, url: str, headers: dict[str, str], **options: Any) -> httpx.Response:
        return self.call("GET", url, headers=headers, **options)

    def post(self, event: Any, headers: dict[str, str] = ADA) -> httpx.Response:
        return self.call("POST", "/v1/events", headers=headers, json=event)

    def post_bytes(self, body: Any, **headers: str) -> httpx.Response:
        return self.call(
            "POST", "/v1/events", headers={**ADA, "Content-Type": "application/json"} | headers, content=body
        )

    def post_together(self, events: Sequence[Any], headers: dict[str, str] = ADA) -> list[httpx.Response]:
        """All of them at the same time."""

        async def posting() -> list[httpx.Response]:
            return await asyncio.gather(
                *(self._client.post("/v1/events", headers=headers, json=event) for event in events)
            )

        return self._runner.run(posting())


class WebProcess:
    """`python -m api_gateway` with these variables and no others; what it says is in `log`."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.port = int(environment.get("LUNA_PORT") or free_port())
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20)
        self.log = folder / "web.log"
        self._environment = {
            "PATH": os.environ["PATH"],
            "LUNA_DATA_DIR": str(folder / "var"),
            "LUNA_PORT": str(self.port),
            "JWT_SECRET": SECRET,
            "LUNA_RATE_LIMITS": "off",
            "LUNA_DURABILITY": "memory",  # what the server that tests share promises
            **environment,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api_gateway"],
                cwd=folder,
                env=self._environment,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def __enter__(self) -> Self:
        eventually(self._answers, what="the gateway's first answer")
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.process.kill()
        self.process.wait(10)

    def post(self, event: Any, headers: dict[str, str] = ADA) -> httpx.Response:
        return self.http.post("/v1/events", headers=headers, json=event)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def lines(self) -> list[dict[str, Any]]:
        """What it logged, one dict a line: it must run with LUNA_ENV=production."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return self.listens() and self.http.get("/health/live").is_success

"""Runs the client's calls over HTTP, blocking or with asyncio: the only place where the client touches a network."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from workers import __version__
from workers.client.calls import Renew, Send, Step, Steps, Wait
from workers.client.credentials import Credentials
from workers.client.errors import ClientError
from workers.client.forks import watch
from workers.client.results import Reply

CONNECTIONS = httpx.Limits(max_connections=20, max_keepalive_connections=20, keepalive_expiry=4)
"""Idle connections are dropped before the gateway's server drops them (after 5 s)."""

T = TypeVar("T")


@dataclass(frozen=True)
class Address:
    """Where the gateway is, and how it is reached. Nothing of it comes from the environment."""

    url: str
    tls: ssl.SSLContext | None = None
    proxy: str | None = field(default=None, repr=False)  # it may hold a password
    transport: httpx.MockTransport | None = None

    @cached_property
    def _verify(self) -> ssl.SSLContext:
        return self.tls or httpx.create_ssl_context(trust_env=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ClientError("the gateway's URL must look like https://events.example.com")
        if "@" in parts.netloc:
            raise ClientError("the gateway's URL must hold no password; the token is what it asks for")

    def options(self) -> dict[str, Any]:
        """What httpx's clients are made with."""
        return {
            "base_url": self.url,
            "headers": {"User-Agent": f"luna-python/{__version__}", "Accept": "application/json"},
            "limits": CONNECTIONS,
            "verify": self._verify,
            "proxy": self.proxy,
            "transport": self.transport,
            "trust_env": False,
        }


class Wire:
    """Blocking; thread-safe."""

    def __init__(self, address: Address, credentials: Credentials) -> None:
        self._address = address
        self._credentials = credentials
        self.forked()
        watch(self)

    def forked(self) -> None:
        """Connections of one's own."""
        self._http = httpx.Client(**self._address.options())

    def run(self, steps: Steps[T]) -> T:
        """Do what the steps say; what they return."""
        reply: Reply | None = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = self._do(step)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _do(self, step: Step) -> Reply | None:
        match step:
            case Wait(seconds):
                time.sleep(seconds)
            case Renew(stale):
                self._credentials.renew(stale)
            case Send():
                try:
                    return self._http.request(**_request(step, self._credentials))
                except httpx.RequestError as error:
                    return error
        return None


class AsyncWire:
    """The same for asyncio; one event loop each."""

    def __init__(self, address: Address, credentials: Credentials) -> None:
        self._address = address
        self._credentials = credentials
        self.forked()
        watch(self)

    def forked(self) -> None:
        """Connections of one's own."""
        self._http = httpx.AsyncClient(**self._address.options())

    async def run(self, steps: Steps[T]) -> T:
        """Do what the steps say; what they return."""
        reply: Reply | None = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = await self._do(step)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _do(self, step: Step) -> Reply | None:
        match step:
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Renew(stale):
                await asyncio.to_thread(self._credentials.renew, stale)
            case Send():
                try:
                    return await self._http.request(**_request(step, self._credentials))
                except httpx.RequestError as error:
                    return error
        return None


def _request(send: Send, credentials: Credentials) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {credentials.token}"}
    if send.content is not None:
        headers["Content-Type"] = "application/json"
    if send.correlation_id is not None:
        headers["X-Correlation-ID"] = send.correlation_id
    return {
        "method": send.method,
        "url": send.path,
        "content": send.content,
        "headers": headers,
        "timeout": send.timeout_s,
    }

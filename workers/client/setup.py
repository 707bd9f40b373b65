"""What `Luna` and `AsyncLuna` are made of: the options of both, and the parts that come of them."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict, Unpack

import httpx

from workers.client.batches import MAX_BATCH_EVENTS
from workers.client.calls import Calls
from workers.client.credentials import Credentials
from workers.client.errors import ClientError
from workers.client.event import NewEvent
from workers.client.outbox import Outbox
from workers.client.results import RefusedEvent
from workers.client.sender import Sender
from workers.client.spool import Spool
from workers.client.store import Memory
from workers.client.wire import Address, Wire

DEADLINE_S, TIMEOUT_S = 30.0, 10.0
LINGER_S = 0.02
CAPACITY_BYTES = 64 * 1024 * 1024
SMALLEST_CAPACITY = 1024 * 1024
ENQUEUE_S, FLUSH_S, CLOSE_S, FOLLOW_S = 5.0, 30.0, 5.0, 60.0


class Options(TypedDict, total=False):
    """What a client can be told; all of it has a default, and none of it is read from the environment."""

    deadline: float
    """seconds that a call may take with all its tries; 30"""
    timeout: float
    """seconds that one try may take; 10"""
    spool: str | os.PathLike[str] | None
    """the file in which enqueued events wait; in memory if not given"""
    capacity: int
    """bytes that may wait, in memory or in the spool; 64 MB, at least 1 MB"""
    linger: float
    """seconds that an enqueued event may wait for others to share its request; 0.02"""
    batch: int
    """events in one request; 1,000, which is the most that the gateway takes"""
    on_refused: Callable[[RefusedEvent], None] | None
    """called in the sender's thread with each enqueued event that the gateway refused (after a crash perhaps twice)"""
    tls: ssl.SSLContext | None
    """for certificates of your own; the public authorities' if not given"""
    proxy: str | None
    """URL of an HTTP proxy"""
    transport: httpx.MockTransport | None
    """stands in for the network in your tests"""


@dataclass(frozen=True)
class Parts:
    """One client."""

    address: Address
    credentials: Credentials
    calls: Calls
    outbox: Outbox


def assemble(url: str, token: str | Callable[[], str], **options: Unpack[Options]) -> Parts:
    """The parts of a client. Raises ClientError for what cannot be meant."""
    address = Address(url, options.get("tls"), options.get("proxy"), options.get("transport"))
    credentials = Credentials(token)
    calls = Calls(
        credentials,
        deadline_s=options.get("deadline", DEADLINE_S),
        timeout_s=options.get("timeout", TIMEOUT_S),
        most=_within(options.get("batch", MAX_BATCH_EVENTS), 1, MAX_BATCH_EVENTS, "batch"),
    )
    capacity = _within(options.get("capacity", CAPACITY_BYTES), SMALLEST_CAPACITY, 2**40, "capacity")
    spool = options.get("spool")

    def make() -> Sender:
        return Sender(
            Memory(capacity) if spool is None else Spool(Path(spool).absolute(), capacity),
            calls,
            Wire(address, credentials),
            linger_s=options.get("linger", LINGER_S),
            on_refused=options.get("on_refused"),
        )

    outbox = Outbox(make)
    if spool is not None:
        outbox.begin()  # what an earlier process left is sent without waiting for a new event
    return Parts(address, credentials, calls, outbox)


def made(type: str, data: Any, **attributes: str | datetime | None) -> NewEvent:
    """An event with those attributes that are given."""
    given: dict[str, Any] = {name: value for name, value in attributes.items() if value is not None}
    return NewEvent(type, data, **given)


def _within(value: int, least: int, most: int, name: str) -> int:
    if not least <= value <= most:
        raise ClientError(f"{name} must be from {least} to {most}")
    return value

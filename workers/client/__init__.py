"""The Python client: what a service imports to publish events. `Luna` blocks, `AsyncLuna` is for asyncio.

It needs httpx and nothing of Luna's server parts. What each name promises is in docs/client.md.
"""

from workers.client.aio import AsyncLuna
from workers.client.errors import BufferFullError, ClientError, InvalidEventError, Refused, SpoolError, Unavailable
from workers.client.event import NewEvent
from workers.client.results import Accepted, RefusedEvent, Result
from workers.client.sync import Luna

__all__ = [
    "Accepted",
    "AsyncLuna",
    "BufferFullError",
    "ClientError",
    "InvalidEventError",
    "Luna",
    "NewEvent",
    "Refused",
    "RefusedEvent",
    "Result",
    "SpoolError",
    "Unavailable",
]

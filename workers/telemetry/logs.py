"""Logs: structlog, one event name and fields a line; readable in development, JSON in production.

Records of other libraries pass through the same pipe, so every line of a process looks alike.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, BinaryIO, cast

import orjson
import structlog
from structlog.contextvars import bind_contextvars

from workers.event import Event, now

NOISY = {
    "dramatiq": logging.WARNING,
    "dramatiq.worker.WorkerThread": logging.CRITICAL,  # it prints whole messages; `LogContext` tells of each outcome
    "apscheduler": logging.WARNING,
    "alembic": logging.WARNING,
    "httpx": logging.WARNING,
    "uvicorn": logging.WARNING,
}


def configure(process: str, *, production: bool) -> None:
    """Route all logging of this process to standard error; `process` is on every line."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _timed,
        _named(process),
    ]
    rendering: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json)]
    if not production:
        plain = structlog.dev.plain_traceback  # structlog's default shows local variables: tokens, addresses, bodies
        colors = sys.stderr.isatty()
        rendering = [structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, exception_formatter=plain), _encoded]
    lines = _Lines()
    structlog.configure(
        processors=[*shared, *rendering],
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", lines)),  # not by way of logging: a third as long
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering, _decoded],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name, level in NOISY.items():
        logging.getLogger(name).setLevel(level)


def bind(event: Event, **more: str | int) -> None:
    """Put the event's id, correlation id and type on every line of this context from now on, and what is given."""
    bind_contextvars(event_id=event.id, correlation_id=event.correlation, event_type=event.type, **more)


class _Lines:
    """Standard error, for bytes and text. Nobody may be at its other end any more: no work fails over that."""

    def __init__(self) -> None:
        self._bytes = getattr(sys.stderr, "buffer", None)  # Dramatiq's worker processes have a pipe there, for text
        self._lock = threading.Lock()  # one for our lines and those of other libraries

    def write(self, line: bytes | str) -> None:
        with self._lock, suppress(OSError):
            if self._bytes is None:
                sys.stderr.write(line.decode() if isinstance(line, bytes) else line)
            else:
                self._bytes.write(line if isinstance(line, bytes) else line.encode(errors="backslashreplace"))

    def flush(self) -> None:
        with suppress(OSError):
            (self._bytes or sys.stderr).flush()


def _json(event: Any, default: Any = None) -> bytes:
    try:
        return orjson.dumps(event, default=default)
    except TypeError:  # what orjson does not know: long integers, lone surrogates
        return json.dumps(event, default=default).encode()


def _encoded(_logger: Any, _method: str, line: Any) -> bytes:
    return str(line).encode(errors="backslashreplace")


def _decoded(_logger: Any, _method: str, line: Any) -> str:
    return bytes(line).decode()


def _timed(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["timestamp"] = now()
    return event


def _named(process: str) -> Any:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event

    return add

"""Emitting hooks around a delivery: in Dramatiq's order, only those that a middleware has, and none too early.

While a message is processed, what its hooks enqueue belongs to it; `after_ack` and `after_nack` wait for Redis.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import redis
import structlog
from dramatiq import Broker, Middleware
from dramatiq.middleware import MiddlewareError, SkipMessage
from dramatiq.middleware.threading import Interrupt

from workers.queue.delivery import Delivery

log = structlog.get_logger(__name__)


class HookedBroker(Broker):
    """A broker that knows which delivery each thread is processing."""

    def __init__(self, middleware: list[Middleware] | None) -> None:
        self._hooks: dict[str, list[Callable[..., None]]] = {}
        self._processing = threading.local()
        self.running: dict[int, Delivery] = {}
        """thread id to what it runs"""
        super().__init__(middleware)

    @property
    def processed(self) -> Delivery | None:
        """The delivery whose hooks this thread is running, if any."""
        return getattr(self._processing, "delivery", None)

    def add_middleware(self, middleware: Middleware, **where: Any) -> None:
        """See Broker."""
        super().add_middleware(middleware, **where)
        self._hooks.clear()

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """See Broker. While a message is processed, what its hooks enqueue belongs to it."""
        if signal == "process_message":
            self._begin(args[0])
        if signal == "ack":
            self._forsake_interrupted(args[0])
        name = f"before_{signal}"
        for hook in self._hooks_of(name):
            try:
                hook(self, *args, **kwargs)
            except MiddlewareError:
                if signal not in {"ack", "nack"}:
                    raise
                log.critical("hook.failed", hook=name, exc_info=True)  # it cannot undo what has been done
            except Exception:
                log.critical("hook.failed", hook=name, exc_info=True)
        if signal == "process_message":
            self._processing.delivery = None  # what the actor enqueues is stored at once, and fails in the actor

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """See Broker. `after_ack` and `after_nack` are held back until the settlement is confirmed."""
        if signal in {"ack", "nack"}:
            self._processing.delivery = None
            return
        if signal in {"process_message", "skip_message"}:
            self._end(args[0], kwargs.get("exception"))
        self._emit_after(signal, *args, **kwargs)
        if signal in {"process_message", "skip_message"}:
            args[0].concluded = True
        if signal == "process_message" and kwargs.get("exception") is not None:
            args[0].decide()

    def _emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        name = f"after_{signal}"
        for hook in reversed(self._hooks_of(name)):
            try:
                hook(self, *args, **kwargs)
            except Exception:
                log.critical("hook.failed", hook=name, exc_info=True)
                if signal == "process_message":
                    args[0].hook_failed = True
            except Interrupt:
                if signal != "process_message":
                    raise
                log.warning("hook.interrupted", hook=name)
                args[0].lost = True  # a time limit that fired too late: settle nothing, it comes again

    def _hooks_of(self, name: str) -> list[Callable[..., None]]:
        found = self._hooks.get(name)
        if found is None:
            plain = getattr(Middleware, name)
            hooks = (getattr(middleware, name) for middleware in self.middleware)
            found = self._hooks[name] = [hook for hook in hooks if getattr(hook, "__func__", None) is not plain]
        return found

    def _begin(self, delivery: Delivery) -> None:
        self._processing.delivery = delivery
        delivery.begin()
        if (delivery.again or delivery.lost) and not self._may_run(delivery):
            self._processing.delivery = None
            raise SkipMessage("another worker has this message by now")
        self.running[threading.get_ident()] = delivery

    def _may_run(self, delivery: Delivery) -> bool:
        try:
            delivery.lost = not delivery.lane.begin(delivery)
        except redis.RedisError as error:
            log.warning("message.not_begun", message_id=delivery.message_id, error=str(error))
            delivery.lost = True  # not begun, and its lease not renewed: it comes again
        return not delivery.lost

    def _end(self, delivery: Delivery, error: BaseException | None) -> None:
        self.running.pop(threading.get_ident(), None)
        self._processing.delivery = delivery
        if not delivery.lost:
            delivery.end(error)

    def _forsake_interrupted(self, delivery: Delivery) -> None:
        """An interrupt that hits Dramatiq's own code, after the actor, would make a failed message a done one."""
        if delivery.started_at and not delivery.concluded:
            self.running.pop(threading.get_ident(), None)
            delivery.lost = True  # settle nothing, it comes again

    def reject(self, delivery: Delivery) -> None:
        """Tell hooks of a message that is dead without having been run."""
        self._processing.delivery = delivery
        try:
            self.emit_before("nack", delivery)
        except MiddlewareError:
            log.exception("message.rejected_all_the_same", message_id=delivery.message_id)
        finally:
            self._processing.delivery = None

    def confirmed(self, delivery: Delivery) -> None:
        """Tell hooks of a settlement that Redis has confirmed."""
        self._emit_after("nack" if delivery.failed else "ack", delivery)

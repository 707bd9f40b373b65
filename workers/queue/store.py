"""Writing Dramatiq messages to their queues: at once or aside until they are due. It knows no hooks."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex
from typing import Any

from dramatiq import Message
from redis import Redis

from workers import keys
from workers.queue.delivery import Outgoing
from workers.queue.encoding import encode
from workers.queue.limits import MAX_MESSAGE_BYTES, MessageTooLargeError
from workers.queue.scripts import DELAY, STORE

PIPELINED = 1_000


def encoded(message: Message[Any], delay: int | None) -> Outgoing:
    """The message as it is written, its delay in ms and not below 0. Raises MessageTooLargeError."""
    body = encode(message)
    if len(body) > MAX_MESSAGE_BYTES:
        raise MessageTooLargeError(
            f"the message for {message.actor_name} has {len(body)} bytes; the limit is {MAX_MESSAGE_BYTES}"
        )
    return message, None if delay is None else max(0, int(delay)), body


class MessageStore:
    """The queues of one server. Every method raises redis.RedisError when it is not confirmed."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def add(self, messages: Sequence[Outgoing]) -> None:
        """Write messages, in one pipeline where there are many."""
        ready = [(message, body) for message, delay, body in messages if delay is None]
        if len(ready) == 1:
            self._client.execute_command("XADD", keys.stream(ready[0][0].queue_name), "*", "m", ready[0][1])
        for first in range(0, len(ready) if len(ready) > 1 else 0, PIPELINED):
            pipeline = self._client.pipeline(transaction=False)
            for message, body in ready[first : first + PIPELINED]:
                pipeline.execute_command("XADD", keys.stream(message.queue_name), "*", "m", body)
            pipeline.execute()
        for message, delay, body in messages:
            if delay is not None:
                self._put_aside(message.queue_name, delay, body)

    def add_follow_up(self, message: Message[Any], delay: int | None, body: bytes) -> None:
        """Write what follows from accepted work, also on a full server, so that it drains."""
        if delay is None:
            STORE.run(self._client, [keys.stream(message.queue_name)], [body])
        else:
            self._put_aside(message.queue_name, delay, body)

    def drop(self, queue: str) -> None:
        """Drop what is ready or delayed on a queue."""
        self._client.xtrim(keys.stream(queue), maxlen=0, approximate=False)
        self._client.delete(keys.delayed(queue), keys.delayed_messages(queue))

    def holds(self, queue: str) -> bool:
        """Whether anything is ready, running or delayed on a queue."""
        pipeline = self._client.pipeline()  # one moment for both: messages move between them
        pipeline.xlen(keys.stream(queue))
        pipeline.zcard(keys.delayed(queue))
        return any(pipeline.execute())

    def _put_aside(self, queue: str, delay: int, body: bytes) -> None:
        DELAY.run(self._client, [keys.delayed(queue), keys.delayed_messages(queue)], [token_hex(12), delay, body])

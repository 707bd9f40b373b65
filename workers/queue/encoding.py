"""Messages on the wire: JSON, as Dramatiq's own encoder writes it, by orjson. An encoder that a user sets is used."""

from __future__ import annotations

import time
from typing import Any

import orjson
from dramatiq import Message, get_encoder
from dramatiq.encoder import JSONEncoder

from workers.event import random_digits

OTHER = b" "
"""Begins what orjson must not read, since it reads long integers as floats. White space: it is JSON all the same."""


def encode(message: Message[Any]) -> bytes:
    """The message as bytes. Raises what the encoder raises."""
    if type(get_encoder()) is JSONEncoder:
        try:
            return orjson.dumps(message, option=orjson.OPT_NON_STR_KEYS)
        except TypeError:
            return OTHER + message.encode()  # what orjson does not know, such as integers beyond 64 bits
    return message.encode()


def encode_new(queue: str, actor: str, kwargs: dict[str, Any]) -> bytes:
    """A new message for an actor. Raises what the encoder raises."""
    fields: dict[str, Any] = {
        "queue_name": queue,
        "actor_name": actor,
        "args": (),
        "kwargs": kwargs,
        "options": {},
        "message_id": random_digits(),
        "message_timestamp": time.time_ns() // 1_000_000,
    }
    if type(get_encoder()) is JSONEncoder:
        try:
            return orjson.dumps(fields)  # keys that are no text are rare: `encode` knows them
        except TypeError:
            pass  # see `encode`
    return encode(Message(**fields))


def decode(data: bytes) -> Message[Any]:
    """The message in the bytes. Raises DecodeError."""
    if type(get_encoder()) is not JSONEncoder:
        return Message.decode(data)
    if data.startswith(OTHER):
        return Message.decode(data)
    try:
        fields = orjson.loads(data)
        return Message(
            fields["queue_name"],
            fields["actor_name"],
            tuple(fields["args"]),
            fields["kwargs"],
            fields["options"],
            fields["message_id"],
            fields["message_timestamp"],
        )
    except (ValueError, KeyError, TypeError):
        return Message.decode(data)  # its error says why

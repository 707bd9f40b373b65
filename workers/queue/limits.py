"""What a message may be."""

from __future__ import annotations

from workers.errors import PermanentError

MAX_MESSAGE_BYTES = 256 * 1024


class MessageTooLargeError(PermanentError):
    """The encoded message is over MAX_MESSAGE_BYTES."""

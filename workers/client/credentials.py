"""The caller's token: a string, or a function that makes one, asked again when the gateway answers 401."""

from __future__ import annotations

import threading
from collections.abc import Callable

from workers.client.errors import ClientError
from workers.client.forks import watch


class Credentials:
    """Thread-safe; `token` is None until a function was asked. It is never printed."""

    def __init__(self, token: str | Callable[[], str]) -> None:
        self._make = token if callable(token) else None
        self.token = None if callable(token) else _checked(token)
        self._lock = threading.Lock()
        watch(self)

    @property
    def renewable(self) -> bool:
        """Whether there is anything to ask for another one."""
        return self._make is not None

    def renew(self, stale: str | None) -> None:
        """Ask for a token in place of `stale`, unless another thread has done so meanwhile."""
        with self._lock:
            if self._make is not None and self.token == stale:
                self.token = _checked(self._make())

    def forked(self) -> None:
        """In a child process: whoever held the lock is not here."""
        self._lock = threading.Lock()


def _checked(token: str) -> str:
    token = token.strip()  # what is read from a file ends in a new line
    if not token or not all("!" <= letter <= "~" for letter in token):
        raise ClientError("the token must be one word of ASCII letters, digits and signs")
    return token

"""A connection that sends any bytes and reads the answers that come, one after the other."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import NamedTuple, Self

import httpx

BOUND_S = 15
PIECE = 65536
WITHOUT_BODY = {100, 101, 204, 304}


class Answer(NamedTuple):
    status: int
    headers: httpx.Headers
    body: bytes


class Connection:
    """To a port of this machine; what does not come within BOUND_S is an error."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=BOUND_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, sent: bytes) -> None:
        """Send it, or as much as is taken before there is an answer or the end of the connection."""
        with suppress(ConnectionError):
            for start in range(0, len(sent), PIECE):
                self._socket.sendall(sent[start : start + PIECE])
                if len(sent) > PIECE and self.readable(within=0):
                    return

    def readable(self, *, within: float) -> bool:
        """Whether something comes within so many seconds."""
        return bool(select.select([self._socket], [], [], within)[0])

    def answer(self, *, head: bool = False) -> Answer | None:
        """The next answer; None at the end of the connection. `head` says that it has no body."""
        while b"\r\n\r\n" not in self._read:
            if not self._more():
                assert self._read == b"", self._read[:200]
                return None
        first, *lines = self._take(self._read.index(b"\r\n\r\n") + 4).rstrip(b"\r\n").split(b"\r\n")
        version, _, rest = first.partition(b" ")
        assert version == b"HTTP/1.1", first
        status = int(rest[:3])
        headers = httpx.Headers([tuple(line.split(b": ", 1)) for line in lines])
        return Answer(status, headers, b"" if head or status in WITHOUT_BODY else self._body(headers))

    def _body(self, headers: httpx.Headers) -> bytes:
        length = int(headers["content-length"])
        while len(self._read) < length:
            assert self._more(), "half an answer"
        return self._take(length)

    def _take(self, length: int) -> bytes:
        taken, self._read = self._read[:length], self._read[length:]
        return taken

    def _more(self) -> bool:
        try:
            piece = self._socket.recv(PIECE)
        except ConnectionError:
            return False
        self._read += piece
        return bool(piece)

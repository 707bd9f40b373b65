"""A real SMTP server for the tests, which keeps what it accepts and answers with faults where it is told to."""

from __future__ import annotations

import email
import threading
from collections.abc import Iterable
from email import policy
from email.message import EmailMessage
from typing import Any, NamedTuple, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.servers import free_port

DROP = "drop the connection"


class Received(NamedTuple):
    """One accepted message, with the envelope it came in."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    raw: bytes


class MailServer:
    """`faults` are what it answers instead, by command (MAIL, RCPT, DATA, QUIT): one answer each time, in order."""

    def __init__(self, faults: dict[str, Iterable[str]] | None = None, **options: Any) -> None:
        self.port = free_port()
        self.received: list[Received] = []
        self.attempts = 0
        self._faults = {command: iter(answers) for command, answers in (faults or {}).items()}
        self._lock = threading.Lock()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_MAIL(  # noqa: N802 aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.attempts += 1
        if fault := self._fault(server, "MAIL"):
            return fault
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if fault := self._fault(server, "RCPT"):
            return fault
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if fault := self._fault(server, "DATA"):
            return fault
        raw = envelope.original_content or b""
        message = email.message_from_bytes(raw, policy=policy.SMTPUTF8)
        with self._lock:
            self.received.append(Received(str(envelope.mail_from), list(envelope.rcpt_tos), message, raw))
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        return self._fault(server, "QUIT") or "221 Bye"

    def _fault(self, server: SMTP, command: str) -> str | None:
        fault = next(self._faults.get(command, iter(())), None)
        if fault == DROP:
            server.transport.close()
        return fault

"""Transports: who takes a composed message. One interface, `Transport`; which one is a setting."""

from __future__ import annotations

import hashlib
import os
import smtplib
import ssl
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from workers.errors import PermanentError, TransientError, UnavailableError
from workers.settings import Settings

SMTP_TIMEOUT_S = 10  # for each step of the conversation
SMTP_PERMANENT = 500  # RFC 5321, 4.2.1: 5yz is a permanent negative reply
SMTP_LOGIN_NEEDED = 530  # RFC 4954, 6: about us, not about the message


class Transport(Protocol):
    """Something that takes a message."""

    def send(self, message: EmailMessage) -> None:
        """Hand the message over.

        Raises PermanentError when it is refused for good, UnavailableError when the transport cannot be reached or
        will not let us in, TransientError for everything else.
        """


def transport(settings: Settings) -> Transport:
    """The transport that EMAIL_TRANSPORT names; it connects on first use."""
    if settings.email_transport == "smtp" and settings.smtp_url is not None:
        return SMTP(settings.smtp_url.get_secret_value())
    return Maildir(settings.data_dir / "mail")


class Maildir:
    """Writes each message as one `.eml` file into a maildir; the same Message-ID gives the same file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: EmailMessage) -> None:
        """See Transport."""
        name = hashlib.blake2b(message["Message-ID"].encode(), digest_size=16).hexdigest() + ".eml"
        try:
            for part in ("tmp", "new", "cur"):
                (self._folder / part).mkdir(parents=True, exist_ok=True)
            draft = self._folder / "tmp" / f"{os.getpid()}-{name}"
            with draft.open("wb") as file:
                file.write(message.as_bytes())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._folder / "new" / name)
        except OSError as error:
            raise UnavailableError("the maildir", f"{self._folder} ({error.strerror})") from error


class SMTP:
    """Speaks to one SMTP server, a connection for each message."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._tls = parts.scheme == "smtps"
        self._starttls = parse_qs(parts.query).get("starttls") == ["1"]
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (465 if self._tls else 587 if self._starttls else 25)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")

    def send(self, message: EmailMessage) -> None:
        """See Transport."""
        server = self._enter()
        try:
            _hand_over(server, message)
        finally:
            with suppress(smtplib.SMTPException, OSError):  # the verdict on the message has fallen
                server.quit()
            server.close()

    def _enter(self) -> smtplib.SMTP:
        """A connection that takes messages from us. Whatever goes wrong here is not the message's fault."""
        try:
            server = self._connect()
            try:
                self._introduce(server)
            except BaseException:
                server.close()
                raise
        except smtplib.SMTPAuthenticationError as error:
            raise UnavailableError("the mail server", f"it refuses our login ({error.smtp_code})") from error
        except (smtplib.SMTPException, OSError) as error:
            raise UnavailableError("the mail server", str(error) or type(error).__name__) from error
        return server

    def _connect(self) -> smtplib.SMTP:
        if self._tls:
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self._host, self._port, timeout=SMTP_TIMEOUT_S, context=context)
        return smtplib.SMTP(self._host, self._port, timeout=SMTP_TIMEOUT_S)

    def _introduce(self, server: smtplib.SMTP) -> None:
        if self._starttls:
            server.starttls(context=ssl.create_default_context())
        if self._user:
            server.login(self._user, self._password)


def _hand_over(server: smtplib.SMTP, message: EmailMessage) -> None:
    try:
        server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise _verdict(code, text) from error
    except smtplib.SMTPResponseException as error:
        raise _verdict(error.smtp_code, error.smtp_error) from error
    except smtplib.SMTPNotSupportedError as error:
        raise PermanentError(f"the mail server cannot take this message: {error}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise UnavailableError("the mail server", str(error) or type(error).__name__) from error


def _verdict(code: int, text: bytes | str) -> PermanentError | TransientError:
    answer = text.decode(errors="replace") if isinstance(text, bytes) else text
    if code == SMTP_LOGIN_NEEDED:
        return UnavailableError("the mail server", f"{code} {answer}")
    sentence = f"the mail server refuses the message: {code} {answer}"
    return PermanentError(sentence) if code >= SMTP_PERMANENT else TransientError(sentence)

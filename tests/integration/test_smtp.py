from __future__ import annotations

import itertools
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.mailserver import DROP, MailServer
from tests.servers import free_port
from workers.errors import LunaError, PermanentError, TransientError, UnavailableError
from workers.mail import Rendered, Transport, compose, transport
from workers.settings import Settings

NOW = datetime(2025, 3, 9, 12, tzinfo=UTC)
USER, PASSWORD = "luna", "secret/with:@"
URL_LOGIN = "luna:secret%2Fwith%3A%40"


def letter(to: str = "ada@example.com") -> EmailMessage:
    rendered = Rendered("Welcome, Zoë", "Grüße\n", "<p>Grüße</p>\n")
    return compose(rendered, sender="Luna <no-reply@luna.example>", to=to, message_id="<1@luna.example>", date=NOW)


def smtp(url: str) -> Transport:
    return transport(Settings(EMAIL_TRANSPORT="smtp", SMTP_URL=url))


def only_user(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: LoginPassword
) -> AuthResult:
    return AuthResult(success=given.login == USER.encode() and given.password == PASSWORD.encode(), handled=False)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for the loopback address with its key, signed by itself."""
    if not shutil.which("openssl"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no openssl command")
    path = tmp_path / "certificate.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(
        [*command.split(), "-keyout", path, "-out", tmp_path / "public.pem"], check=True, capture_output=True
    )
    path.write_text(path.read_text() + (tmp_path / "public.pem").read_text())
    return path


def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


def test_the_message_arrives_as_composed() -> None:
    with MailServer() as server:
        smtp(server.url).send(letter())
    (received,) = server.received
    assert (received.sender, received.recipients) == ("no-reply@luna.example", ["ada@example.com"])
    headers = {name: received.message[name] for name in ("From", "To", "Subject", "Message-ID", "Auto-Submitted")}
    assert headers == {
        "From": "Luna <no-reply@luna.example>",
        "To": "ada@example.com",
        "Subject": "Welcome, Zoë",
        "Message-ID": "<1@luna.example>",
        "Auto-Submitted": "auto-generated",
    }
    assert parsedate_to_datetime(received.message["Date"]) == NOW
    bodies = {kind: received.message.get_body((kind,)) for kind in ("plain", "html")}
    assert {kind: body and body.get_content() for kind, body in bodies.items()} == {
        "plain": "Grüße\r\n",
        "html": "<p>Grüße</p>\r\n",
    }
    assert received.raw.isascii()  # a server without SMTPUTF8 can take it


def test_an_address_with_non_ascii_letters_arrives_in_utf_8() -> None:
    with MailServer() as server:
        smtp(server.url).send(letter("jürgen@bücher.example.com"))
    (received,) = server.received
    assert received.recipients == ["jürgen@xn--bcher-kva.example.com"]
    assert "To: jürgen@xn--bcher-kva.example.com\r\n".encode() in received.raw  # RFC 6532: never an encoded word


def test_an_address_that_the_server_cannot_take_is_permanent() -> None:
    with MailServer(enable_SMTPUTF8=False) as server, pytest.raises(PermanentError, match="SMTPUTF8"):
        smtp(server.url).send(letter("jürgen@example.com"))


@pytest.mark.parametrize(
    ("command", "answer", "verdict"),
    [
        ("MAIL", "451 try later", TransientError),
        ("MAIL", "550 not from you", PermanentError),
        ("MAIL", "530 authentication required", UnavailableError),
        ("RCPT", "450 mailbox busy", TransientError),
        ("RCPT", "550 no such mailbox", PermanentError),
        ("DATA", "452 disk full", TransientError),
        ("DATA", "554 looks like spam", PermanentError),
        ("MAIL", DROP, UnavailableError),
        ("RCPT", DROP, UnavailableError),
        ("DATA", DROP, UnavailableError),
    ],
)
def test_what_the_server_answers_is_the_verdict(command: str, answer: str, verdict: type[LunaError]) -> None:
    with MailServer({command: [answer]}) as server, pytest.raises(LunaError) as raised:
        smtp(server.url).send(letter())
    assert type(raised.value) is verdict
    assert answer == DROP or answer in str(raised.value)
    assert server.received == []


@pytest.mark.parametrize("answers", [["421 too long"], [DROP]])
def test_a_fault_after_the_message_was_taken_is_none(answers: Iterable[str]) -> None:
    with MailServer({"QUIT": answers}) as server:
        smtp(server.url).send(letter())
    assert len(server.received) == 1


def test_a_fault_at_the_end_does_not_hide_the_verdict() -> None:
    with MailServer({"RCPT": ["550 no"], "QUIT": ["421 bye"]}) as server, pytest.raises(PermanentError, match="550 no"):
        smtp(server.url).send(letter())


def test_nobody_listening_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match="the mail server cannot be reached"):
        smtp(f"smtp://127.0.0.1:{free_port()}").send(letter())


def test_a_connection_can_be_encrypted_and_logged_in(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    options = {"tls_context": tls(certificate), "require_starttls": True, "auth_required": True}
    with MailServer(authenticator=only_user, **options) as server:
        smtp(f"smtp://{URL_LOGIN}@127.0.0.1:{server.port}?starttls=1").send(letter())
    assert len(server.received) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    with (
        MailServer(tls_context=tls(certificate)) as server,
        pytest.raises(UnavailableError, match="certificate verify failed"),
    ):
        smtp(f"{server.url}?starttls=1").send(letter())
    assert server.attempts == 0


def test_a_server_that_cannot_encrypt_gets_nothing_and_the_message_waits() -> None:
    with MailServer() as server, pytest.raises(UnavailableError, match="STARTTLS"):
        smtp(f"{server.url}?starttls=1").send(letter())
    assert server.attempts == 0


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # the server's own, and meant here
def test_a_refused_login_is_unavailable() -> None:
    with (
        MailServer(authenticator=only_user, auth_required=True, auth_require_tls=False) as server,
        pytest.raises(UnavailableError, match="refuses our login"),
    ):
        smtp(f"smtp://luna:wrong@127.0.0.1:{server.port}").send(letter())


def test_a_server_that_knows_no_login_is_unavailable() -> None:
    with MailServer() as server, pytest.raises(UnavailableError, match="AUTH"):
        smtp(f"smtp://luna:wrong@127.0.0.1:{server.port}").send(letter())


def test_every_attempt_is_one_conversation() -> None:
    with MailServer({"RCPT": itertools.repeat("450 busy")}) as server, pytest.raises(TransientError):
        smtp(server.url).send(letter())
    assert server.attempts == 1

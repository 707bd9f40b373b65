from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from workers.errors import PermanentError
from workers.mail import Rendered, compose

HELLO = Rendered("Hello", "Hello Ada", "<p>Hello Ada</p>")


def composed(rendered: Rendered = HELLO, to: str = "ada@example.org", sender: str = "luna@example.org") -> EmailMessage:
    """What a recipient's program makes of the message."""
    date = datetime(2026, 7, 1, 12, tzinfo=UTC)
    message = compose(rendered, sender=sender, to=to, message_id="<1@example.org>", date=date)
    return message_from_bytes(message.as_bytes(), _class=EmailMessage, policy=SMTP)  # type: ignore[arg-type]


def test_a_message_says_who_when_and_that_a_machine_sent_it() -> None:
    message = composed(sender="Luna <luna@example.org>")
    assert (message["From"], message["To"]) == ("Luna <luna@example.org>", "ada@example.org")
    assert message["Message-ID"] == "<1@example.org>"
    assert message["Date"] == "Wed, 01 Jul 2026 12:00:00 +0000"
    assert message["Auto-Submitted"] == "auto-generated"


def test_the_text_stands_beside_the_html_and_before_it() -> None:
    message = composed()
    assert message.get_content_type() == "multipart/alternative"
    parts = [(part.get_content_type(), part.get_content().strip()) for part in message.iter_parts()]
    assert parts == [("text/plain", "Hello Ada"), ("text/html", "<p>Hello Ada</p>")]


def test_every_script_survives_the_journey() -> None:
    text = "Zoë 山田　太郎 علی 🌙"
    message = composed(Rendered(text, text, f"<p>{text}</p>"))
    assert message["Subject"] == text
    plain, html = message.iter_parts()
    assert (plain.get_content().strip(), html.get_content().strip()) == (text, f"<p>{text}</p>")


def test_every_line_is_ascii_and_short_enough_for_any_server() -> None:
    raw = compose(
        Rendered("é" * 300, "é" * 3000, "x" * 3000),
        sender="luna@example.org",
        to="ada@example.org",
        message_id="<1@example.org>",
        date=datetime(2026, 7, 1, tzinfo=UTC),
    ).as_bytes()
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998  # RFC 5322, 2.1.1


@pytest.mark.parametrize("break_", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\x00"])
@pytest.mark.parametrize("after", ["Bcc: eve@example.org", ""])
def test_a_subject_cannot_smuggle_in_a_header_or_end_them(break_: str, after: str) -> None:
    with pytest.raises(PermanentError, match=r"^the message cannot be addressed"):
        composed(Rendered(f"Hello{break_}{after}", "text", "html"))


def test_a_subject_may_contain_a_tab() -> None:
    assert composed(Rendered("a\tb", "text", "html"))["Subject"] == "a\tb"


@pytest.mark.parametrize(
    "to",
    [
        "ada@example.org, eve@example.org",
        "ada@example.org,eve@example.org",
        "ada@example.org;eve@example.org",
        "ada@example.org\r\nBcc: eve@example.org",
        "ada@example.org\n",
        "<ada@example.org>",
        "Ada <ada@example.org>",
        '"ada\n"@example.org',
        "group: ada@example.org;",
        "ada",
        "@example.org",
        "ada@",
        "",
        "ada@[127.0.0.1]",
    ],
)
def test_only_one_plain_address_is_a_recipient(to: str) -> None:
    with pytest.raises(PermanentError, match="address"):
        composed(to=to)


def test_a_domain_travels_in_its_ascii_form() -> None:
    assert composed(to="ada@exämple.org")["To"] == "ada@xn--exmple-cua.org"


def test_a_recipients_mailbox_keeps_its_case() -> None:
    assert composed(to="Ada.L+x@Example.ORG")["To"] == "Ada.L+x@example.org"

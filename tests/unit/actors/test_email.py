from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import pytest
import redis
from jinja2 import PackageLoader
from sqlalchemy import Row, select

from actors.email.actors import ATTEMPTS, deliver
from actors.email.store import email_deliveries
from tests.builders import an_event, business
from workers.database import Database
from workers.errors import PermanentError, TransientError, UnavailableError
from workers.event import Event
from workers.handlers import Handlers
from workers.mail import Templates

USER = "0b5a4c1e-8a52-4f0e-9d0a-6f7f3c6f1a11"


class KilledError(BaseException):
    """The process dies here."""


class Postbox:
    """A transport that keeps what it is given, after it has raised the troubles it was told of."""

    def __init__(self) -> None:
        self.sent: list[EmailMessage] = []
        self.troubles: list[BaseException] = []

    def send(self, message: EmailMessage) -> None:
        if self.troubles:
            raise self.troubles.pop(0)
        self.sent.append(message)


class DyingPostbox(Postbox):
    """Takes the message, and the process dies before it can write that down."""

    def send(self, message: EmailMessage) -> None:
        super().send(message)
        if len(self.sent) == 1:
            raise KilledError


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


@pytest.fixture
def database(any_database: Database) -> Database:
    return any_database


@pytest.fixture
def handlers(database: Database, postbox: Postbox) -> Handlers:
    return reaching(database, postbox)


def reaching(database: Database, postbox: Postbox) -> Handlers:
    """The actors of a worker whose queue nobody needs: a delivery has no follow-ups."""
    templates = Templates(PackageLoader("actors.email"), support="help@example.org")
    nothing = redis.Redis(port=1)
    return business(database, nothing, templates=templates, transport=postbox, sender="Luna <luna@example.org>")


def requested(**data: Any) -> Event:
    usual = {"to": "ada@example.org", "template": "notice", "params": {"title": "News", "text": "It rains."}}
    return an_event("email.requested", {**usual, **data})


def delivery(database: Database) -> Row[Any]:
    with database.read() as connection:
        return connection.execute(select(email_deliveries)).one()


def test_a_new_user_is_welcomed_by_name(handlers: Handlers, postbox: Postbox) -> None:
    handlers.run(deliver, an_event("user.created", {"user_id": USER, "email": "ada@example.org", "name": "Ada <b>"}))
    (message,) = postbox.sent
    assert (message["To"], message["From"]) == ("ada@example.org", "Luna <luna@example.org>")
    assert message["Subject"] == "Welcome, Ada <b>"
    text, html = (part.get_content() for part in message.iter_parts())
    assert "Hello Ada <b>," in text
    assert "Hello Ada &lt;b&gt;," in html
    assert "help@example.org" in text


def test_a_requested_e_mail_is_sent_from_its_template(handlers: Handlers, postbox: Postbox) -> None:
    handlers.run(deliver, requested())
    (message,) = postbox.sent
    assert message["Subject"] == "News"
    assert "It rains." in next(message.iter_parts()).get_content()


def test_a_sent_e_mail_has_a_row_that_says_so(handlers: Handlers, database: Database, postbox: Postbox) -> None:
    event = requested()
    handlers.run(deliver, event)
    row = delivery(database)
    assert (row.state, row.attempts, row.last_error) == ("sent", 1, None)
    assert (row.event_id, row.recipient, row.template) == (event.id, "ada@example.org", "notice")
    assert row.message_id == postbox.sent[0]["Message-ID"]
    assert row.message_id.endswith("@example.org>")


def test_an_e_mail_is_sent_once_however_often_its_message_comes(handlers: Handlers, postbox: Postbox) -> None:
    event = requested()
    for _ in range(3):
        handlers.run(deliver, event)
    assert len(postbox.sent) == 1


def test_two_events_are_two_e_mails(handlers: Handlers, postbox: Postbox) -> None:
    handlers.run(deliver, requested())
    handlers.run(deliver, requested())
    assert len({message["Message-ID"] for message in postbox.sent}) == 2


@pytest.mark.parametrize("error", [TransientError("450 busy"), UnavailableError("the mail server", "refused")])
def test_after_a_passing_trouble_the_e_mail_waits_and_is_sent_under_the_same_id(
    handlers: Handlers, database: Database, postbox: Postbox, error: TransientError
) -> None:
    postbox.troubles = [error]
    event = requested()
    with pytest.raises(type(error)):
        handlers.run(deliver, event)
    first = delivery(database)
    assert (first.state, first.attempts, first.last_error) == ("queued", 1, str(error))
    handlers.run(deliver, event)
    second = delivery(database)
    assert (second.state, second.attempts, second.last_error) == ("sent", 2, None)
    assert postbox.sent[0]["Message-ID"] == first.message_id == second.message_id


def test_when_the_last_attempt_fails_the_e_mail_has_failed(
    handlers: Handlers, database: Database, postbox: Postbox
) -> None:
    postbox.troubles = [TransientError("450 busy") for _ in range(ATTEMPTS)]
    event, states = requested(), []
    for _ in range(ATTEMPTS):
        with pytest.raises(TransientError):
            handlers.run(deliver, event)
        states.append(delivery(database).state)
    assert states == ["queued", "queued", "failed"]
    assert delivery(database).last_error == "450 busy"


def test_a_failed_e_mail_that_is_retried_is_sent(handlers: Handlers, database: Database, postbox: Postbox) -> None:
    postbox.troubles = [PermanentError("550 unknown")]
    event = requested()
    with pytest.raises(PermanentError):
        handlers.run(deliver, event)
    assert (delivery(database).state, delivery(database).last_error) == ("failed", "550 unknown")
    handlers.run(deliver, event)
    assert (delivery(database).state, delivery(database).last_error) == ("sent", None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"template": "postcard"}, "there is no e-mail template 'postcard'"),
        ({"params": {}}, "does not render"),
        ({"params": {"title": "News\nBcc: eve@example.org", "text": ""}}, "cannot be addressed"),
    ],
)
def test_what_can_never_be_sent_has_failed_and_is_not_handed_over(
    handlers: Handlers, database: Database, postbox: Postbox, data: dict[str, Any], reason: str
) -> None:
    with pytest.raises(PermanentError, match=reason):
        handlers.run(deliver, requested(**data))
    row = delivery(database)
    assert (row.state, row.attempts) == ("failed", 1)
    assert reason in row.last_error
    assert postbox.sent == []


def test_a_long_error_is_cut_to_what_its_column_holds(handlers: Handlers, database: Database, postbox: Postbox) -> None:
    postbox.troubles = [TransientError("x" * 5000)]
    with pytest.raises(TransientError):
        handlers.run(deliver, requested())
    assert delivery(database).last_error == "x" * 500


def test_a_process_that_dies_while_sending_leaves_a_row_that_says_it_was_sending(database: Database) -> None:
    with pytest.raises(KilledError):
        reaching(database, DyingPostbox()).run(deliver, requested())
    assert (delivery(database).state, delivery(database).attempts) == ("sending", 1)


def test_after_a_crash_between_handing_over_and_writing_it_down_the_e_mail_goes_again_under_its_id(
    database: Database,
) -> None:
    postbox, event = DyingPostbox(), requested()
    with pytest.raises(KilledError):
        reaching(database, postbox).run(deliver, event)
    reaching(database, postbox).run(deliver, event)
    assert len(postbox.sent) == 2
    assert len({message["Message-ID"] for message in postbox.sent}) == 1
    assert (delivery(database).state, delivery(database).attempts) == ("sent", 2)


def test_while_the_attempt_after_a_crash_is_under_way_the_row_tells_of_the_doubt(database: Database) -> None:
    event = requested()
    for _ in range(2):
        with pytest.raises(KilledError):
            reaching(database, DyingPostbox()).run(deliver, event)
    row = delivery(database)
    assert (row.state, row.attempts) == ("sending", 2)
    assert row.last_error == "an earlier attempt broke off: it may have been sent"


def test_nothing_is_sent_when_it_cannot_be_written_down(postbox: Postbox) -> None:
    unreachable = Database("postgresql+psycopg://luna@127.0.0.1:1/luna")
    with pytest.raises(UnavailableError, match="the database"):
        reaching(unreachable, postbox).run(deliver, requested())
    assert postbox.sent == []


def test_an_e_mail_is_attempted_three_times() -> None:
    assert deliver.options["max_retries"] == 2

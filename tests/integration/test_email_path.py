from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import dramatiq
import pytest
from sqlalchemy import select

from actors import boot
from actors.email.store import email_deliveries
from actors.routes import QUEUES, ROUTES
from tests.mailserver import MailServer
from tests.processes import Processes, procfile
from tests.servers import Valkey, eventually
from workers.connection import connect
from workers.database import Database
from workers.event import Event
from workers.operations import EventTrace, Operations
from workers.queue.publisher import Publisher
from workers.settings import Settings

Deliver = Callable[[dict[str, Any]], EventTrace]
LETTER = {"to": "ada@example.com", "template": "welcome", "params": {"name": "Ada"}}


@contextmanager
def delivering(server: MailServer, valkey: Valkey, database: Database) -> Iterator[Deliver]:
    """Runs a worker of the e-mail queue: a function that publishes a letter and follows it to its end."""
    url = database.url.render_as_string(hide_password=False)
    broker = boot.build(Settings(REDIS_URL=valkey.url, DATABASE_URL=url, EMAIL_TRANSPORT="smtp", SMTP_URL=server.url))
    broker.get_actor("email.deliver").options |= {"min_backoff": 1, "max_backoff": 10}
    worker = dramatiq.Worker(broker, queues={"email"}, worker_threads=1, worker_timeout=50)
    client = connect(valkey.url)

    def deliver(letter: dict[str, Any]) -> EventTrace:
        event = Event(id="1", source="/shop", type="email.requested", data=letter, caller="shop")
        Publisher(client, ROUTES).publish(event)
        operations = Operations(client, QUEUES)
        trace: EventTrace = eventually(lambda: (found := operations.trace(event.id)) and found.settled and found)
        return trace

    worker.start()
    try:
        yield deliver
    finally:
        worker.stop()
        broker.close()
        client.close()


def row(database: Database) -> tuple[str, int, str | None]:
    columns = email_deliveries.c
    with database.read() as connection:
        found = connection.execute(select(columns.state, columns.attempts, columns.last_error)).one()
        return found.state, found.attempts, found.last_error


@pytest.mark.parametrize("faults", [{"RCPT": ["450 busy"] * 2}, {"DATA": ["451 later"] * 2}])
def test_the_third_attempt_delivers_one_email(
    faults: dict[str, Iterable[str]], valkey: Valkey, database: Database
) -> None:
    with MailServer(faults) as server, delivering(server, valkey, database) as deliver:
        trace = deliver(LETTER)
    assert (trace.status, server.attempts, len(server.received)) == ("done", 3, 1)
    assert row(database) == ("sent", 3, None)
    assert [bool(attempt.error) for attempt in trace.actors[0].attempts] == [True, True, False]


def test_three_failures_are_the_end_and_the_row_says_so(valkey: Valkey, database: Database) -> None:
    faults = {"RCPT": itertools.repeat("450 mailbox busy")}
    with MailServer(faults) as server, delivering(server, valkey, database) as deliver:
        trace = deliver(LETTER)
    assert (trace.status, server.attempts, server.received) == ("dead", 3, [])
    assert row(database) == ("failed", 3, "the mail server refuses the message: 450 mailbox busy")


def test_a_refused_recipient_gets_no_second_attempt(valkey: Valkey, database: Database) -> None:
    with MailServer({"RCPT": ["550 no such mailbox"]}) as server, delivering(server, valkey, database) as deliver:
        trace = deliver(LETTER)
    assert (trace.status, server.attempts, server.received) == ("dead", 1, [])
    assert row(database) == ("failed", 1, "the mail server refuses the message: 550 no such mailbox")


def test_an_error_that_nobody_foresaw_leaves_a_truthful_row(
    valkey: Valkey, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr("smtplib.SMTP.send_message", break_down)
    with MailServer() as server, delivering(server, valkey, database) as deliver:
        trace = deliver(LETTER)
    assert (trace.status, server.received) == ("dead", [])
    assert row(database) == ("failed", 3, "RuntimeError: out of order")


def test_the_log_of_a_failed_attempt_holds_neither_address_nor_body(
    processes: Processes, valkey: Valkey, database: Database
) -> None:
    url = database.url.render_as_string(hide_password=False)
    with MailServer({"RCPT": ["450 busy"]}) as server, connect(valkey.url) as client:
        variables = {"REDIS_URL": valkey.url, "DATABASE_URL": url, "EMAIL_TRANSPORT": "smtp", "SMTP_URL": server.url}
        mailer = processes.start(*procfile()["mailer"], **variables)
        event = Event(id="1", source="/shop", type="email.requested", data=LETTER, caller="shop")
        Publisher(client, ROUTES).publish(event)
        mailer.says("actor.retrying .*450 busy")
        mailer.says("actor.done")
    assert mailer.stop() == 0
    assert "ada@example.com" not in mailer.output
    assert "Traceback" not in mailer.output

"""Delivering e-mail: three attempts, and a row that is truthful wherever a crash falls."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid5

from actors.email import store
from actors.events import EmailRequested, UserCreated
from workers.database import Database
from workers.errors import LunaError, PermanentError
from workers.event import NAMESPACE, Event
from workers.handlers import handler
from workers.mail import Templates, Transport, compose

ATTEMPTS = 3


@handler("email.deliver", max_retries=ATTEMPTS - 1, min_backoff=1_000, max_backoff=60_000)
def deliver(
    event: Event,
    data: EmailRequested | UserCreated,
    database: Database,
    templates: Templates,
    transport: Transport,
    sender: str,
) -> None:
    """Render and hand over one e-mail, unless an earlier attempt already did.

    Raises PermanentError when it can never be sent, TransientError when another attempt may help.
    """
    to, template, params = _letter(data)
    delivery_id = str(uuid5(NAMESPACE, f"{event.identity}/email"))
    domain = sender.rpartition("@")[2].rstrip(">")
    delivery = store.Delivery(delivery_id, event.id, to, template, f"<{delivery_id}@{domain}>")
    with database.write() as connection:
        attempt = store.begin(connection, delivery, datetime.now(UTC))
    if attempt is None:
        return
    try:
        rendered = templates.render(template, params)
        now = datetime.now(UTC)
        transport.send(compose(rendered, sender=sender, to=to, message_id=delivery.message_id, date=now))
    except Exception as error:  # whatever it is, the row tells of it
        state = "failed" if isinstance(error, PermanentError) or attempt >= ATTEMPTS else "queued"
        sentence = str(error) if isinstance(error, LunaError) else f"{type(error).__name__}: {error}"
        with database.write() as connection:
            store.end(connection, delivery.id, state, sentence, datetime.now(UTC))
        raise
    with database.write() as connection:
        store.end(connection, delivery.id, "sent", None, datetime.now(UTC))


def _letter(data: EmailRequested | UserCreated) -> tuple[str, str, dict[str, Any]]:
    """Recipient, template and parameters of the e-mail that an event asks for."""
    match data:
        case UserCreated():
            return data.email, "welcome", {"name": data.name}
        case EmailRequested():
            return data.to, data.template, dict(data.params)


HANDLERS = (deliver,)

"""Composing one transactional message: one recipient, text beside HTML, every header safe by construction."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

from email_validator import EmailNotValidError, validate_email

from workers.errors import PermanentError
from workers.mail.templates import Rendered

CONTROL = frozenset({"Cc", "Zl", "Zp"})  # EmailMessage itself refuses a line break only where more text follows it
SEVEN_BIT = SMTP.clone(cte_type="7bit")  # what every server takes: 8-bit bodies need 8BITMIME (RFC 6152)


def compose(rendered: Rendered, *, sender: str, to: str, message_id: str, date: datetime) -> EmailMessage:
    """The message, under a Message-ID that stays the same on every attempt.

    Raises PermanentError for an address or subject that could smuggle in a header or a second recipient.
    """
    recipient = deliverable(to)
    message = EmailMessage(policy=SEVEN_BIT if recipient.isascii() else SMTPUTF8)
    if any(unicodedata.category(character) in CONTROL and character != "\t" for character in rendered.subject):
        raise PermanentError("the message cannot be addressed: its subject contains control characters")
    try:
        message["From"] = sender
        local, _, domain = recipient.rpartition("@")
        message["To"] = Address(username=local, domain=domain)  # an addr_spec with non-ASCII letters would be refused
        message["Subject"] = rendered.subject
    except (ValueError, IndexError) as error:
        raise PermanentError(f"the message cannot be addressed: {error}") from error
    message["Date"] = date
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834, 5: no vacation notes in answer
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    return message


def deliverable(address: str) -> str:
    """The address with its domain in IDNA's ASCII form. Raises PermanentError when it is not one address."""
    try:
        found = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise PermanentError(f"the recipient is not a valid address: {error}") from None
    return f"{found.local_part}@{found.ascii_domain}"

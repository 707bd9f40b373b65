"""E-mail: messages, their rendering from templates, and the transports that hand them over."""

from workers.mail.message import compose
from workers.mail.templates import Rendered, Templates
from workers.mail.transports import Transport, transport

__all__ = ["Rendered", "Templates", "Transport", "compose", "transport"]

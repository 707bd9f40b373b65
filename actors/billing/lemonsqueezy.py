"""What LemonSqueezy sends: the names of its webhooks, and of their content the few fields that count.

Everything else (names, addresses, prices, links that log a customer in, licence keys) is left behind at the door.
The gateway takes the facts out; whether they hold is the contract's matter, in the worker: a webhook that is signed but
odd becomes a dead letter, where somebody sees it, since LemonSqueezy gives up after four deliveries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

STATES = frozenset(
    f"subscription_{what}" for what in ("created", "updated", "cancelled", "resumed", "expired", "paused", "unpaused")
)
"""These bring a subscription object: how the subscription is now."""

RECORDS = frozenset(
    {
        "order_created",
        "order_refunded",
        "subscription_payment_success",
        "subscription_payment_failed",
        "subscription_payment_recovered",
        "subscription_payment_refunded",
        "license_key_created",
        "license_key_updated",
    }
)
"""These bring an order, a subscription invoice or a licence key. What they mean for a plan comes as a state."""

EVENTS = STATES | RECORDS
"""All that docs.lemonsqueezy.com/help/webhooks/event-types listed in 2025 but for `affiliate_activated`."""

FIELDS = ("customer_id", "variant_id", "status", "ends_at", "updated_at")


def name_of(webhook: Any) -> str | None:
    """The event name of a decoded body; None if it is no webhook."""
    name = _object(_object(webhook).get("meta")).get("event_name")
    return name if isinstance(name, str) else None


def facts(webhook: Mapping[str, Any]) -> dict[str, Any]:
    """The data of `payment.received` for a webhook that `name_of` knows. Fields that are not there are left out."""
    meta, thing = webhook["meta"], _object(webhook.get("data"))
    found = {
        "event_name": meta["event_name"],
        "object_type": thing.get("type"),
        "object_id": thing.get("id"),
        "user_id": _uuid(_object(meta.get("custom_data")).get("user_id")),
    }
    if meta["event_name"] in STATES:
        found["subscription"] = _subscription(_object(thing.get("attributes")))
    return _given(found)


def _subscription(attributes: Mapping[str, Any]) -> dict[str, Any]:
    pause = _object(attributes.get("pause")).get("mode")
    return _given({"pause": pause, **{name: attributes.get(name) for name in FIELDS}})


def _object(value: Any) -> Mapping[str, Any]:
    """PHP writes an empty object as a list."""
    return value if isinstance(value, dict) else {}


def _uuid(value: Any) -> str | None:
    """A checkout link's custom data is the buyer's to alter: anything may stand there."""
    try:
        return str(UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}

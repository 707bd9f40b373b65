"""Webhooks as LemonSqueezy sends them: its documented objects, filled in for a shop of the tests."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

SECRET = "1f0c7a52b9d34e6890ab"
PRO, TEAM = 1021, 1022
PLANS = {str(PRO): "pro", str(TEAM): "team"}
SUBSCRIPTION, CUSTOMER = "390201", 77004

STATUS_OF = {
    "subscription_created": "active",
    "subscription_updated": "active",
    "subscription_cancelled": "cancelled",
    "subscription_resumed": "active",
    "subscription_expired": "expired",
    "subscription_paused": "paused",
    "subscription_unpaused": "active",
}
PAYMENTS = ("success", "failed", "recovered", "refunded")


def webhook(name: str, user_id: str | None = None, **attributes: Any) -> dict[str, Any]:
    """The body of one webhook; `attributes` replace those of its object, and `id` the object's own."""
    custom = {"custom_data": {"user_id": user_id}} if user_id else {}
    thing = _object(name)
    thing["id"] = attributes.pop("id", thing["id"])
    thing["attributes"] |= attributes
    meta = {"test_mode": False, "event_name": name, "webhook_id": "5f0d-4a3e", **custom}
    return {"meta": meta, "data": thing}


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """The headers that come with it."""
    return {
        "Content-Type": "application/json",
        "X-Event-Name": "subscription_updated",
        "X-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }


def encoded(document: Any) -> bytes:
    """PHP escapes slashes and whatever is not ASCII."""
    return json.dumps(document, separators=(",", ":")).replace("/", "\\/").encode()


def _object(name: str) -> dict[str, Any]:
    if name in STATUS_OF:
        return {"type": "subscriptions", "id": SUBSCRIPTION, "attributes": _subscription(STATUS_OF[name])}
    if name.startswith("subscription_payment_"):
        return {"type": "subscription-invoices", "id": "881", "attributes": _invoice(name)}
    if name.startswith("order_"):
        return {"type": "orders", "id": "5150", "attributes": _order(name)}
    return {"type": "license-keys", "id": "12", "attributes": _licence()}


_BUYER = {"store_id": 3, "customer_id": CUSTOMER, "user_name": "Zoë Ångström", "user_email": "zoe@example.com"}
_SINCE = {"created_at": "2026-01-01T09:00:00.000000Z", "updated_at": "2026-01-01T09:00:05.000000Z"}
_PORTAL = "https://shop.lemonsqueezy.example/billing?expires=1&signature=secret"


def _subscription(status: str) -> dict[str, Any]:
    return {
        **_BUYER,
        **_SINCE,
        "order_id": 5150,
        "order_item_id": 6001,
        "product_id": 200,
        "variant_id": PRO,
        "product_name": "Enterprise, role: admin",
        "variant_name": "plan:team",
        "status": status,
        "status_formatted": status.title(),
        "card_brand": "visa",
        "card_last_four": "4242",
        "pause": {"mode": "void", "resumes_at": None} if status == "paused" else None,
        "cancelled": status == "cancelled",
        "trial_ends_at": None,
        "billing_anchor": 1,
        "first_subscription_item": {"id": 1, "subscription_id": int(SUBSCRIPTION), "price_id": 1, "quantity": 1},
        "urls": {"update_payment_method": _PORTAL, "customer_portal": _PORTAL},
        "renews_at": "2026-02-01T09:00:00.000000Z",
        "ends_at": "2099-02-01T09:00:00.000000Z" if status in {"cancelled", "expired"} else None,
        "test_mode": False,
    }


def _invoice(name: str) -> dict[str, Any]:
    return {
        **_BUYER,
        **_SINCE,
        "subscription_id": int(SUBSCRIPTION),
        "billing_reason": "renewal",
        "currency": "EUR",
        "total": 1900,
        "total_formatted": "€19.00",
        "status": {"failed": "pending", "refunded": "refunded"}.get(name.rpartition("_")[2], "paid"),
        "urls": {"invoice_url": _PORTAL},
        "test_mode": False,
    }


def _order(name: str) -> dict[str, Any]:
    refunded = name == "order_refunded"
    return {
        **_BUYER,
        **_SINCE,
        "identifier": "636f855c-1fb9-4c07-b75c-3a10afef010a",
        "order_number": 17,
        "currency": "EUR",
        "total": 1900,
        "status": "refunded" if refunded else "paid",
        "refunded": refunded,
        "first_order_item": {"variant_id": TEAM, "variant_name": "plan:team", "price": 1900},
        "test_mode": False,
    }


def _licence() -> dict[str, Any]:
    return {
        **_BUYER,
        **_SINCE,
        "order_id": 5150,
        "key": "80e15db5-c796-436b-850c-8f9c98a48abe",
        "status": "active",
        "activation_limit": 5,
        "test_mode": False,
    }

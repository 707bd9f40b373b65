"""What a payment webhook does: the newest state of a subscription is kept, and with it the plan of its user."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import structlog

from actors.billing import store
from actors.events import PaymentReceived, SubscriptionChanged, SubscriptionState
from workers.errors import PermanentError, TransientError
from workers.event import Event
from workers.handlers import Work, handler

log = structlog.get_logger(__name__)


@handler("billing.apply")
def apply(event: Event, data: PaymentReceived, work: Work, plans: Mapping[str, str]) -> None:
    """Keep the state that the webhook brings, unless a newer one is known. `plans` maps variants to plans.

    Webhooks without a state are facts: the receipt and a line in the log are all that comes of them. Raises
    PermanentError when an operator has to say whose it is or which plan it means, TransientError when that may settle.
    """
    state, id_ = data.subscription, data.object_id
    if state is None:
        log.info("payment.noted", name=data.event_name, object_type=data.object_type, object_id=id_)
        return
    known = store.find(work.connection, id_)
    if known and store.version(state.updated_at, state.status, event.id) <= known.version:
        log.info("subscription.outdated", name=data.event_name, object_id=id_)
        return
    user_id, plan = known.user_id if known else _owner(work, data), _plan(data, state, known, plans)
    new = store.Subscription(id=id_, user_id=user_id, plan=plan, event_id=event.id, **state.model_dump())
    if known:
        store.change(work.connection, new)
    elif not store.add(work.connection, new):
        raise TransientError(f"another event of subscription {id_} is being applied")
    work.invalidate(f"user:{user_id}")
    has_now = store.plan_of(work.connection, user_id, work.now, plans)
    work.publish(SubscriptionChanged(user_id=UUID(user_id), subscription_id=id_, status=state.status, plan=has_now))


def _owner(work: Work, data: PaymentReceived) -> str:
    """Whose a subscription is that was not known before; once bound to a user it stays with that one.

    Only the checkout's own `user_id` says so. A buyer can alter it, and then pays for another's account, which can only
    gain by it (`store.plan_of`). The e-mail address is whatever was typed at the checkout, and the customer is that
    address under a number: who once paid with another's address would be given what the other buys. Neither is asked.
    """
    if data.user_id and store.has_user(work.connection, str(data.user_id)):
        return str(data.user_id)
    named = f"user {data.user_id}, who is not there" if data.user_id else "no user"
    sentence = (
        f"nobody knows whose subscription {data.object_id} is: its checkout named {named}; "
        'say whose with `luna dead edit ID \'{"user_id": "…"}\'`, or refund it'
    )
    raise (TransientError if data.user_id else PermanentError)(sentence)  # a sign-up may still be on its way


def _plan(
    data: PaymentReceived, state: SubscriptionState, known: store.Subscription | None, plans: Mapping[str, str]
) -> str | None:
    """The plan that the variant stands for; one that is sold no more stays with those who have it."""
    if state.variant_id in plans:
        return plans[state.variant_id]
    if known and known.plan and known.variant_id == state.variant_id:
        return known.plan
    if store.grants(state.status, state.pause):
        raise PermanentError(
            f"variant {state.variant_id} of subscription {data.object_id} has no plan: add {state.variant_id}:PLAN to "
            "LEMONSQUEEZY_PLANS, start the workers and the gateway again, and retry this"
        )
    return None


HANDLERS = (apply,)
